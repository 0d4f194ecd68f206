"""The sender as a separate process, for servers whose workers run no threads.

uWSGI up to 2.0.26 holds Python's lock between requests unless `enable-threads` or `threads` is set. So a worker starts
this module as a program. Its standard input is a pipe from the worker, and it ends when the worker does.
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
"""Held by this process, so that only one worker of the host starts one."""


class SenderProcess:
    """Starts the process from a worker."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._look_at = 0.0
        self._logged = ""

    def ensure(self) -> None:
        """Start the process, unless one runs on this host. Returns at once; called with each request."""
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
            self._log_once(f"nothing is sent: the process that sends cannot be started: {error}")

    def _start(self) -> "subprocess.Popen[bytes]":
        program = [_python(), "-m", __name__, self._directory]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_path())}
        process = subprocess.Popen(program, stdin=subprocess.PIPE, env=environment, start_new_session=True)
        LOG.info("opsgenie: uWSGI runs without threads, so process %d sends", process.pid)
        return process

    def _log_once(self, problem: str) -> None:
        if problem != self._logged:
            self._logged = problem
            LOG.error("opsgenie: %s; set enable-threads = true (UWSGI_THREADS=1 for the vendor's image)", problem)


def _python() -> str:
    """Return the path of Python. Inside of uWSGI `sys.executable` is uWSGI itself."""
    programs = Path(sys.exec_prefix, "bin")
    for path in (Path(sys.executable or "uwsgi"), programs / "python3", programs / "python"):
        if path.name.startswith("python") and path.exists():
            return str(path)
    raise OSError(f"there is no python3 in {programs}")


def _path() -> List[str]:
    """Return the worker's module path, with absolute directories."""
    return [str(Path(place).absolute()) for place in sys.path]


def main(directory: str) -> None:
    """Send the requests of the outbox until standard input is closed. Return at once if another process does it."""
    lock = try_lock(directory, LOCK_NAME)
    if lock is None:
        return
    # Imported only now, because it takes long.
    from alerta.app import create_app  # noqa: PLC0415

    from alerta_opsgenie.plugin import state  # noqa: PLC0415

    with create_app().app_context():
        process = state.process()
    process.start_senders()
    sys.stdin.buffer.read()
    process.stop_senders()


if __name__ == "__main__":
    main(sys.argv[1])
