"""Whether the process gets on: each part says so as it does, and whoever watches asks what has stood still.

The watchdog is fed from here, so that a process that is alive but does nothing is started anew.
"""

from __future__ import annotations

import time


class Progress:
    """When each part last got on. A part is watched from its first `beat` until `forget`."""

    def __init__(self) -> None:
        self._beats: dict[str, tuple[float, float]] = {}

    def beat(self, part: str, within_seconds: float = 120.0) -> None:
        """Say that a part has got on, and will again `within_seconds`."""
        self._beats[part] = (time.monotonic(), within_seconds)

    def forget(self, part: str) -> None:
        """Watch a part no longer: it has ended, or waits for nothing that has a limit."""
        self._beats.pop(part, None)

    def stuck(self) -> list[str]:
        """Name the parts that have stood still for too long."""
        now = time.monotonic()
        return sorted(part for part, (at, within) in self._beats.items() if now - at > within)
