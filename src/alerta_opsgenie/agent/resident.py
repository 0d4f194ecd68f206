"""The agent process: started by the first executor, or by the service manager."""

import contextlib
import importlib
import os
import signal
import threading
import time
from functools import partial
from typing import Optional, Sequence

from alerta_opsgenie.agent import client, handover, state
from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.executor_output import describe_message, outcome_text
from alerta_opsgenie.agent.intake import Report
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.people import FILES
from alerta_opsgenie.agent.server import Server
from alerta_opsgenie.journal import JournalError

STOP_SECONDS = 8.0
TAKE_OVER_SECONDS = 15.0  # How long a newer agent waits for the older one, which ends within ten seconds

_LOOK_SECONDS = 0.25
_LARGEST_LOG_BYTES = 1024 * 1024

_FIRST_ACTION_SECONDS = 0.5  # The first action does not wait for imports that it may not need

# Imported soon after the start: an upgrade may replace these files while the agent runs.
_IMPORTED_LATE = (
    "ssl", "hashlib", "datetime", "traceback", "random", "encodings.idna", "stringprep",
    "base64", "pwd", "alerta_opsgenie.journal.salvage",
)  # fmt: skip


class Log:
    """`agent.log` in the state directory; one old file is kept. Errors in writing it are ignored."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, "agent.log")
        self._mutex = threading.Lock()

    def report(self, report: Report) -> None:
        """Write the outcome of an attempt."""
        about = describe_message(report.message) if report.message else f"{report.action} {report.alert}"
        took = f"attempt {report.attempt}, {report.seconds * 1000:.0f} ms"
        level = "WARN" if report.outcome.is_warning else "INFO"
        self.write(f"{report.outcome.kind.value} {about}: {outcome_text(report.outcome)} ({took})", level)

    def write(self, text: str, level: str = "INFO") -> None:
        """Write one line."""
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {level} {' '.join(text.split())}\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        with self._mutex, contextlib.suppress(OSError):
            file = os.open(self._path, flags, 0o600)
            try:
                os.write(file, line.encode("utf-8", "backslashreplace"))
                is_large = os.fstat(file).st_size > _LARGEST_LOG_BYTES
            finally:
                os.close(file)
            if is_large:
                os.replace(self._path, self._path + ".1")


class Agent:
    """The resident agent of one state directory. With `idle_seconds` None it runs until it is stopped."""

    def __init__(self, state_directory: str, *, idle_seconds: Optional[float]) -> None:
        self._path = state_directory
        self._idle_seconds = idle_seconds
        self._ending = threading.Event()
        self._log = Log(state_directory)
        FILES.warn = partial(self._log.write, level="WARN")
        self._deliverer = Deliverer(state_directory, report=self._log.report)
        self._server = Server(self._deliverer, "agent", self._ending.set)

    def run(self, *, take_over: bool = False, accesses: Sequence[Options] = ()) -> int:
        """Serve until idle, stopped, or replaced. Return the exit code.

        `take_over`: end the running agent first. Actions that wait for the Alertas of `accesses` are delivered at once.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ending.set())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if not self._take_lock(take_over=take_over):
            return 0
        self._server.start()
        self._log.write(f"agent {os.getpid()} serves {self._path}")
        for options in accesses:
            self._wake(options)
        self._ending.wait(_FIRST_ACTION_SECONDS)
        for name in _IMPORTED_LATE:
            importlib.import_module(name)
        while not self._ending.wait(_LOOK_SECONDS) and not self._is_idle() and not self._deliverer.is_displaced:
            pass
        is_displaced = self._deliverer.is_displaced
        if is_displaced:
            self._log.write("the state directory was removed or replaced", "WARN")
        end = time.monotonic() + STOP_SECONDS
        self._server.stop(STOP_SECONDS)
        self._deliverer.stop(max(0.5, end - time.monotonic()))
        self._log.write(f"agent {os.getpid()} ended")
        return 1 if is_displaced else 0

    def _wake(self, options: Options) -> None:
        try:
            self._deliverer.wake(options)
        except JournalError as error:
            self._log.write(f"the waiting actions cannot be read now: {error}", "WARN")

    def _take_lock(self, *, take_over: bool) -> bool:
        if self._deliverer.start():
            return True
        end = time.monotonic() + TAKE_OVER_SECONDS
        if take_over:
            client.ask_to_retire(self._path)
        while take_over and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS / 5)
            if self._deliverer.start():
                return True
        return False

    def _is_idle(self) -> bool:
        if self._idle_seconds is None or self._server.callers:
            return False
        return time.monotonic() - self._server.called_at > self._idle_seconds and self._deliverer.is_idle


def run_detached(state_directory: str, idle_seconds: float, *, take_over: bool) -> int:
    """Run the agent that an executor started. It closes the connector's descriptors and has no standard streams."""
    os.closerange(3, min(2**16, os.sysconf("SC_OPEN_MAX")))
    os.chdir("/")
    os.umask(0o077)
    try:
        state.prepare(state_directory)
        return Agent(state_directory, idle_seconds=idle_seconds).run(take_over=take_over)
    except (OSError, handover.NoAgentError, JournalError):
        return 1  # the executor that started it reports why the directory cannot be used
