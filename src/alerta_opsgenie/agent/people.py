"""Logins for the vendor's account ids, from a file (`core.people`) that is read again when it changes."""

import os
import stat
import threading
from typing import Callable, Dict, Optional, Tuple

from alerta_opsgenie.core.people import People, read_people

LARGEST_FILE_BYTES = 1024 * 1024  # ten thousand people fit

_MOST_FILES = 16  # one for each set of options that actions come with


class PeopleFiles:
    """The files that actions name. `warn` is called once for an unusable one; `failures` counts its actions."""

    def __init__(self, warn: Callable[[str], None] = lambda _text: None) -> None:
        self.failures = 0
        self.warn = warn
        self._mutex = threading.Lock()
        self._read: Dict[str, Tuple[Tuple[int, ...], People, str]] = {}

    def of(self, path: str) -> Optional[People]:
        """Return the people of a file: empty where it cannot be used, None where no path is given."""
        if not path:
            return None
        with self._mutex:
            stamp, people, problem = self._look(path)
            self.failures += bool(problem)
            if problem and problem != self._read.get(path, ((), {}, ""))[2]:
                self.warn(problem)
            if len(self._read) >= _MOST_FILES:
                self._read.clear()
            self._read[path] = (stamp, people, problem)
        return people

    def problem(self, path: str = "") -> str:
        """Why a file (without a path: any) could not be used at the last look; empty where it could."""
        with self._mutex:
            return "; ".join(why for name, (_, _, why) in self._read.items() if why and path in ("", name))

    def _look(self, path: str) -> Tuple[Tuple[int, ...], People, str]:
        stamp: Tuple[int, ...] = ()
        try:
            # Non-blocking: the path may be a FIFO. `open` refuses a directory and closes its descriptor.
            with open(path, "rb", opener=_open_at_once) as file:
                found = os.fstat(file.fileno())
                stamp = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
                if path in self._read and self._read[path][0] == stamp:
                    return self._read[path]
                if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_FILE_BYTES:
                    raise ValueError(f"it is no file of at most {LARGEST_FILE_BYTES} bytes")  # noqa: TRY301
                return stamp, read_people(file.read(LARGEST_FILE_BYTES).decode("utf-8-sig")), ""
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
            return stamp, {}, f"the people file {path} cannot be used, so ids are shown as they are: {why}"


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


FILES = PeopleFiles()  # of this process; a process with a log sets `warn`
