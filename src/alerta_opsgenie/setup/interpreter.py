"""Find the Python with which a connector starts its scripts, and build the executor for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import alerta_opsgenie
from alerta_opsgenie.executor.build import build
from alerta_opsgenie.vendor.safe_files import SafeFiles

LEAST_VERSION = (3, 9)
"""The oldest Python that the executor runs on."""

_PRINT_VERSION = "import sys; sys.stdout.write('%d.%d.%d' % sys.version_info[:3])"
_BUILD = (
    "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, sys.argv[1]);"
    "from alerta_opsgenie.executor.build import build; sys.stdout.buffer.write(build(sys.argv[2]))"
)
_SECONDS = 20.0


class Interpreter(NamedTuple):
    """A program named Python. `version` is empty if it reported none; `failure` then has the reason."""

    path: str
    version: tuple[int, ...]
    failure: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether the executor runs on it."""
        return self.version >= LEAST_VERSION


def find_interpreter(name: str, search_path: str, identity: tuple[int, int] | None = None) -> Interpreter | None:
    """Find the program `name` on a service's PATH and run it for its version; None: there is none.

    With an `identity` (uid, gid), root runs it as that user. Without one, root runs no program that others can change.
    """
    path = shutil.which(name, path=search_path)
    if path is None:
        return None
    program = path if identity else _only_roots(path)
    if program is None:
        return Interpreter(path, (), "others than root can change it, so root does not start it")
    try:
        output = _run([program, "-I", "-c", _PRINT_VERSION], search_path, identity)
        version = tuple(int(part) for part in output.decode("ascii", "replace").split("."))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        output = getattr(error, "stderr", None) or str(error).encode()
        return Interpreter(path, (), output.decode("utf-8", "replace").strip()[-200:])
    return Interpreter(path, version)


def _only_roots(path: str) -> str | None:
    """Return the program with all links resolved; None if this process is root and others can change it."""
    if os.geteuid() != 0:
        return path
    program = os.path.realpath(path)
    try:
        return program if SafeFiles().find_writer(program) == 0 else None
    except OSError:
        return None


def _run(command: list[str], search_path: str, identity: tuple[int, int] | None = None) -> bytes:
    other = identity if os.geteuid() == 0 and identity and identity[0] else None
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_SECONDS,
        check=True,
        cwd="/",
        env={"PATH": search_path, "LC_ALL": "C"},
        user=other and other[0],
        group=other and other[1],
        extra_groups=other and [],
    ).stdout


def build_executor(interpreter: Interpreter | None, search_path: str) -> bytes:
    """Build the one-file executor with the bytecode of the interpreter that will run it.

    If that is not possible, it gets the bytecode of this Python; another version ignores that and compiles the sources.
    """
    if interpreter is None or not interpreter.is_usable:
        return build()
    program = _only_roots(interpreter.path)
    sources = str(Path(alerta_opsgenie.__file__).resolve().parent.parent)
    # A minimal package of Python may lack a part of the standard library.
    with suppress(OSError, subprocess.SubprocessError):
        made = program and _run([program, "-I", "-c", _BUILD, sources, interpreter.path], search_path)
        if made:
            return made
    return build(interpreter.path)
