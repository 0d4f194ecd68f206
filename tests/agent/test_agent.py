"""The resident agent as a process: who may use it, when it ends, and what replaces it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerta_opsgenie import __version__
from alerta_opsgenie.agent import handover
from alerta_opsgenie.agent.client import PACKAGE, ask_status, ask_to_retire
from alerta_opsgenie.agent.deliverer import WORKERS
from alerta_opsgenie.executor import build
from tests.support.bad_server import BadServer
from tests.support.executor import Edge, await_true, bare_python
from tests.support.proxy import Proxy
from tests.support.scenarios import JSON, action

KEY = "a-key-of-forty-characters-or-there-abou"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that answers ok to every request."""
    with BadServer("ok") as server, Proxy(server.url) as made:
        yield made


@pytest.fixture
def edge(tmp_path: Path, proxy: Proxy) -> Iterator[Edge]:
    with Edge(tmp_path, proxy.url, KEY) as made:
        yield made


def close(by: str = "alice@example.com") -> JSON:
    return action("Close", str(uuid.uuid4()), by=by)


class TestSocket:
    def test_only_its_owner_can_reach_it(self, edge: Edge) -> None:
        edge.run(close())
        assert stat.S_IMODE((edge.spool_directory / "agent.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE(edge.spool_directory.stat().st_mode) == 0o700

    def test_a_path_that_is_longer_than_a_socket_address(self, edge: Edge, tmp_path: Path) -> None:
        deep = tmp_path / ("x" * 100) / ("y" * 100)
        edge.arguments = ("--spoolDir", str(deep))
        assert [edge.run(close()).exit_code for _ in range(2)] == [0, 0]
        status = ask_status(str(deep))
        assert status is not None
        os.kill(status["pid"], signal.SIGKILL)

    def test_a_socket_that_a_killed_agent_has_left_is_replaced(self, edge: Edge) -> None:
        edge.run(close())
        edge.kill_agents()
        assert (edge.spool_directory / "agent.sock").exists()
        assert " applied " in edge.run(close()).stdout
        assert len(edge.agents()) == 1

    def test_a_directory_that_others_may_write_is_not_trusted(self, edge: Edge) -> None:
        edge.run(close())
        edge.kill_agents()
        edge.spool_directory.chmod(0o777)
        result = edge.run(close())
        assert "can be written by others" in result.stdout
        assert result.exit_code == 0, "it is still delivered, without order and memory"
        assert not edge.agents()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can serve as another user")
    def test_a_server_of_another_user_gets_nothing(self, edge: Edge) -> None:
        edge.run(close())
        edge.kill_agents()
        path = edge.spool_directory / "agent.sock"
        path.unlink()
        listener = socket.socket(socket.AF_UNIX)
        directory = os.open(edge.spool_directory, os.O_RDONLY)
        listener.bind(handover.socket_address(directory))
        child = os.fork()
        if not child:  # `listen` is what SO_PEERCRED names
            os.setuid(65534)
            listener.listen()
            time.sleep(60)
            os._exit(0)
        await_true(lambda: handover_is_refused(edge), 10)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    @pytest.mark.parametrize(("mode", "uid"), [(0o755, 65534), (0o1777, 0)], ids=["of root", "shared"])
    def test_root_becomes_the_owner_unless_any_user_could_have_made_the_directory(
        self, tmp_path: Path, mode: int, uid: int
    ) -> None:
        shared = tmp_path / "shared"
        (shared / "state").mkdir(parents=True)
        os.chown(shared / "state", 65534, 65534)
        shared.chmod(mode)
        imports = "import os, sys; from alerta_opsgenie.agent.client import become_owner"
        program = f"{imports}; become_owner(sys.argv[1]); print(os.geteuid())"
        command = [sys.executable, "-c", program, str(shared / "state")]
        done = subprocess.run(command, check=True, capture_output=True)
        assert int(done.stdout) == uid

    def test_an_invalid_frame_does_no_harm(self, edge: Edge) -> None:
        edge.run(close())
        for junk in (b"", b"hello", b"zzzzzzzz", b"ffffffff" + b"x" * 100, b"0000000cno\0such\0thing", b"00000001\0"):
            connection = handover.connect(str(edge.spool_directory), 5.0)
            connection.sendall(junk)
            connection.close()
        assert " applied " in edge.run(close()).stdout
        assert len(edge.agents()) == 1


def handover_is_refused(edge: Edge) -> bool:
    try:
        handover.connect(str(edge.spool_directory), 1.0).close()
    except handover.UnsafeError as error:
        return "belongs to user 65534" in str(error)
    except handover.NoAgentError:
        return False
    return False


class TestProcess:
    def test_many_first_executors_start_one_agent(self, edge: Edge) -> None:
        results = edge.run_all([close() for _ in range(12)])
        assert {(result.exit_code, result.stderr) for result in results} == {(0, "")}
        await_true(lambda: len(edge.agents()) == 1, 30, "one agent")

    def test_it_ends_when_it_has_been_idle(self, edge: Edge) -> None:
        edge.arguments = ("--agentIdle", "1")
        edge.run(close())
        await_true(lambda: not edge.agents(), 30, "the end of an idle agent")
        assert not (edge.spool_directory / "agent.sock").exists()

    def test_it_stays_while_something_waits(self, edge: Edge, proxy: Proxy) -> None:
        edge.arguments = ("--agentIdle", "0.5", "--timeLimit", "2")
        with proxy.answering(503):
            edge.run(close())
            time.sleep(2)
            assert edge.agents()
        await_true(lambda: not edge.agents(), 60, "the end of an agent with nothing left to do")
        assert not edge.unfinished()

    @pytest.mark.parametrize("hangs", [False, True], ids=["idle", "with a request that hangs"])
    def test_sigterm_ends_it_within_ten_seconds(self, edge: Edge, proxy: Proxy, hangs: bool) -> None:
        edge.arguments = ("--timeLimit", "2")
        edge.run(close())
        [pid] = edge.agents()
        if hangs:
            with proxy.hanging():
                edge.run(close())
                os.kill(pid, signal.SIGTERM)
                await_true(lambda: not edge.agents(), 10.5, "its end")
            assert len(edge.unfinished()) == 1
        else:
            os.kill(pid, signal.SIGTERM)
            await_true(lambda: not edge.agents(), 10.5, "its end")

    def test_it_ends_when_asked_and_still_responds_to_open_requests(self, edge: Edge, proxy: Proxy) -> None:
        edge.run(close())
        payload = json.dumps(close())
        with proxy.delaying(1.0):
            late = edge.start(["--alertaApiUrl", edge.url, "--alertaApiKey", KEY, "-payload", payload])
            await_true(lambda: len(proxy.exchanges) > 1 or edge.status()["targets"], 10)
            assert ask_to_retire(str(edge.spool_directory)) == b"agent"
            output, _ = late.communicate(timeout=30)
        assert b" applied " in output
        await_true(lambda: not edge.agents() or len(edge.agents()) == 1, 15)


    def test_it_ends_when_its_directory_is_replaced(self, edge: Edge) -> None:
        edge.run(close())
        [old] = edge.agents()
        shutil.rmtree(edge.spool_directory)
        assert " applied " in edge.run(close()).stdout
        await_true(lambda: edge.agents() and old not in edge.agents(), 15, "the end of the old agent")

    def test_it_imports_nothing_from_the_working_directory(
        self, edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trap = tmp_path / "shared" / "alerta_opsgenie"
        trap.mkdir(parents=True)
        (trap / "__init__.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
        monkeypatch.chdir(trap.parent)
        handover.spawn(PACKAGE, str(edge.spool_directory), "60")
        await_true(lambda: ask_status(str(edge.spool_directory)) is not None, 20, "an agent")
        assert not (tmp_path / "sprung").exists()

class TestVersions:
    @pytest.fixture
    def newer(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The path of an executor of a later version."""
        text = build._text
        monkeypatch.setattr(build, "_text", lambda name: text(name).replace(f'"{__version__}"', '"99.0.0"'))
        monkeypatch.setattr("alerta_opsgenie.__version__", "99.0.0")
        path = edge.script.with_name("newer.py")
        path.write_bytes(build.build())
        return path

    def run_newer(self, edge: Edge, path: Path) -> subprocess.CompletedProcess[str]:
        command = [bare_python(), str(path), "--alertaApiUrl", edge.url, "--alertaApiKey", KEY]
        payload = json.dumps(close())
        environment = dict(edge.environment)
        return subprocess.run(
            [*command, "-payload", payload], check=False, capture_output=True, text=True, env=environment
        )

    def test_a_newer_executor_replaces_the_agent(self, edge: Edge, newer: Path) -> None:
        edge.run(close())
        [old] = edge.agents()
        assert " applied " in self.run_newer(edge, newer).stdout
        await_true(lambda: edge.agents() and old not in edge.agents(), 30, "another agent")
        await_true(lambda: ask_status(str(edge.spool_directory)) is not None, 30)
        assert " applied " in edge.run(close()).stdout

    def test_an_older_executor_does_not(self, edge: Edge, newer: Path) -> None:
        self.run_newer(edge, newer)
        pids = edge.agents()
        assert " applied " in edge.run(close()).stdout
        assert edge.agents() == pids


class TestTargets:
    def test_an_action_is_never_delivered_to_another_alerta(self, edge: Edge, proxy: Proxy) -> None:
        edge.arguments = ("--timeLimit", "1")
        with BadServer("ok") as other_server:
            with proxy.refusing():
                edge.run(close(by="first@example.com"))
                assert " applied " in edge.at(other_server.url).run(close(by="second@example.com")).stdout
            edge.await_drained()
            people = {message.headers["x-alerta-on-behalf-of"] for message in other_server.received}
        assert people == {"second@example.com"}
        assert {entry.headers["x-alerta-on-behalf-of"] for entry in proxy.exchanges if entry.passed} == {
            "first@example.com"
        }

    def test_an_alerta_that_hangs_does_not_delay_another(self, edge: Edge, proxy: Proxy) -> None:
        """As many actions as it has workers hang for ten seconds."""
        edge.arguments = ("--timeLimit", "2")
        with BadServer("ok") as other_server, proxy.hanging() as fault:
            command = ["--alertaApiUrl", edge.url, "--alertaApiKey", KEY, "--timeLimit", "1", "-payload"]
            hung = [edge.start([*command, json.dumps(close())]) for _ in range(WORKERS)]
            await_true(lambda: fault.hits >= WORKERS, 20)
            assert " applied " in edge.at(other_server.url).run(close()).stdout
            for process in hung:
                process.communicate()

    def test_two_mappings_with_two_settings_keep_their_own(self, edge: Edge) -> None:
        edge.arguments = ("--source", "Zabbix")
        assert "ignored" in edge.run(close()).stdout
        edge.arguments = ()
        assert " applied " in edge.run(close()).stdout
        edge.arguments = ("--source", "Zabbix")
        assert "ignored" in edge.run(close()).stdout
        assert len(edge.agents()) == 1


def test_without_an_agent_the_executor_delivers_and_leaves_no_process(edge: Edge) -> None:
    edge.arguments = ("--noAgent",)
    message = close()
    first, again = edge.run(message), edge.run(message)
    assert " applied " in first.stdout
    assert " already " in again.stdout
    assert not edge.agents()
    assert [entry.state for entry in edge.actions()] == ["done"]


def test_without_an_agent_the_next_executor_delivers_what_waits(edge: Edge, proxy: Proxy) -> None:
    edge.arguments = ("--noAgent", "--timeLimit", "1")
    with proxy.answering(503):
        assert " kept " in edge.run(close()).stdout
    edge.arguments = ("--noAgent",)
    await_true(lambda: edge.run(close()).exit_code == 0 and not edge.unfinished(), 30, "delivery by the next executor")


def test_an_installed_package_can_be_the_executor(edge: Edge, tmp_path: Path) -> None:
    payload = json.dumps(close())
    program = [sys.executable, "-m", "alerta_opsgenie.executor", "--alertaApiUrl", edge.url, "--alertaApiKey", KEY]
    done = subprocess.run(
        [*program, "-payload", payload], check=False, capture_output=True, text=True, env={"HOME": str(edge.home)}
    )
    assert " applied " in done.stdout, done.stderr
    assert edge.status()["kind"] == "agent"
