"""A running agent whose clock is a day ahead, and is then corrected."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from pathlib import Path

from alerta_opsgenie.agent import client
from alerta_opsgenie.agent.options import Options
from tests.cli.state_directory import ENVIRONMENT, PROGRAM, open_state_directory
from tests.support.bad_server import BadServer
from tests.support.executor import await_true
from tests.support.proxy import Proxy
from tests.support.scenarios import action

DAY_SECONDS = 86_400

WRONG_CLOCK = """
import os, time

def _ahead():
    with open(os.environ["CLOCK_AHEAD"]) as file:
        return int(file.read())

_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _ahead()
time.time_ns = lambda: _time_ns() + _ahead() * 1_000_000_000
"""


def test_an_action_kept_while_the_clock_was_a_day_ahead_is_delivered_when_it_is_set_back(tmp_path: Path) -> None:
    """One process throughout: a `sitecustomize` module reads the clock's error from a file."""
    (tmp_path / "sitecustomize.py").write_text(WRONG_CLOCK)
    clock = tmp_path / "ahead"
    clock.write_text(str(DAY_SECONDS))
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(tmp_path), "CLOCK_AHEAD": str(clock)}
    with BadServer("ok") as server, Proxy(server.url) as proxy, open_state_directory(tmp_path / "state") as place:
        options = Options(proxy.url, "key", spool_directory=str(place.directory), limit_seconds=2.0)
        command = [*PROGRAM, "agent", "--spool-dir", str(place.directory)]
        with subprocess.Popen(command, env={**environment, "ALERTA_API_URL": proxy.url}) as process:
            try:
                await_true(lambda: client.ask_status(str(place.directory)) is not None, 30)
                with proxy.answering(503):
                    reply = client.submit(options, json.dumps(action("Close", str(uuid.uuid4()))))
                assert reply.kept
                clock.write_text("0")
                [kept] = place.actions(proxy.url)
                assert kept.due_at > time.time() + DAY_SECONDS / 2
                await_true(lambda: not place.actions(proxy.url), 30)
            finally:
                process.terminate()
