"""A server that is not Alerta, or none: the executor ends within its limit and the journal has the action."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alerta_opsgenie.core.outcome import Reason
from alerta_opsgenie.vendor.runner import ScriptResult
from tests.support.bad_server import MODES, BadServer, PrivateCa
from tests.support.executor import Edge
from tests.support.scenarios import action

ALERT = "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"
KEY = "a-key-that-nobody-must-see-4a1b"
LIMIT_SECONDS = 3.0
GRACE_SECONDS = 20.0  # for the start on a busy machine; without the limit one request takes ten

TIMES_OUT = {"hang", "drip-headers", "drip-body", "announce-1-gb"}
NOT_ALERTA = {
    "html", "no-content", "empty", "redirect", "bad-json", "bad-length", "json-list", "json-null", "not-utf-8",
    "deep-json",
}  # fmt: skip
DONE = {"ok", "until-close"}
SAMPLE = {
    "body-10-mb", "close-in-body", "deep-json", "drip-body", "hang", "html", "not-http", "ok", "redirect", "reset",
}  # fmt: skip
"""One of each kind; tests/clients has every mode."""

pytestmark = pytest.mark.faults

Reach = Callable[[str], Edge]


@pytest.fixture
def reach(tmp_path: Path) -> Iterator[Reach]:
    """Return a function that makes a connector's host for an Alerta URL."""
    made: list[Edge] = []

    def make(url: str) -> Edge:
        made.append(Edge(tmp_path, url, KEY, arguments=("--timeLimit", str(LIMIT_SECONDS), "--logLevel", "DEBUG")))
        return made[0]

    yield make
    for edge in made:
        edge.kill_agents()


def acknowledge(edge: Edge) -> ScriptResult:
    """Run one action. It must end in time and show no key."""
    began = time.monotonic()
    result = edge.run(action("Acknowledge", ALERT))
    assert time.monotonic() - began < LIMIT_SECONDS + GRACE_SECONDS
    assert KEY not in result.stdout + result.stderr
    return result


def assert_kept(edge: Edge, result: ScriptResult, reason: Reason) -> None:
    [entry] = edge.entries()
    assert (entry.kind, entry.alert) == ("Acknowledge", ALERT)
    # Where Alerta hangs, the agent's attempt continues after the executor has ended.
    assert (entry.state, entry.reason) in {("waiting", reason.value), ("in-flight", ""), ("in-flight", reason.value)}
    line = result.stdout.splitlines()[-1]
    assert f"kept Acknowledge {ALERT} by alice@example.com: {reason.value}, " in line
    assert "; it is kept and will be delivered (" in line


@pytest.mark.parametrize(
    "mode", [mode if mode in SAMPLE else pytest.param(mode, marks=pytest.mark.long) for mode in sorted(MODES)]
)
def test_each_bad_response_has_its_outcome(reach: Reach, mode: str) -> None:
    with BadServer(mode, location="http://127.0.0.1:9/elsewhere") as server:
        edge = reach(server.url)
        result = acknowledge(edge)
        if mode in DONE:
            assert (result.exit_code, result.stderr, edge.entries()) == (0, "", [])
        elif mode in NOT_ALERTA:
            assert_kept(edge, result, Reason.NOT_ALERTA)
            assert result.exit_code == 1
            assert result.stderr.count("\n") == 1
            assert (
                "check --alertaApiUrl: what answers there is not Alerta's API; the action is kept; 1 wait"
                in result.stderr
            )
        else:
            assert_kept(edge, result, Reason.TIMEOUT if mode in TIMES_OUT else Reason.NETWORK)
            assert (result.exit_code, result.stderr) == (0, "")


def test_a_redirect_is_not_followed_with_the_key(reach: Reach) -> None:
    with BadServer("ok") as elsewhere, BadServer("redirect", location=elsewhere.url) as server:
        acknowledge(reach(server.url))
        assert elsewhere.received == []
        assert server.received[0].headers["authorization"] == f"Key {KEY}"


def test_a_refused_connection_is_tried_again_and_then_kept(reach: Reach) -> None:
    with socket.socket() as closed:  # bound, so that no other process gets the port
        closed.bind(("127.0.0.1", 0))
        result = acknowledge(edge := reach(f"http://127.0.0.1:{closed.getsockname()[1]}"))
    assert_kept(edge, result, Reason.NETWORK)
    assert result.stdout.count("Connection refused; again in") >= 2


def test_a_name_that_does_not_exist_is_kept(reach: Reach) -> None:
    # .invalid is never registered (RFC 2606).
    result = acknowledge(edge := reach("http://alerta.invalid/api"))
    [entry] = edge.entries()
    assert entry.reason in ("", Reason.NETWORK.value, Reason.TIMEOUT.value)
    assert result.exit_code == 0


def test_a_server_that_accepts_a_connection_and_never_responds_times_out(reach: Reach) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as deaf:
        assert_kept(edge := reach(f"http://127.0.0.1:{deaf.getsockname()[1]}"), acknowledge(edge), Reason.TIMEOUT)


class TestTls:
    @pytest.fixture
    def ca(self, tmp_path: Path) -> PrivateCa:
        return PrivateCa(tmp_path)

    def test_a_certificate_of_an_unknown_ca_is_not_trusted(self, reach: Reach, ca: PrivateCa) -> None:
        with BadServer("ok", tls=ca.server()) as server:
            edge = reach(server.url)
            result = acknowledge(edge)
            assert_kept(edge, result, Reason.NETWORK)
            assert "its certificate is not trusted: " in result.stdout
            assert server.received == []

    def test_a_private_ca_can_be_given(self, reach: Reach, ca: PrivateCa) -> None:
        with BadServer("ok", tls=ca.server()) as server:
            edge = reach(server.url)
            edge.arguments += ("--alertaCaFile", str(ca.path))
            assert "applied" in acknowledge(edge).stdout

    def test_its_certificate_for_another_host_is_not_trusted(self, reach: Reach, ca: PrivateCa) -> None:
        with BadServer("ok", tls=ca.server("alerta.example.com")) as server:
            edge = reach(server.url)
            edge.arguments += ("--alertaCaFile", str(ca.path))
            assert_kept(edge, acknowledge(edge), Reason.NETWORK)
            assert server.received == []

    def test_an_invalid_ca_file_is_named(self, reach: Reach, ca: PrivateCa, tmp_path: Path) -> None:
        (tmp_path / "no-ca.pem").write_text("no certificate")
        with BadServer("ok", tls=ca.server()) as server:
            edge = reach(server.url)
            edge.arguments += ("--alertaCaFile", str(tmp_path / "no-ca.pem"))
            result = acknowledge(edge)
            assert_kept(edge, result, Reason.NETWORK)
            assert "no-ca.pem cannot be read as PEM certificates" in result.stdout

    def test_a_handshake_without_a_response_times_out(self, reach: Reach) -> None:
        with BadServer("hang") as server:
            edge = reach(server.url.replace("http:", "https:"))
            assert_kept(edge, acknowledge(edge), Reason.TIMEOUT)


def test_a_locked_journal_is_not_waited_for_longer_than_the_limit(reach: Reach) -> None:
    with BadServer("ok") as server:
        edge = reach(server.url)
        edge.run(action("Acknowledge", "c7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"))
        [database] = [path for path in edge.files() if path.name == "journal.db"]
        holder = sqlite3.connect(database, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        result = acknowledge(edge)
        assert (result.exit_code, "LOST" in result.stderr) in {(0, False), (1, True)}
        holder.execute("ROLLBACK")
        holder.close()


def test_an_alert_that_hangs_delays_no_other(reach: Reach) -> None:
    """An action on another alert is delivered while one hangs."""
    with BadServer("hang") as hanging, BadServer("ok") as fine:
        edge = reach(hanging.url)
        edge.arguments = ("--timeLimit", "10")
        ended: list[ScriptResult] = []
        thread = threading.Thread(target=lambda: ended.append(edge.run(action("Acknowledge", ALERT))))
        thread.start()
        while not hanging.received:
            assert thread.is_alive()
            time.sleep(0.01)
        assert "applied" in edge.at(fine.url).run(action("Close", "c7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e")).stdout
        assert not ended
        hanging.stop()
        thread.join()
        assert ended[0].exit_code == 0
