"""JEC's named pipe: where it waits for a result to show in Jira Service Management.

JEC makes the pipe in /var/tmp/jec and reads up to 16 KiB of it; where making it failed it only logs that, and passes
the path all the same. So whatever lies there that is no pipe, or has no reader, is left alone.
"""

import errno
import json
import os
import stat
from typing import Mapping

LARGEST_RESULT_BYTES = 4096
"""JEC reads 16 KiB; up to PIPE_BUF (4096 on Linux) a write is whole or not at all, which an unread pipe may ask for."""


def write_result(path: str, result: Mapping[str, str]) -> str:
    """Write the result as JSON without waiting for anybody. Gives why it was not written, or an empty text."""
    data = _fitting_json(result)
    try:
        file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return "nobody reads JEC's pipe" if error.errno == errno.ENXIO else f"JEC's pipe: {error.strerror}"
    try:
        if not stat.S_ISFIFO(os.fstat(file).st_mode):
            return "what JEC names as its pipe is none"
        os.write(file, data)
    except OSError as error:
        return f"JEC's pipe: {error.strerror}"
    finally:
        os.close(file)
    return ""


def _fitting_json(result: Mapping[str, str]) -> bytes:
    """Cut the longest texts until it fits: an escape takes up to twelve bytes for one character."""
    longest = LARGEST_RESULT_BYTES
    while True:
        data = json.dumps({name: text[:longest] for name, text in result.items()}).encode("ascii")
        if len(data) <= LARGEST_RESULT_BYTES:
            return data
        longest //= 2
