"""A sender in a process of its own, for servers whose workers run no threads.

uWSGI up to 2.0.26 holds Python's lock between requests unless `enable-threads` or `threads` is set. So a worker
starts this module as a program. It has Alerta's settings, holds the worker's pipe as its standard input, and ends
with it.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import List, Optional

from alerta_opsgenie.journal import JournalError, try_lock
from alerta_opsgenie.plugin import LOG
from alerta_opsgenie.plugin.sender import LOOK_SECONDS

LOCK_NAME = "sender-process"
"""Held from its first moments, so that several workers do not start one each."""


class SenderProcess:
    """What a worker has of it; `ensure` with each request."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._look_at = 0.0
        self._logged = ""

    def ensure(self) -> None:
        """Start it, unless one runs for this worker or for another. Returns at once."""
        if self._process is not None and self._process.poll() is None:
            return
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        try:
            lock = try_lock(self._directory, LOCK_NAME)
            if lock is None:
                return
            lock.close()
            self._process = self._start()
        except (JournalError, OSError) as error:
            self._complain(f"nothing is sent, for the process that sends cannot be started: {error}")

    def _start(self) -> "subprocess.Popen[bytes]":
        program = [_python(), "-m", __name__, self._directory]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_path())}
        process = subprocess.Popen(program, stdin=subprocess.PIPE, env=environment, start_new_session=True)
        LOG.info("opsgenie: uWSGI runs without threads, so process %d sends", process.pid)
        return process

    def _complain(self, problem: str) -> None:
        if problem != self._logged:
            self._logged = problem
            LOG.error("opsgenie: %s; set enable-threads = true (UWSGI_THREADS=1 for the vendor's image)", problem)


def _python() -> str:
    """Name the interpreter: inside of uWSGI `sys.executable` is uWSGI itself."""
    programs = Path(sys.exec_prefix, "bin")
    for path in (Path(sys.executable or "uwsgi"), programs / "python3", programs / "python"):
        if path.name.startswith("python") and path.exists():
            return str(path)
    raise OSError(f"there is no python3 in {programs}")


def _path() -> List[str]:
    """Give the places of modules as the worker has them, the current directory by its name."""
    return [str(Path(place).absolute()) for place in sys.path]


def main(directory: str) -> None:
    """Send what is in the outbox until standard input is closed; at once an end where another does so."""
    lock = try_lock(directory, LOCK_NAME)
    if lock is None:
        return
    # Only now, for it takes its time.
    from alerta.app import create_app  # noqa: PLC0415

    from alerta_opsgenie.plugin import state  # noqa: PLC0415

    with create_app().app_context():
        process = state.process()
    process.start_senders()
    sys.stdin.buffer.read()
    process.stop_senders()


if __name__ == "__main__":
    main(sys.argv[1])
