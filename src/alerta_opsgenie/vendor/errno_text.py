"""Errors of the system in the words of the Go connectors, which Opsgenie shows to people."""

from __future__ import annotations

import os
import signal

_LAST_NAMED_SIGNAL = 31


def go_error(error: OSError) -> str:
    """Give the text of `syscall.Errno`: the C library's, in lower case."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


def go_exit(return_code: int) -> str:
    """Give the text of `os.ProcessState` for a process that failed (`exit status 1`, `signal: killed`); else nothing.

    `return_code` is Python's: negative for a signal.
    """
    if return_code == 0:
        return ""
    if return_code > 0:
        return f"exit status {return_code}"
    number = -return_code
    # Go has names for the classic signals alone.
    name = signal.strsignal(number) if number <= _LAST_NAMED_SIGNAL else None
    return f"signal: {name.lower()}" if name else f"signal: signal {number}"
