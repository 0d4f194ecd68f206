"""Builds the one-file executor: one text file, the same to the byte from the same sources and Python.

    #!/usr/bin/python3 -IS                                               `python3` of the PATH where none is known
    agent/handover.py and executor/start.py, as bytecode and as source     all that the usual action runs
    # base64 of the compressed modules, each as source and bytecode        what these import where there is more to do

The bytecode saves 2 ms at each start, a zip would cost more; another version of Python compiles the sources. With `-IS`
Python does not import `site`, which takes a quarter of its start, and ignores PYTHONPATH.
"""

import ast
import base64
import importlib.util
import marshal
import os
import sys
import zlib
from typing import Iterable, List, Set, Tuple

import alerta_opsgenie

NAMES = ("oecAlertaExecutor.py", "oecAlertaExecutor")

_PACKAGE = "alerta_opsgenie"
_ROOT = os.path.dirname(os.path.abspath(alerta_opsgenie.__file__))
_FIRST = (f"{_PACKAGE}.agent.handover", f"{_PACKAGE}.executor.start")
_REST = (f"{_PACKAGE}.executor.full", f"{_PACKAGE}.agent.resident", f"{_PACKAGE}.journal.salvage")

_LONGEST_FIRST_LINE = 127  # Bytes that Linux reads of it (BINPRM_BUF_SIZE was 128 before Linux 5.1)

_TEXT = """\
#!{interpreter}
# Tells Alerta what somebody did to an alert in Opsgenie or Jira Service Management. OEC and JEC start it.
# alerta-opsgenie {version}, Apache-2.0. Built from its sources; change those.
import sys

if sys.version_info < (3, 9):
    sys.stderr.write(
        "oecAlertaExecutor needs Python 3.9 or later, and `python` here is older: make the `python` on the PATH "
        "a newer one, or map the actions to the file without .py\\n"
    )
    sys.exit(2)

import _frozen_importlib_external
import binascii
import marshal
import os
import zlib

# What lies beside this file must not stand for a module of Python's: the vendor's scripts have an `http.py`.
_beside = ("", os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.realpath(__file__)))
sys.path[:] = [place for place in sys.path if place not in _beside]

# Name, source, bytecode.
_FIRST = marshal.loads(zlib.decompress(binascii.a2b_base64({first!r})))
_is_ours = _frozen_importlib_external.MAGIC_NUMBER == {magic!r}

for _name, _source, _code in _FIRST:
    _module = sys.modules[_name] = type(sys)(_name)
    exec(marshal.loads(_code) if _is_ours else compile(_source, _name, "exec"), _module.__dict__)

if __name__ == "__main__":
    os._exit(_module.main([sys.executable, "-IS", os.path.abspath(__file__)], {version!r}))
"""


def build(interpreter: str = "") -> bytes:
    """Give the executor's bytes. `interpreter` is the path of the Python that starts it by its first line."""
    magic = importlib.util.MAGIC_NUMBER
    first = base64.b64encode(zlib.compress(marshal.dumps([(name, *_read(name)) for name in _FIRST], 2), 9))
    version = alerta_opsgenie.__version__
    text = _TEXT.format(interpreter=_first_line(interpreter), version=version, magic=magic, first=first)
    rest = {
        name: (_is_package(name), _where(name), *(zlib.compress(text, 9) for text in _read(name)))
        for name in sorted(_with_imports(_REST))
    }
    return text.encode("ascii") + b"#" + base64.b64encode(marshal.dumps((magic, rest), 2)) + b"\n"


def _first_line(interpreter: str) -> str:
    """Give what follows `#!`. A path that cannot stand there is not taken, and `env` knows no second argument."""
    line = f"{interpreter} -IS"
    can_stand = line.isascii() and line.isprintable() and line.startswith("/") and line.count(" ") == 1
    return line if can_stand and len(line) + 3 <= _LONGEST_FIRST_LINE else "/usr/bin/env python3"


def _read(name: str) -> Tuple[bytes, bytes]:
    tree = _WithoutTexts().visit(ast.parse(_text(name)))
    source = ast.unparse(tree).encode("ascii", "backslashreplace")
    # Later versions of the format mark what this very process refers to more than once, which differs by its history.
    return source, marshal.dumps(compile(source, _where(name), "exec", dont_inherit=True, optimize=0), 2)


class _WithoutTexts(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.copy_location(ast.Pass(), node) if is_text else node


def _with_imports(names: Iterable[str]) -> Set[str]:
    found: Set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name.startswith(_PACKAGE) and name not in found and os.path.isfile(_path(name)):
            found.add(name)
            left += [name.rpartition(".")[0]]
            for node in ast.walk(ast.parse(_text(name))):
                if isinstance(node, ast.ImportFrom):
                    above = name.split(".")[: -node.level] if node.level else []
                    origin = ".".join([*above, *filter(None, [node.module])])
                    left += [origin, *(f"{origin}.{one.name}" for one in node.names)]
    return found


def _is_package(name: str) -> bool:
    return _path(name).endswith("__init__.py")


def _path(name: str) -> str:
    path = os.path.join(_ROOT, *name.split(".")[1:])
    return os.path.join(path, "__init__.py") if os.path.isdir(path) else path + ".py"


def _where(name: str) -> str:
    return f"{_PACKAGE}/{os.path.relpath(_path(name), _ROOT)}"


def _text(name: str) -> str:
    with open(_path(name), encoding="utf-8") as file:
        return file.read()


def write_to(directory: str) -> List[str]:
    """Write the executor under both its names; gives the paths."""
    os.makedirs(directory, exist_ok=True)
    content = build()
    paths = [os.path.join(directory, name) for name in NAMES]
    for path in paths:
        new = path + ".new"
        with open(new, "wb") as file:
            file.write(content)
        os.chmod(new, 0o755)  # noqa: S103 - for everybody to read and start
        os.replace(new, path)
    return paths


def main() -> int:
    """Write the executor into the directory that is named."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m alerta_opsgenie.executor.build DIRECTORY\n")
        return 2
    for path in write_to(sys.argv[1]):
        sys.stdout.write(f"{path} ({os.path.getsize(path)} bytes)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
