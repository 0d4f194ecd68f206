"""The connector's threads: started by name, and watched for failure and for standstill."""

from __future__ import annotations

import logging
import threading
import time
from typing import Callable

_log = logging.getLogger(__name__)


class Threads:
    """Starts and watches daemon threads. `failed` names one that raised an error; `on_failure` is called then."""

    def __init__(self, on_failure: Callable[[], None] = lambda: None) -> None:
        self.failed = ""
        self._on_failure = on_failure
        self._reports: dict[str, tuple[float, float]] = {}

    def start(self, name: str, run: Callable[[], None]) -> threading.Thread:
        """Start a thread."""
        thread = threading.Thread(target=self._run, args=(name, run), name=name, daemon=True)
        thread.start()
        return thread

    def report_alive(self, name: str, within_seconds: float = 120.0) -> None:
        """Report that a thread works. Its next report is due `within_seconds`, unless `stop_watching` is called."""
        self._reports[name] = (time.monotonic(), within_seconds)

    def stop_watching(self, name: str) -> None:
        """Stop watching a thread: it has ended, or waits without a time limit."""
        self._reports.pop(name, None)

    def stuck(self) -> list[str]:
        """Return the threads that have failed or whose report is overdue."""
        now = time.monotonic()
        overdue = [name for name, (at, within) in list(self._reports.items()) if now - at > within]
        return sorted([*overdue, *filter(None, [self.failed])])

    def _run(self, name: str, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception:  # noqa: BLE001 - after any error the process ends, and the service manager restarts it
            _log.exception("a fault of this program in its thread %r", name)
            self.failed = name
            self._on_failure()
        finally:
            self.stop_watching(name)
