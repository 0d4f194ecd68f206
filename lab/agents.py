"""Ends an agent that executors have started, before its state directory goes."""

from __future__ import annotations

import time
from pathlib import Path

from alerta_opsgenie.agent.client import ask_to_retire
from alerta_opsgenie.agent.state import LOCK_NAME
from alerta_opsgenie.journal import try_lock

END_SECONDS = 30.0


def end_agent(state_directory: str) -> None:
    """Ask the agent of that directory to end, and return when it has. Does nothing where there is none."""
    if not Path(state_directory).is_dir() or not ask_to_retire(state_directory):
        return
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        lock = try_lock(state_directory, LOCK_NAME)
        if lock is not None:
            lock.close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"the agent of {state_directory} does not end")
