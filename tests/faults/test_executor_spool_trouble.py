"""Where the spool cannot be used the executor delivers what it can, and fails loudly for what it can't."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.journal import Spool
from alerta_opsgenie.vendor.runner import ScriptResult
from tests.support.console import Console
from tests.support.executor import PYTHON_MINORS, Edge, await_true, find_python
from tests.support.spool_aids import NOBODY
from tests.support.stories import action

NOWHERE = "http://127.0.0.1:9"
SHORT = ("--timeLimit", "0.5")

pytestmark = [pytest.mark.faults]

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others and mount a small disk")
NewAlert = Callable[[], str]


@pytest.fixture
def new_alert(console: Console) -> NewAlert:
    return lambda: str(console.create_alert()["id"])


@pytest.fixture
def edge(tmp_path: Path, alerta: AlertaServer, alerta_key: str) -> Iterator[Edge]:
    with Edge(tmp_path, alerta.url, alerta_key) as made:
        yield made


def make_private(directory: Path) -> Path:
    directory.mkdir(parents=True, mode=0o700)
    return directory


def a_file_in_its_place(directory: Path) -> None:
    make_private(directory.parent)
    directory.write_text("")


def of_another_user(directory: Path) -> None:
    os.chown(make_private(directory), NOBODY, NOBODY)


def below_a_file(directory: Path) -> None:
    make_private(directory.parent.parent)
    directory.parent.write_text("")


UNUSABLE = [
    pytest.param(
        a_file_in_its_place, "mend it, or name another directory", "give the spool a directory's name", id="file"
    ),
    pytest.param(
        below_a_file, "mend it, or name another directory", "give the spool a directory's name", id="below-a-file"
    ),
    pytest.param(
        of_another_user, "give it to the user that the connector runs as", "chown -R", id="owner", marks=root_only
    ),
]


def run_unreachable(edge: Edge, alert_id: str, note: str = "kept") -> ScriptResult:
    other = edge.at(NOWHERE)
    other.arguments = (*edge.arguments, *SHORT)
    return other.run(action("AddNote", alert_id, note=note))


def assert_lost(result: ScriptResult, mend: str) -> None:
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "LOST: " in result.stderr
    assert "and it could not be kept: " in result.stderr
    assert mend in result.stderr
    assert " ERROR LOST AddNote " in result.stdout


def assert_delivered_with_warning(result: ScriptResult, mend: str) -> None:
    assert (result.exit_code, result.stderr) == (0, "")
    assert " WARN applied Acknowledge " in result.stdout
    assert mend in result.stdout


@pytest.mark.parametrize(("spoil", "mend", "mend_of_lost"), UNUSABLE)
def test_a_directory_that_cannot_be_used(
    edge: Edge,
    console: Console,
    new_alert: NewAlert,
    spoil: Callable[[Path], None],
    mend: str,
    mend_of_lost: str,
) -> None:
    spoil(edge.spool_directory)
    alert_id = new_alert()
    assert_delivered_with_warning(edge.run(action("Acknowledge", alert_id)), mend)
    assert console.status(alert_id) == "ack"
    assert_lost(run_unreachable(edge, alert_id), mend_of_lost)
    if of_another_user is spoil:
        assert list(edge.spool_directory.iterdir()) == []


def test_a_corrupt_file_is_set_aside_and_nothing_stops(edge: Edge, console: Console, new_alert: NewAlert) -> None:
    garbage = b"not a database at all" * 500
    (make_private(edge.spool_directory) / "spool.db").write_bytes(garbage)
    alert_id = new_alert()
    result = run_unreachable(edge, alert_id)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "it is kept and will be delivered; the spool was damaged and is now " in result.stdout
    assert (edge.spool_directory / "spool.db.corrupt-1").read_bytes() == garbage
    edge.run(action("Acknowledge", new_alert()))
    edge.await_drained()
    assert [note["text"] for note in console.notes(alert_id)] == ["alice@example.com: kept"]


def test_what_an_unusable_file_keeps_from_the_spool_lies_on_disk_until_it_is_mended(
    edge: Edge, console: Console, new_alert: NewAlert
) -> None:
    database = make_private(edge.spool_directory) / "spool.db"
    database.mkdir()
    alert_id = new_alert()
    result = run_unreachable(edge, alert_id)
    [taken] = edge.taken()
    assert result.exit_code == 1
    assert f"the action lies in {taken} and is picked up from there" in result.stderr
    database.rmdir()
    assert edge.run(action("Acknowledge", new_alert())).exit_code == 0
    edge.await_drained()
    assert len(console.notes(alert_id)) == 1


def test_a_python_without_sqlite_delivers_and_leaves_the_rest_on_disk(
    edge: Edge, console: Console, new_alert: NewAlert, tmp_path: Path
) -> None:
    (tmp_path / "crippled").mkdir()
    (tmp_path / "crippled" / "sqlite3.py").write_text("raise ImportError('no _sqlite3 here')\n")
    edge.environment["PYTHONPATH"] = str(tmp_path / "crippled")
    alert_id = new_alert()
    assert edge.run(action("Acknowledge", alert_id)).exit_code == 0
    result = run_unreachable(edge, alert_id)
    assert result.exit_code == 1
    assert (
        "this Python has no sqlite3: install that module, or take another Python; the action lies in " in result.stderr
    )
    again = edge.run(action("AddNote", alert_id, note="meanwhile"))
    assert (again.exit_code, again.stdout.split()[2]) == (0, "applied")
    del edge.environment["PYTHONPATH"]
    edge.run(action("Acknowledge", new_alert()))
    edge.await_drained()
    assert sorted(note["text"] for note in console.notes(alert_id)) == [
        "alice@example.com: kept",
        "alice@example.com: meanwhile",
    ]


def test_lanes_that_cannot_be_written_do_not_keep_an_action_from_the_spool(
    edge: Edge, console: Console, new_alert: NewAlert
) -> None:
    (make_private(edge.spool_directory) / "lanes").write_text("")
    alert_id = new_alert()
    result = run_unreachable(edge, alert_id)
    assert (result.exit_code, result.stderr) == (0, "")
    assert " WARN kept AddNote " in result.stdout
    (edge.spool_directory / "lanes").unlink()
    edge.run(action("Acknowledge", new_alert()))
    edge.await_drained()
    assert len(console.notes(alert_id)) == 1


@root_only
class TestOrdinaryUser:
    """As the connectors' packages have it: a user of its own, here with a directory that it may not write."""

    @pytest.fixture
    def edge(self, alerta: AlertaServer, alerta_key: str) -> Iterator[Edge]:
        pythons = itertools.chain(["/usr/bin/python3"], (find_python(minor) for minor in PYTHON_MINORS))
        python = next((path for path in pythons if path and _can_nobody_run(path)), "")
        if not python:
            pytest.skip("no Python here that user nobody may start")
        directory = Path(tempfile.mkdtemp(prefix="executor-"))
        directory.chmod(0o755)
        with Edge(directory, alerta.url, alerta_key, python=python) as made:
            made.script.chmod(0o755)
            os.chown(made.home, NOBODY, NOBODY)
            yield made
        shutil.rmtree(directory)

    def call(self, edge: Edge, url: str, name: str, alert_id: str) -> tuple[int, str, str]:
        payload = json.dumps(action(name, alert_id, note="kept"))
        arguments = ["--alertaApiUrl", url, "--alertaApiKey", edge.key, *SHORT, "-payload", payload]
        return edge.call(arguments, user=NOBODY, group=NOBODY, extra_groups=[])

    def test_it_makes_its_own_directory(self, edge: Edge, new_alert: NewAlert) -> None:
        alert_id = new_alert()
        assert self.call(edge, edge.url, "Acknowledge", alert_id)[::2] == (0, "")
        assert edge.spool_directory.stat().st_uid == NOBODY
        assert "it is kept" in self.call(edge, NOWHERE, "AddNote", alert_id)[1]
        assert {path.stat().st_uid for path in edge.home.rglob("*")} == {NOBODY}

    @pytest.mark.parametrize("mode", [0o500, 0o000])
    def test_a_home_that_it_may_not_write(self, edge: Edge, console: Console, new_alert: NewAlert, mode: int) -> None:
        edge.home.chmod(mode)
        alert_id = new_alert()
        code, output, errors = self.call(edge, edge.url, "Acknowledge", alert_id)
        assert (code, errors, console.status(alert_id)) == (0, "", "ack")
        assert "cannot be used (Permission denied): give it to the user that the connector runs as" in output
        code, _, errors = self.call(edge, NOWHERE, "AddNote", alert_id)
        assert code == 1
        assert "LOST: " in errors
        assert "cannot be written by nobody" in errors
        edge.home.chmod(0o700)


def _can_nobody_run(python: str) -> bool:
    try:
        done = subprocess.run([python, "-c", ""], user=NOBODY, group=NOBODY, check=False, cwd="/", capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


class TestSmallDisk:
    """On a real file system that is full or mounted read-only, in a mount namespace of the executor's own."""

    def run_on_disk(self, edge: Edge, options: str, script: str, *messages: str) -> str:
        """Run a shell script with a disk at the spool's place; in it `executor URL MESSAGE` starts the executor."""
        edge.spool_directory.mkdir(parents=True, mode=0o700)
        start = f'"{edge.directory}/bin/python" "{edge.script}" --alertaApiKey "$KEY" --timeLimit 1 --alertaApiUrl'
        program = (
            f'spool="{edge.spool_directory}"; mount -t tmpfs -o {options},mode=700 none "$spool"\n'
            f'executor() {{ set +e; {start} "$1" -payload "$2"; echo "exit $?"; set -e; }}\n{script}'
        )
        done = subprocess.run(
            [*own_mounts(), "sh", "-euc", program, "sh", *messages],
            env={**edge.environment, "KEY": edge.key, "PATH": f"{edge.environment['PATH']}:/usr/sbin:/sbin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    @pytest.mark.parametrize(
        ("options", "script", "mend", "mend_of_lost"),
        [
            pytest.param(
                "size=64k",
                'head -c 70000 /dev/zero > "$spool/ballast" || true',
                "make room on its file system",
                "free some on that file system",
                id="full",
            ),
            pytest.param("ro", "", "mount its file system for writing", "mount it for writing", id="read-only"),
        ],
    )
    def test_a_disk_that_takes_nothing(
        self,
        edge: Edge,
        console: Console,
        new_alert: NewAlert,
        options: str,
        script: str,
        mend: str,
        mend_of_lost: str,
    ) -> None:
        alert_id = new_alert()
        both = f'\nexecutor {edge.url} "$1"\nexecutor {NOWHERE} "$2"'
        told = self.run_on_disk(edge, options, script + both, *_messages(alert_id))
        assert "exit 0\n" in told
        assert "WARN applied Acknowledge" in told
        assert mend in told
        assert console.status(alert_id) == "ack"
        assert "LOST: http://127.0.0.1:9: Connection refused, and it could not be kept: " in told
        assert mend_of_lost in told
        assert told.endswith("exit 1\n")

    def test_what_a_nearly_full_disk_could_not_put_into_the_spool_is_delivered_once_there_is_room(
        self, edge: Edge, console: Console, new_alert: NewAlert
    ) -> None:
        alert_id = new_alert()
        script = f"""
            head -c $((1024 * 1024 - 12288)) /dev/zero > "$spool/ballast"
            executor {NOWHERE} "$2"
            ls "$spool/taken"
            rm "$spool/ballast"
            executor {edge.url} "$1"
            for _ in $(seq 100); do [ -z "$(ls "$spool/taken")" ] && ! [ -e "$spool/waiting" ] && break; sleep 0.1; done
        """
        told = self.run_on_disk(edge, "size=1m", script, *_messages(alert_id))
        assert "no space is left for the spool" in told
        assert "and is picked up from there" in told
        assert f"\n{alert_id}." in told
        assert [note["text"] for note in console.notes(alert_id)] == ["alice@example.com: kept"]
        assert console.status(alert_id) == "ack"


def _messages(alert_id: str) -> tuple[str, str]:
    return json.dumps(action("Acknowledge", alert_id)), json.dumps(action("AddNote", alert_id, note="kept"))


def own_mounts() -> list[str]:
    """The command before a command that gives it mounts of its own, which end with it."""
    for command in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        tried = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        if shutil.which("unshare") and subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return command
    return pytest.skip("no small disk to be had: neither as root nor in a user namespace")


class TestRefusedKey:
    """401 and 403: kept, and loud, until the key is mended; then the next executor brings all of it to Alerta."""

    @pytest.mark.parametrize("status", [401, 403])
    def test_the_line_names_the_mend_and_how_many_wait(
        self, edge: Edge, alerta: AlertaServer, console: Console, new_alert: NewAlert, status: int
    ) -> None:
        good_key = edge.key
        edge.key = "no-such-key" if status == 401 else alerta.create_key("reader@example.com", ["read:alerts"])
        alert_ids = [new_alert() for _ in range(3)]
        for number, alert_id in enumerate(alert_ids, 1):
            result = edge.run(action("Acknowledge", alert_id))
            assert result.exit_code == 1
            assert result.stderr.count("\n") == 1
            mend = "give an API key that Alerta knows" if status == 401 else "give the API key the scopes"
            assert f"Alerta answered HTTP {status}" in result.stderr
            assert mend in result.stderr
            assert f"the action is kept; {number} wait" in result.stderr
            assert edge.key not in result.stdout + result.stderr
        behind = edge.run(action("AddNote", alert_ids[0], note="behind"))
        assert (behind.exit_code, behind.stderr) == (0, "")
        edge.key = good_key
        assert edge.run(action("Close", new_alert())).exit_code == 0
        edge.await_drained(40)
        assert [console.status(alert_id) for alert_id in alert_ids] == ["ack"] * 3
        assert len(console.notes(alert_ids[0])) == 1
        assert edge.entries() == []

    def test_a_drainer_with_a_refused_key_ends_by_itself(self, edge: Edge, new_alert: NewAlert) -> None:
        edge.key = "no-such-key"
        edge.run(action("Acknowledge", new_alert()))
        await_true(edge.is_drained_by_someone)
        await_true(lambda: not edge.drainers(), 20)
        with Spool(edge.spool_directory) as spool:
            assert [entry.reason for entry in spool.entries("waiting")] == ["unauthorized"]
