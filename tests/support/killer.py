"""Kills the executor or its agent from outside at a chosen step: `kill -9` after so many lines, or at a function.

A `sitecustomize.py` on PYTHONPATH counts the lines of this package that the process runs from a given function on.
Nothing in the code under test knows of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_SITE_CUSTOMIZE = """\
import atexit, os, signal, sys, threading

_role, _start, _at, _mark = (os.environ.get("KILL_" + name, "") for name in ("ROLE", "FROM", "AT", "MARK"))
with open("/proc/self/cmdline", "rb") as _file:
    _is_agent = b"--agent" in _file.read().split(b"\\0")
_lines = 0
_counting = not _start
_passed = set()


def _note(text):
    with open(_mark + ".new", "w") as file:
        file.write(text)
    os.rename(_mark + ".new", _mark)


def _kill(frame, why):
    _note("%s %s:%d %s lines=%d passed=%s" % (
        why, os.path.basename(frame.f_code.co_filename), frame.f_lineno, frame.f_code.co_name, _lines,
        ",".join(sorted(_passed))))
    os.kill(os.getpid(), signal.SIGKILL)


def _trace(frame, event, _arg):
    global _lines, _counting
    code = frame.f_code
    if "alerta_opsgenie" not in code.co_filename and "oecAlertaExecutor" not in code.co_filename:
        return None
    if event == "call":
        _passed.add(code.co_name)
        _counting = _counting or code.co_name == _start
        if _at == code.co_name:
            _kill(frame, "called")
    elif event == "line" and _counting:
        _lines += 1
        if _at.isdigit() and _lines == int(_at):
            _kill(frame, "line")
    return _trace


if _role and _is_agent == (_role == "agent"):
    atexit.register(lambda: _note("ended lines=%d passed=%s" % (_lines, ",".join(sorted(_passed)))))
    threading.settrace(_trace)
    sys.settrace(_trace)
"""


@dataclass(frozen=True)
class Death:
    """How a process ended: `killed` or at its own end; `lines` it had counted; the functions that it had entered."""

    killed: bool
    where: str
    lines: int
    passed: frozenset[str]


class Killer:
    """Gives the environment in which a process dies, and reads how it died."""

    def __init__(self, directory: Path) -> None:
        self._site = directory / "killer"
        self._site.mkdir()
        (self._site / "sitecustomize.py").write_text(_SITE_CUSTOMIZE)
        self._number = 0

    def environment(self, role: str, at: int | str, start: str = "") -> dict[str, str]:
        """Kill the `role` (executor or agent) at its `at`-th line from the function `start` on, or at a function."""
        self._number += 1
        mark = self._site / f"mark-{self._number}"
        names = {"ROLE": role, "FROM": start, "AT": str(at), "MARK": str(mark)}
        return {"PYTHONPATH": str(self._site), **{f"KILL_{name}": value for name, value in names.items()}}

    def death(self, environment: dict[str, str]) -> Death | None:
        """Return how the process with that environment ended; None if it runs, or if none was started."""
        path = Path(environment["KILL_MARK"])
        if not path.exists():
            return None
        text = path.read_text()
        words = dict(word.split("=", 1) for word in text.split() if "=" in word)
        return Death(
            not text.startswith("ended"),
            text.split(" lines=")[0],
            int(words["lines"]),
            frozenset(words["passed"].split(",")),
        )
