"""Keys and shared secrets: shown as `***` wherever they turn up, and read anew when their file changes."""

import hmac
from pathlib import Path
from typing import Optional, Tuple


class Key:
    """A secret given as a text, or by the `path` of a file whose first line it is; without either it is false."""

    def __init__(self, text: str = "", *, path: str = "") -> None:
        self._text = text.strip()
        self._path = path
        self._stamp: Optional[Tuple[int, int]] = None

    def reveal(self) -> str:
        """Give the text, for the place where it is used and no other. Raises OSError for a file that cannot be read."""
        if self._path:
            status = Path(self._path).stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                with Path(self._path).open(encoding="utf-8") as file:
                    self._text, self._stamp = file.readline().strip(), stamp
        return self._text

    def equals(self, text: str) -> bool:
        """Compare in constant time; an empty secret equals nothing."""
        mine = self.reveal()
        return bool(mine) and hmac.compare_digest(mine.encode("utf-8"), text.encode("utf-8", "surrogatepass"))

    def __bool__(self) -> bool:
        return bool(self._text or self._path)

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__
