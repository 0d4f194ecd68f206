"""Builds the one-file executor: a zip that Python runs, the same to the byte from the same sources and Python.

Beside each source lies its bytecode for the Python that builds: compiling the sources at each start would double the
cost of an action. Another version of Python passes over the bytecode and takes the sources.

`python -m alerta_opsgenie.executor.build DIRECTORY` writes `oecAlertaExecutor.py`, which the Go connectors start as
`python FILE`, and the same under `oecAlertaExecutor`, which they start directly, by its first line.
"""

import importlib.util
import io
import marshal
import os
import stat
import sys
import zipfile
from typing import Iterator, List, Tuple

import alerta_opsgenie

NAMES = ("oecAlertaExecutor.py", "oecAlertaExecutor")
INTERPRETER = b"#!/usr/bin/env python3\n"

_MODULES = ("__init__.py", "keeping.py", "lanes.py")
_PACKAGES = ("core", "clients", "journal", "agent", "executor")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first instant that a zip can name


def build() -> bytes:
    """Give the executor's bytes."""
    buffer = io.BytesIO()
    buffer.write(INTERPRETER)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(_files()):
            archive.writestr(_entry(name, zipfile.ZIP_DEFLATED), data)
            archive.writestr(_entry(name + "c", zipfile.ZIP_STORED), _bytecode(name, data))
    return buffer.getvalue()


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = compression
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.create_system = 3  # Unix, also where it is built elsewhere
    return entry


def _bytecode(name: str, source: bytes) -> bytes:
    """Compile as Python does for an unchecked, hash-based `.pyc` (PEP 552): no time of a file goes into it."""
    unchecked = (1).to_bytes(4, "little")
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    # Later versions of the format mark what this very process refers to more than once, which differs by its history.
    data = marshal.dumps(code, 2)
    return importlib.util.MAGIC_NUMBER + unchecked + importlib.util.source_hash(source) + data


def _files() -> Iterator[Tuple[str, bytes]]:
    root = os.path.dirname(os.path.abspath(alerta_opsgenie.__file__))
    for part in (*_MODULES, *_PACKAGES):
        for path in _sources(os.path.join(root, part)):
            with open(path, "rb") as file:
                data = file.read()
            inside = os.path.relpath(path, os.path.dirname(root)).replace(os.sep, "/")
            if inside == "alerta_opsgenie/executor/__main__.py":
                inside = "__main__.py"
            yield inside, data


def _sources(path: str) -> List[str]:
    if os.path.isfile(path):
        return [path]
    names = sorted(name for name in os.listdir(path) if name.endswith(".py") and name != "build.py")
    return [os.path.join(path, name) for name in names]


def write_to(directory: str) -> List[str]:
    """Write the executor under both names into a directory, which is made if need be; gives the paths."""
    os.makedirs(directory, exist_ok=True)
    data = build()
    paths = [os.path.join(directory, name) for name in NAMES]
    for path in paths:
        with open(path + ".new", "wb") as file:
            file.write(data)
        os.chmod(path + ".new", 0o755)  # noqa: S103 - a program for everybody to read and start
        os.replace(path + ".new", path)
    return paths


def main() -> int:
    """Write the executor into the directory that is named."""
    if len(sys.argv) != 2:  # noqa: PLR2004
        sys.stderr.write("usage: python -m alerta_opsgenie.executor.build DIRECTORY\n")
        return 2
    for path in write_to(sys.argv[1]):
        sys.stdout.write(f"{path} ({os.path.getsize(path)} bytes)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
