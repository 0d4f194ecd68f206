"""`alerta-opsgenie agent`: the agent as a service."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from alerta_opsgenie.agent import client
from alerta_opsgenie.agent.options import Options
from tests.cli.state_directory import ENVIRONMENT, PROGRAM, StateDirectory
from tests.support.bad_server import BadServer
from tests.support.executor import await_true


@contextmanager
def service(place: StateDirectory, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the service, and end it as systemd does."""
    command = [*PROGRAM, "agent", "--spool-dir", str(place.directory)]
    with subprocess.Popen(command, env={**os.environ, **ENVIRONMENT, "ALERTA_API_URL": url}) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def deliverer(place: StateDirectory) -> int:
    """Return the pid of the process that delivers; 0 for none."""
    return int((client.ask_status(str(place.directory)) or {"pid": 0})["pid"])


def test_waiting_actions_are_delivered_at_the_start(place: StateDirectory) -> None:
    with BadServer("ok") as server:
        place.keep("Close", url=server.url)
        with service(place, server.url):
            await_true(lambda: not place.actions(server.url), 30)


def test_the_service_replaces_an_agent_that_an_action_started(place: StateDirectory) -> None:
    with BadServer("ok") as server:
        client.wake(Options(server.url, "key", spool_directory=str(place.directory)))
        before = deliverer(place)
        assert before
        with service(place, server.url) as process:
            await_true(lambda: deliverer(place) == process.pid, 30)


def test_if_run_delivers_the_service_ends(place: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ask_status", lambda _: {"kind": "run", "pid": 7})
    result = place.run("agent")
    assert (result.exit_code, "process 7" in result.output) == (1, True)
