"""The threads of the connector: started by name, and watched, so that one that stands still is noticed."""

from __future__ import annotations

import logging
import threading
import time
from typing import Callable

_log = logging.getLogger(__name__)


class Parts:
    """Runs parts, each in a daemon thread. `broken` names one that failed; `on_broken` is called then."""

    def __init__(self, on_broken: Callable[[], None] = lambda: None) -> None:
        self.broken = ""
        self._on_broken = on_broken
        self._beats: dict[str, tuple[float, float]] = {}

    def start(self, name: str, run: Callable[[], None]) -> threading.Thread:
        """Start a part."""
        thread = threading.Thread(target=self._run, args=(name, run), name=name, daemon=True)
        thread.start()
        return thread

    def beat(self, part: str, within_seconds: float = 120.0) -> None:
        """Say that a part goes on, and will say so again `within_seconds`; it is watched until `idle`."""
        self._beats[part] = (time.monotonic(), within_seconds)

    def idle(self, part: str) -> None:
        """Stop watching a part: it has ended, or waits for something without a limit."""
        self._beats.pop(part, None)

    def stuck(self) -> list[str]:
        """Name the parts that stand still."""
        now = time.monotonic()
        silent = [part for part, (at, within) in list(self._beats.items()) if now - at > within]
        return sorted([*silent, *filter(None, [self.broken])])

    def _run(self, name: str, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception:  # noqa: BLE001 - whatever it was, the whole ends and is started anew
            _log.exception("a fault of this program in its part %r", name)
            self.broken = name
            self._on_broken()
        finally:
            self.idle(name)
