"""Builds the one-file executor: a text file, byte for byte the same from the same sources and Python.

    #!/usr/bin/python3 -IS                                               `python3` of the PATH where no path is given
    agent/handover.py and executor/start.py, as bytecode and as source     all code of the usual action
    # base64 of the compressed modules, each as source and bytecode        imported in all other cases

The bytecode saves 2 ms at each start; a zip file would be slower. Another version of Python compiles the sources. With
`-IS` Python ignores PYTHONPATH and does not import `site`, which takes a quarter of its start.
"""

import ast
import base64
import importlib.util
import marshal
import os
import sys
import zlib
from pathlib import Path
from typing import Iterable, List, Set, Tuple

import alerta_opsgenie

NAMES = ("oecAlertaExecutor.py", "oecAlertaExecutor")

_PACKAGE = "alerta_opsgenie"
_ROOT = Path(os.path.abspath(alerta_opsgenie.__file__)).parent  # links are not followed: file names stay the same
_FIRST = (f"{_PACKAGE}.agent.handover", f"{_PACKAGE}.executor.start")
_REST = (f"{_PACKAGE}.executor.full", f"{_PACKAGE}.agent.resident", f"{_PACKAGE}.journal.salvage")

_LONGEST_FIRST_LINE = 127  # Bytes that Linux reads (BINPRM_BUF_SIZE was 128 before Linux 5.1)

_TEXT = """\
#!{interpreter}
# Applies to Alerta what a person did to an alert in Opsgenie or Jira Service Management. OEC and JEC start it.
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

# Files in this directory must not hide Python's modules: the vendor's scripts have an `http.py`.
_own_directories = ("", os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.realpath(__file__)))
sys.path[:] = [place for place in sys.path if place not in _own_directories]

# Name, source, bytecode.
_FIRST = marshal.loads(zlib.decompress(binascii.a2b_base64({first!r})))
_has_same_bytecode = _frozen_importlib_external.MAGIC_NUMBER == {magic!r}

for _name, _source, _code in _FIRST:
    _module = sys.modules[_name] = type(sys)(_name)
    exec(marshal.loads(_code) if _has_same_bytecode else compile(_source, _name, "exec"), _module.__dict__)

if __name__ == "__main__":
    os._exit(_module.main([sys.executable, "-IS", os.path.abspath(__file__)], {version!r}))
"""


def build(interpreter: str = "") -> bytes:
    """Return the executor's bytes. `interpreter` is the path of the Python in its first line."""
    magic = importlib.util.MAGIC_NUMBER
    first = base64.b64encode(zlib.compress(marshal.dumps([(name, *_read(name)) for name in _FIRST], 2), 9))
    version = alerta_opsgenie.__version__
    text = _TEXT.format(interpreter=_first_line(interpreter), version=version, magic=magic, first=first)
    rest = {
        name: (_path(name).name == "__init__.py", _file_name(name), *(zlib.compress(text, 9) for text in _read(name)))
        for name in sorted(_with_imports(_REST))
    }
    return text.encode("ascii") + b"#" + base64.b64encode(marshal.dumps((magic, rest), 2)) + b"\n"


def _first_line(interpreter: str) -> str:
    """Return the text after `#!`. `env` is the fallback for a path that cannot be used there; it takes no `-IS`."""
    line = f"{interpreter} -IS"
    can_stand = line.isascii() and line.isprintable() and line.startswith("/") and line.count(" ") == 1
    return line if can_stand and len(line) + 3 <= _LONGEST_FIRST_LINE else "/usr/bin/env python3"


def _read(name: str) -> Tuple[bytes, bytes]:
    tree = _StringRemover().visit(ast.parse(_text(name)))
    source = ast.unparse(tree).encode("ascii", "backslashreplace")
    # Version 2: later versions mark objects with several references in this process, so builds would differ.
    return source, marshal.dumps(compile(source, _file_name(name), "exec", dont_inherit=True, optimize=0), 2)


class _StringRemover(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.copy_location(ast.Pass(), node) if is_text else node


def _with_imports(names: Iterable[str]) -> Set[str]:
    found: Set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name.startswith(_PACKAGE) and name not in found and _path(name).is_file():
            found.add(name)
            left += [name.rpartition(".")[0]]
            for node in ast.walk(ast.parse(_text(name))):
                if isinstance(node, ast.ImportFrom):
                    parents = name.split(".")[: -node.level] if node.level else []
                    module = ".".join([*parents, *filter(None, [node.module])])
                    left += [module, *(f"{module}.{one.name}" for one in node.names)]
    return found


def _path(name: str) -> Path:
    path = _ROOT.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _file_name(name: str) -> str:
    return f"{_PACKAGE}/{_path(name).relative_to(_ROOT)}"


def _text(name: str) -> str:
    return _path(name).read_text(encoding="utf-8")


def write_to(directory: str) -> List[str]:
    """Write the executor under both its names, and return the paths."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    content, paths = build(), [os.path.join(directory, name) for name in NAMES]
    for path in paths:
        new = Path(path + ".new")
        new.write_bytes(content)
        new.chmod(0o755)  # all users may read and start it
        new.replace(path)
    return paths


def main() -> int:
    """Write the executor into the given directory."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m alerta_opsgenie.executor.build DIRECTORY\n")
        return 2
    for path in write_to(sys.argv[1]):
        sys.stdout.write(f"{path} ({os.path.getsize(path)} bytes)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
