"""A state directory with actions in it, and the command line before it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from alerta_opsgenie.agent import client, state
from alerta_opsgenie.agent.options import settings_to_json
from alerta_opsgenie.cli import group
from alerta_opsgenie.core.message import journal_body, parse
from alerta_opsgenie.core.task import Settings
from alerta_opsgenie.journal import Action, Journal, New
from tests.support.executor import await_true
from tests.support.scenarios import action

NOWHERE = "http://127.0.0.1:9"
ENVIRONMENT = {"ALERTA_API_URL": NOWHERE, "ALERTA_API_KEY": "key"}
PROGRAM = [sys.executable, "-c", "from alerta_opsgenie.cli import main; main()"]


class StateDirectory:
    """A state directory for one test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def journal(self, url: str = NOWHERE) -> Journal:
        state.prepare(str(self.directory))
        return state.journal_of(str(self.directory), state.target_name(url))

    def keep(
        self, name: str, *, dead: bool = False, age_seconds: float = 0.0, url: str = NOWHERE, **fields: Any
    ) -> Action:
        """Append an action; with `dead`, as a dead letter."""
        message = parse(json.dumps(action(name, str(uuid.uuid4()), **fields)))
        alert = (message.alert or {})["alias"]
        settings = settings_to_json(Settings())
        new = New(message.key, alert, message.updated_ns, message.action, journal_body(message), settings)
        journal = self.journal(url)
        if dead:
            return journal.record_dead(new, time.time() - age_seconds, "not-found", "Alerta has no such alert")
        (kept,) = journal.append([new], time.time() - age_seconds)
        return kept

    def actions(self, url: str = NOWHERE) -> list[Action]:
        """Return the actions that are not done."""
        journal = self.journal(url)
        return [one for wanted in ("waiting", "in-flight", "dead") for one in journal.actions(wanted)]

    def states(self, url: str = NOWHERE) -> list[tuple[str, str]]:
        return sorted((one.kind, one.state) for one in self.actions(url))

    def run(self, *arguments: str, answer: str = "", **environment: str) -> Result:
        """Run a command in this process."""
        command = [*arguments, "--spool-dir", str(self.directory)]
        return CliRunner().invoke(group, command, input=answer, env={**ENVIRONMENT, **environment})

    def call(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run a command as a process, whose output has the encoding of PYTHONIOENCODING."""
        command = [*PROGRAM, *arguments, "--spool-dir", str(self.directory)]
        every = {**os.environ, **ENVIRONMENT, **environment}
        done = subprocess.run(
            command, env=every, capture_output=True, encoding=every.get("PYTHONIOENCODING", "utf-8"), check=False,
            timeout=90, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def end_agent(self) -> None:
        """End the agent that a command has started."""
        if client.ask_to_retire(str(self.directory)):
            await_true(lambda: client.ask_status(str(self.directory)) is None, 30)


@contextmanager
def open_state_directory(directory: Path) -> Iterator[StateDirectory]:
    """Yield a state directory (not made yet), and end its agent afterwards."""
    place = StateDirectory(directory)
    try:
        yield place
    finally:
        place.end_agent()


def call_on_terminal(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command on a terminal; return its exit code and its output."""
    leader, follower = pty.openpty()
    every = {**os.environ, **ENVIRONMENT, "TERM": "xterm", **environment}
    with subprocess.Popen([*PROGRAM, *arguments], stdout=follower, env=every) as process:
        os.close(follower)
        output = b""
        # Reading fails (EIO) when the last writer has gone.
        with contextlib.suppress(OSError):
            while chunk := os.read(leader, 4096):
                output += chunk
    os.close(leader)
    return process.returncode, output.decode()
