"""What systemd is told (sd_notify(3)): datagrams to the Unix socket that `NOTIFY_SOCKET` names."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import Mapping

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"

_MICROSECONDS = 1_000_000
_DATAGRAMS = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK


class Notifier:
    """Tells the service manager, where there is one. It wants to hear from us each `watchdog_seconds`."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        path = given.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket = socket.socket(socket.AF_UNIX, _DATAGRAMS) if path else None
        self._status = ""
        usec = given.get("WATCHDOG_USEC", "")
        ours = given.get("WATCHDOG_PID") in (None, "", str(os.getpid()))
        self.watchdog_seconds = int(usec) / _MICROSECONDS if usec.isdigit() and int(usec) and ours else None

    def tell(self, text: str) -> None:
        """Say one of the constants above."""
        # A manager that is gone or busy may hear the next message; we work either way.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.sendto(text.encode("utf-8", "replace"), self._address)

    def reloading(self) -> None:
        """Say that the configuration is being read again; `READY` ends it."""
        self.tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, text: str) -> None:
        """Say in a line how it goes; the same line is said once."""
        if text != self._status:
            self._status = text
            self.tell("STATUS=" + " ".join(text.split()))
