"""Where the state directory cannot be used, the executor delivers what it can and reports what is lost."""

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

from alerta_opsgenie.vendor.runner import ScriptResult
from tests.support.console import Console, NewAlert
from tests.support.executor import PYTHON_MINORS, Edge, find_python
from tests.support.scenarios import action

NOBODY = 65534
NOWHERE = "http://127.0.0.1:9"
SHORT = ("--timeLimit", "3")

pytestmark = [pytest.mark.faults]

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others and mount a small disk")


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


def below_a_file(directory: Path) -> None:
    make_private(directory.parent.parent)
    directory.parent.write_text("")


UNUSABLE = [
    pytest.param(a_file_in_its_place, "cannot be used", id="file"),
    pytest.param(below_a_file, "cannot be used", id="below-a-file"),
]


def run_unreachable(edge: Edge, alert_id: str, note: str = "kept") -> ScriptResult:
    other = edge.at(NOWHERE)
    other.arguments = (*edge.arguments, *SHORT)
    return other.run(action("AddNote", alert_id, note=note))


def assert_lost(result: ScriptResult, advice: str) -> None:
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "LOST: " in result.stderr
    assert "and it could not be kept: " in result.stderr
    assert advice in result.stderr
    assert " ERROR LOST AddNote " in result.stdout


def assert_delivered_with_warning(result: ScriptResult, advice: str) -> None:
    assert (result.exit_code, result.stderr) == (0, "")
    assert " WARN applied Acknowledge " in result.stdout
    assert advice in result.stdout


@pytest.mark.parametrize(("spoil", "advice"), UNUSABLE)
def test_a_directory_that_cannot_be_used(
    edge: Edge, console: Console, new_alert: NewAlert, spoil: Callable[[Path], None], advice: str
) -> None:
    spoil(edge.spool_directory)
    alert_id = new_alert()
    assert_delivered_with_warning(edge.run(action("Acknowledge", alert_id)), advice)
    assert console.status(alert_id) == "ack"
    assert_lost(run_unreachable(edge, alert_id), advice)


def test_a_corrupt_journal_is_replaced_and_nothing_stops(edge: Edge, console: Console, new_alert: NewAlert) -> None:
    edge.run(action("AddNote", new_alert(), note="makes the journal"))
    edge.kill_agents()
    [database] = [path for path in edge.files() if path.name == "journal.db"]
    garbage = b"not a database at all" * 500
    database.write_bytes(garbage)
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    alert_id = new_alert()
    result = edge.run(action("Acknowledge", alert_id))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "was damaged and is now " in result.stdout
    [aside] = [path for path in edge.files() if ".damaged-" in path.name]
    assert aside.read_bytes() == garbage
    assert console.status(alert_id) == "ack"


def test_a_python_without_sqlite_delivers_and_names_what_is_missing(
    edge: Edge, console: Console, new_alert: NewAlert, tmp_path: Path
) -> None:
    (tmp_path / "crippled").mkdir()
    (tmp_path / "crippled" / "sqlite3.py").write_text("raise ImportError('no _sqlite3 here')\n")
    edge.environment["PYTHONPATH"] = str(tmp_path / "crippled")
    alert_id = new_alert()
    result = edge.run(action("Acknowledge", alert_id), KILL_ROLE="")
    if edge.agents():
        pytest.skip("the agent does not inherit this environment, and has SQLite")
    assert_delivered_with_warning(result, "this Python has no sqlite3")


@root_only
class TestOrdinaryUser:
    """With a user of its own, as in the connectors' packages, and a directory that it may not write."""

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

    def test_a_directory_of_another_user(self, edge: Edge, console: Console, new_alert: NewAlert) -> None:
        make_private(edge.spool_directory).chmod(0o755)
        alert_id = new_alert()
        code, output, _ = self.call(edge, edge.url, "Acknowledge", alert_id)
        assert (code, console.status(alert_id)) == (0, "ack")
        assert "belongs to root" in output
        assert list(edge.spool_directory.iterdir()) == []

    def test_root_acts_as_the_directorys_owner(self, edge: Edge, console: Console, new_alert: NewAlert) -> None:
        os.chown(make_private(edge.spool_directory), NOBODY, NOBODY)
        for path in (edge.home / ".local", edge.home / ".local/state"):
            os.chown(path, NOBODY, NOBODY)
        alert_id = new_alert()
        payload = json.dumps(action("Acknowledge", alert_id))
        arguments = ["--alertaApiUrl", edge.url, "--alertaApiKey", edge.key, "-payload", payload]
        assert edge.call(arguments)[::2] == (0, "")
        assert console.status(alert_id) == "ack"
        assert {path.stat().st_uid for path in edge.spool_directory.rglob("*")} == {NOBODY}
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in edge.agents()} == {NOBODY}

    @pytest.mark.parametrize("mode", [0o500, 0o000])
    def test_a_home_that_it_may_not_write(self, edge: Edge, console: Console, new_alert: NewAlert, mode: int) -> None:
        edge.home.chmod(mode)
        alert_id = new_alert()
        code, output, errors = self.call(edge, edge.url, "Acknowledge", alert_id)
        assert (code, errors, console.status(alert_id)) == (0, "", "ack")
        assert "cannot be used" in output
        code, _, errors = self.call(edge, NOWHERE, "AddNote", alert_id)
        assert code == 1
        assert "LOST: " in errors
        assert "look at owner and mode" in errors
        edge.home.chmod(0o700)


def _can_nobody_run(python: str) -> bool:
    try:
        done = subprocess.run([python, "-c", ""], user=NOBODY, group=NOBODY, check=False, cwd="/", capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


class TestSmallDisk:
    """On a real file system that is full or mounted read-only, in a mount namespace for the executor."""

    def run_on_disk(self, edge: Edge, options: str, script: str, *messages: str) -> str:
        """Run a shell script with a disk at the spool's place; in it `executor URL MESSAGE` starts the executor."""
        edge.spool_directory.mkdir(parents=True, mode=0o700)
        start = f'"{edge.directory}/bin/python" "{edge.script}" --alertaApiKey "$KEY" --timeLimit 3 --alertaApiUrl'
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
        ("options", "script"),
        [
            pytest.param("size=64k", 'head -c 70000 /dev/zero > "$spool/ballast" || true', id="full"),
            pytest.param("ro", "", id="read-only"),
        ],
    )
    def test_a_disk_that_cannot_be_written(
        self, edge: Edge, console: Console, new_alert: NewAlert, options: str, script: str
    ) -> None:
        alert_id = new_alert()
        both = f'\nexecutor {edge.url} "$1"\nexecutor {NOWHERE} "$2"'
        found = self.run_on_disk(edge, options, script + both, *_messages(alert_id))
        assert "exit 0\n" in found
        assert "WARN applied Acknowledge" in found
        assert console.status(alert_id) == "ack"
        assert "LOST: http://127.0.0.1:9: Connection refused, and it could not be kept: " in found
        assert found.endswith("exit 1\n")

    def test_after_the_disk_has_room_again_actions_are_kept(
        self, edge: Edge, console: Console, new_alert: NewAlert
    ) -> None:
        """The same agent continues after a full disk, and its problem ends with the first commit."""
        alert_id = new_alert()
        script = f"""
            executor {edge.url} "$1"
            head -c 4000000 /dev/zero > "$spool/ballast" || true
            executor {edge.url} "$2"
            rm "$spool/ballast"
            executor {edge.url} "$3"
        """
        third = json.dumps(action("AddNote", alert_id, note="with room"))
        found = self.run_on_disk(edge, "size=2m", script, *_messages(alert_id), third)
        lines = [line for line in found.splitlines() if "Z " in line]
        assert [line.split()[1] for line in lines] == ["INFO", "WARN", "INFO"], found
        assert "make room" in lines[1]
        assert sorted(note["text"] for note in console.notes(alert_id)) == [
            "alice@example.com: kept", "alice@example.com: with room",
        ]  # fmt: skip


def _messages(alert_id: str) -> tuple[str, str]:
    return json.dumps(action("Acknowledge", alert_id)), json.dumps(action("AddNote", alert_id, note="kept"))


def own_mounts() -> list[str]:
    """Return the prefix of a command for a mount namespace of its own."""
    for command in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        tried = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        if shutil.which("unshare") and subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return command
    return pytest.skip("no small disk can be mounted: neither as root nor in a user namespace")


class TestRefusedKey:
    """401 and 403: actions are kept and exit 1, until an executor with a good key delivers them."""

    @pytest.mark.parametrize("status", [401, 403])
    def test_the_line_has_advice_and_the_number_of_waiting_actions(
        self, edge: Edge, alerta: AlertaServer, console: Console, new_alert: NewAlert, status: int
    ) -> None:
        good_key = edge.key
        edge.key = "no-such-key" if status == 401 else alerta.create_key("reader@example.com", ["read:alerts"])
        alert_ids = [new_alert() for _ in range(2)]
        for number, alert_id in enumerate(alert_ids, 1):
            result = edge.run(action("Acknowledge", alert_id))
            assert result.exit_code == 1
            assert result.stderr.count("\n") == 1
            advice = "give an API key that Alerta knows" if status == 401 else "give the API key the scopes"
            assert f"Alerta answered HTTP {status}" in result.stderr
            assert advice in result.stderr
            assert f"the action is kept; {number} wait" in result.stderr
            assert edge.key not in result.stdout + result.stderr
        behind = edge.run(action("AddNote", alert_ids[0], note="behind"))
        assert (behind.exit_code, behind.stderr) == (0, "")
        edge.key = good_key
        assert edge.run(action("Close", new_alert())).exit_code == 0
        edge.await_drained(40)
        assert [console.status(alert_id) for alert_id in alert_ids] == ["ack"] * 2
        assert len(console.notes(alert_ids[0])) == 1
        assert edge.entries() == []
