"""How many messages, and of which size, are in hand at once."""

from __future__ import annotations

import threading

MOST_BYTES = 2 * 1024 * 1024
"""The bodies in hand. While it is read, a message may take 25 times its size, and the unit has MemoryMax=256M."""


class Room:
    """Counts what is in hand: `most` messages, and `MOST_BYTES` of their bodies."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._messages = self._bytes = 0
        self._largest = 0
        self._changed = threading.Condition()
        self._open = True

    def __len__(self) -> int:
        return self._messages

    def enter(self, size: int) -> None:
        """Take a message of so many bytes in hand."""
        with self._changed:
            self._messages += 1
            self._bytes += size
            # What comes next is taken for as large as this; the size is forgotten by halves.
            self._largest = max(size, self._largest // 2)

    def leave(self, size: int) -> None:
        """Let go of a message of so many bytes."""
        with self._changed:
            self._messages -= 1
            self._bytes -= size
            self._changed.notify_all()

    def wait(self, want: int = 1) -> int:
        """Wait until there is room; gives for how many more messages, at most `want`. 0: it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._is_usable(want))
            if not self._open:
                return 0
            by_size = (MOST_BYTES - self._bytes) // max(self._largest, 1)
            return max(1, min(want, self.most - self._messages, by_size))

    def close(self) -> None:
        """Wake whoever waits."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def _is_usable(self, want: int) -> bool:
        """Whether enough is free: a poll for one message costs as much as a poll for ten."""
        if self._bytes + self._largest > MOST_BYTES and self._messages:
            return False
        return self.most - self._messages >= min(want, self.most)
