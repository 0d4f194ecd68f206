"""`alerta-opsgenie spool`: what a person sees of what waits and what is dead, and what they can do about it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alerta_opsgenie.cli import group
from alerta_opsgenie.core.message import essence, parse
from alerta_opsgenie.journal import Entry, Spool, try_lock
from alerta_opsgenie.lanes import Desk, Job
from tests.support.bad_server import BadServer
from tests.support.executor import Edge, await_true
from tests.support.proxy import Proxy
from tests.support.stories import action

NOWHERE = "http://127.0.0.1:9"
ENVIRONMENT = {"ALERTA_API_URL": NOWHERE, "ALERTA_API_KEY": "key"}


class Shop:
    """A spool, and the command line before it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def keep(self, name: str, *, state: str = "waiting", age_seconds: float = 0.0, **fields: Any) -> Job:
        """Put an action there; `dead` makes a dead letter of it."""
        message = parse(json.dumps(action(name, str(uuid.uuid4()), **fields)))
        alert = message.alert or {}
        job = Job(message.key, alert["alias"], message.updated_ns, message.action, essence(message), time.time())
        now = time.time() - age_seconds
        with Spool(self.directory) as spool:
            spool.keep(
                job.key, job.lane, job.order_ns, job.body, kind=job.kind, now=now, reason="network", detail="why"
            )
            if state == "dead":
                entry = spool.claim(time.time(), 60, "test", job.lane)
                assert entry
                spool.bury(entry, "not-found", "Alerta has no such alert", time.time())
        return job

    def entries(self) -> list[Entry]:
        with Spool(self.directory) as spool:
            return list(spool.entries())

    def run(self, *arguments: str, answer: str = "", **environment: str) -> Result:
        """Run a command in this process."""
        command = ["spool", *arguments, "--spool-dir", str(self.directory)]
        return CliRunner().invoke(group, command, input=answer, env={**ENVIRONMENT, **environment})

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command as a process."""
        program = [sys.executable, "-c", "from alerta_opsgenie.cli import main; main()"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*program, "spool", *arguments, "--spool-dir", str(self.directory)],
            env={**os.environ, **ENVIRONMENT, **environment},
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )

    def call(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        with self.start(*arguments, **environment) as process:
            output, errors = process.communicate(timeout=30)
        return process.returncode, output, errors


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "spool")


class TestList:
    def test_an_empty_spool_is_told_as_such(self, shop: Shop) -> None:
        Spool(shop.directory).close()
        result = shop.run("list")
        assert (result.exit_code, result.output) == (0, "0 waiting; 0 dead\n")

    def test_a_table_has_a_line_for_each_with_age_tries_and_reason(self, shop: Shop) -> None:
        waiting = shop.keep("Acknowledge", age_seconds=7200)
        dead = shop.keep("Close", state="dead")
        lines = shop.run("list").output.splitlines()
        assert lines[0].split() == ["ID", "STATE", "AGE", "TRIES", "ACTION", "ALERT", "REASON"]
        assert lines[1].split() == ["1", "waiting", "2", "h", "0", "Acknowledge", waiting.lane, "network:", "why"]
        assert lines[2].split()[1:6] == ["dead", "0", "s", "1", "Close"]
        assert lines[2].endswith(f"{dead.lane} not-found: Alerta has no such alert")
        assert lines[3] == "1 waiting, the oldest for 2 h; 1 dead"

    def test_json_has_the_counts_and_the_entries(self, shop: Shop) -> None:
        job = shop.keep("Acknowledge", age_seconds=90)
        shop.keep("Close", state="dead")
        read = json.loads(shop.run("list", "--json").output)
        assert (read["waiting"], read["dead"]) == (1, 1)
        assert 90 <= read["oldest_waiting_seconds"] < 100
        assert read["oldest_dead_seconds"] < 10
        first = read["entries"][0]
        assert {name: first[name] for name in ("id", "state", "action", "alert", "reason", "attempts", "key")} == {
            "id": 1, "state": "waiting", "action": "Acknowledge", "alert": job.lane, "reason": "network", "attempts": 0,
            "key": job.key,
        }  # fmt: skip
        assert first["kept_at"].endswith("Z")

    @pytest.mark.parametrize("state", ["waiting", "dead"])
    def test_one_state_alone_can_be_asked_for(self, shop: Shop, state: str) -> None:
        shop.keep("Acknowledge")
        shop.keep("Close", state="dead")
        entries = json.loads(shop.run("list", "--state", state, "--json").output)["entries"]
        assert [entry["state"] for entry in entries] == [state]

    def test_what_a_killed_executor_left_is_listed_too(self, shop: Shop) -> None:
        desk = Desk(str(shop.directory))
        desk.prepare()
        desk.take(Job("k", str(uuid.uuid4()), 1, "Close", '{"action": "Close"}', time.time())).leave()
        result = shop.run("list")
        assert result.exit_code == 0
        assert "the process that had taken it was killed" in result.output
        assert "1 waiting" in result.output

    def test_looking_for_a_spool_where_none_is_makes_none(self, shop: Shop) -> None:
        code, output, errors = shop.call("list")
        assert (code, output) == (0, "0 waiting; 0 dead\n")
        assert errors == f"note: nothing has been kept in {shop.directory} yet\n"
        assert not shop.directory.exists()

    def test_a_damaged_spool_is_set_aside_with_a_warning(self, shop: Shop) -> None:
        shop.directory.mkdir(mode=0o700)
        (shop.directory / "spool.db").write_bytes(b"no database" * 500)
        code, output, errors = shop.call("list")
        assert (code, output) == (0, "0 waiting; 0 dead\n")
        assert errors.startswith("warning: the spool was damaged and lies in ")


class TestShow:
    def test_an_entry_is_shown_whole(self, shop: Shop) -> None:
        job = shop.keep("AddNote", note="größer 🔥")
        result = shop.run("show", "1")
        assert result.exit_code == 0
        assert f"alert:         {job.lane}\n" in result.output
        assert '"note": "größer 🔥"' in result.output

    def test_one_whose_message_nobody_can_read_is_shown_as_a_text(self, shop: Shop) -> None:
        with Spool(shop.directory) as spool:
            spool.keep("k", "lane", 1, "no JSON \x1b[2J", now=time.time())
        result = shop.run("show", "1")
        assert (result.exit_code, result.output.splitlines()[-1]) == (0, '"no JSON \\u001b[2J"')

    def test_one_that_is_not_there_is_wrong_usage(self, shop: Shop) -> None:
        shop.keep("Close")
        code, output, errors = shop.call("show", "7")
        assert (code, output) == (2, "")
        assert errors == "error: there is no entry 7\n  try: alerta-opsgenie spool list\n"


class TestRetryAndDrop:
    @pytest.mark.parametrize("command", ["retry", "drop"])
    def test_nothing_happens_without_a_selection(self, shop: Shop, command: str) -> None:
        shop.keep("Close", state="dead")
        for arguments in ((command,), (command, "--all", "1")):
            result = shop.run(*arguments)
            assert result.exit_code == 2
            assert "name the entries by their ID, or say --all" in result.output
        assert [entry.state for entry in shop.entries()] == ["dead"]

    @pytest.mark.parametrize("command", ["retry", "drop"])
    def test_what_would_be_done_is_shown_first_and_a_no_does_nothing(self, shop: Shop, command: str) -> None:
        job = shop.keep("Close", state="dead")
        result = shop.run(command, "--all", answer="n\n")
        assert result.exit_code == 1
        assert job.lane in result.output
        assert f"{command} 1? [y/N]" in result.output
        assert [entry.state for entry in shop.entries()] == ["dead"]

    def test_a_retried_one_waits_again_and_what_comes_goes_behind_it(self, shop: Shop) -> None:
        job = shop.keep("Close", state="dead")
        shop.keep("Acknowledge")
        result = shop.run("retry", "--all", answer="y\n")
        assert result.exit_code == 0
        assert "1 will be tried again by the next drainer: alerta-opsgenie spool drain\n" in result.output
        assert [entry.state for entry in shop.entries()] == ["waiting", "waiting"]
        desk = Desk(str(shop.directory))
        lane = desk.lane(job.lane)
        lane.read()
        assert lane.waits
        assert desk.something_waits

    def test_all_means_the_dead_ones(self, shop: Shop) -> None:
        shop.keep("Acknowledge")
        shop.keep("Close", state="dead")
        assert shop.run("drop", "--all", "--yes").output.endswith("1 dropped\n")
        assert [entry.kind for entry in shop.entries()] == ["Acknowledge"]

    def test_one_that_waits_is_dropped_by_its_id(self, shop: Shop) -> None:
        for name in ("Acknowledge", "Close", "AddTags"):
            shop.keep(name, addedTags="a")
        assert shop.run("drop", "1", "3", "--yes").exit_code == 0
        assert [entry.kind for entry in shop.entries()] == ["Close"]

    def test_an_id_that_is_not_there_stops_the_rest(self, shop: Shop) -> None:
        shop.keep("Close", state="dead")
        assert shop.run("drop", "1", "9", "--yes").exit_code == 2
        assert len(shop.entries()) == 1

    def test_both_work_as_processes(self, shop: Shop) -> None:
        shop.keep("Close", state="dead")
        assert shop.call("retry", "1", "--yes")[::2] == (0, "")
        assert [entry.state for entry in shop.entries()] == ["waiting"]
        assert shop.call("drop", "1", "--yes")[::2] == (0, "")
        assert shop.entries() == []
        assert shop.call("drop", "1")[0] == 2


class TestDrain:
    def test_what_waits_is_delivered_with_a_line_each(self, shop: Shop) -> None:
        job = shop.keep("Acknowledge")
        with BadServer("ok") as server:
            code, output, errors = shop.call("drain", ALERTA_API_URL=server.url)
        assert (code, errors) == (0, "")
        assert output.splitlines()[0].split() == ["applied", "Acknowledge", job.lane, "done"]
        assert output.endswith("0 waiting, 0 dead\n")
        assert shop.entries() == []

    def test_a_mended_dead_letter_is_delivered_after_retry(self, shop: Shop) -> None:
        shop.keep("Acknowledge", state="dead")
        assert shop.run("retry", "--all", "--yes").exit_code == 0
        with BadServer("ok") as server:
            assert shop.run("drain", ALERTA_API_URL=server.url).exit_code == 0
        assert shop.entries() == []

    def test_a_refused_key_is_exit_1_with_the_mend(self, shop: Shop) -> None:
        shop.keep("Acknowledge")
        with Proxy(NOWHERE) as proxy, proxy.answering(401):
            code, output, errors = shop.call("drain", ALERTA_API_URL=proxy.url)
        assert code == 1
        assert "1 waiting, 0 dead" in output
        assert errors.splitlines() == [
            "error: Alerta answered HTTP 401: the proxy says so",
            "  try: give an API key that Alerta knows (--alertaApiKeyFile, ALERTA_API_KEY or --alertaApiKey)",
        ]

    def test_it_leaves_another_drainer_alone(self, shop: Shop) -> None:
        shop.keep("Acknowledge")
        with try_lock(shop.directory, "drainer") or pytest.fail("the role is free"):
            result = shop.run("drain")
        assert (result.exit_code, result.output) == (0, "another drainer is at work on this spool already\n")

    def test_where_alerta_is_must_be_said(self, shop: Shop) -> None:
        code, output, errors = shop.call("drain", ALERTA_API_URL="")
        assert (code, output) == (2, "")
        assert errors.startswith("error: no Alerta to talk to: give --alertaApiUrl")
        assert shop.run("drain", ALERTA_API_URL="ftp://x").exit_code == 2

    def test_the_connectors_own_configuration_says_it_too(self, shop: Shop, tmp_path: Path) -> None:
        shop.keep("Acknowledge")
        (tmp_path / "host").mkdir()
        with BadServer("ok") as server, Edge(tmp_path / "host", server.url, "key-of-the-file") as edge:
            assert edge.config
            [path] = edge.directory.glob("config-*.json")
            code, _, errors = shop.call("drain", "--config", str(path), ALERTA_API_URL="", ALERTA_API_KEY="")
            assert (code, errors) == (0, "")
            assert server.received[0].headers["authorization"] == "Key key-of-the-file"

    def test_a_watching_one_goes_on_until_sigterm(self, shop: Shop) -> None:
        shop.keep("Acknowledge")
        with BadServer("ok") as server, shop.start("drain", "--watch", ALERTA_API_URL=server.url) as process:
            await_true(lambda: not shop.entries(), 20)
            shop.keep("Close")
            await_true(lambda: not shop.entries(), 20)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
        assert output.count("applied") == 2

    def test_sigterm_ends_one_that_cannot_deliver_with_exit_1(self, shop: Shop) -> None:
        shop.keep("Acknowledge")
        with BadServer("close") as server, shop.start("drain", ALERTA_API_URL=server.url) as process:
            await_true(lambda: any(entry.attempts for entry in shop.entries()), 20)
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "kept      Acknowledge" in output
        assert errors.splitlines()[0] == "error: 1 could not be delivered"


class TestTrouble:
    @pytest.mark.parametrize("arguments", [("list",), ("show", "1"), ("retry", "--all"), ("drop", "--all"), ("drain",)])
    def test_a_spool_that_cannot_be_used_is_two_lines_and_exit_1(self, shop: Shop, arguments: tuple[str, ...]) -> None:
        shop.directory.mkdir(mode=0o755)
        shop.directory.chmod(0o755)
        (shop.directory / "taken").mkdir()
        code, output, errors = shop.call(*arguments)
        assert (code, output) == (1, "")
        assert errors.splitlines() == [
            f"error: the spool directory {shop.directory} is open to other users (mode 0755)",
            f"  try: chmod 700 {shop.directory}",
        ]

    def test_lanes_that_cannot_be_used_are_two_lines_too(self, shop: Shop) -> None:
        shop.keep("Acknowledge")
        (shop.directory / "taken").mkdir()
        (shop.directory / "lanes").write_text("")
        for command in ("retry", "drain"):
            shop.keep("Close", state="dead")
            code, _, errors = shop.call(command, *(["--all", "--yes"] if command == "retry" else []))
            assert code == 1
            assert "Not a directory" in errors.splitlines()[0]
            assert errors.splitlines()[1].startswith("  try: mend it, or name another directory")

    def test_help_is_there_for_each(self) -> None:
        for command in ("list", "show", "retry", "drop", "drain"):
            result = CliRunner().invoke(group, ["spool", command, "--help"])
            assert result.exit_code == 0
            assert "--spool-dir" in result.output
