"""Who the vendor's ids are in Alerta, by a file (`core.people`) that is read again when it changes."""

import os
import stat
import threading
from typing import Callable, Dict, Optional, Tuple

from alerta_opsgenie.core.people import People, read_people

LARGEST_FILE_BYTES = 1024 * 1024  # Ten thousand people fit

_MOST_FILES = 16  # one for each set of options that actions come with

_Stamp = Tuple[int, ...]


class PeopleFiles:
    """The files that actions name. `warn` hears once when one cannot be used; `failures` counts actions without it."""

    def __init__(self, warn: Callable[[str], None] = lambda _text: None) -> None:
        self.failures = 0
        self.warn = warn
        self._mutex = threading.Lock()
        self._read: Dict[str, Tuple[_Stamp, People, str]] = {}

    def of(self, path: str) -> Optional[People]:
        """Give what a file says; nobody where it cannot be used, None where none is named."""
        if not path:
            return None
        with self._mutex:
            people, trouble = self._look(path)
            self.failures += bool(trouble)
        return people

    def trouble(self, path: str = "") -> str:
        """Why a file (without a path: any) could not be used at the last look; empty where it could."""
        with self._mutex:
            return "; ".join(why for name, (_, _, why) in self._read.items() if why and path in ("", name))

    def _look(self, path: str) -> Tuple[People, str]:
        before = self._read.get(path)
        people: People = {}
        stamp: _Stamp = ()
        trouble = ""
        try:
            # Non-blocking, for it may be a FIFO.
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                found = os.fstat(file.fileno())
                stamp = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
                if before and before[0] == stamp:
                    return before[1:]
                people = read_people(_text(file.read(LARGEST_FILE_BYTES + 1) if stat.S_ISREG(found.st_mode) else None))
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            trouble = f"the people file {path} cannot be used, so ids are shown as they are: {why}"
        if trouble and (before is None or before[2] != trouble):
            self.warn(trouble)
        if len(self._read) >= _MOST_FILES:
            self._read.clear()
        self._read[path] = (stamp, people, trouble)
        return people, trouble


FILES = PeopleFiles()  # Those of this process; whoever has a log sets its `warn`


def _text(raw: Optional[bytes]) -> str:
    if raw is None:
        raise ValueError("it is not a file")
    if len(raw) > LARGEST_FILE_BYTES:
        raise ValueError(f"it is larger than {LARGEST_FILE_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from None
