"""Builds the one-file executor: one text file, the same to the byte from the same sources and Python.

    #!/usr/bin/env python3
    agent/handover.py and executor/start.py, without annotations       all that the usual action runs
    a few lines that import the rest from the last line
    # base64 of the compressed modules: sources, and bytecode for the Python that builds

A zip that Python runs would cost more at each start: the import of `runpy`, and the reading of the zip's directory.
Another version of Python passes over the bytecode and compiles the sources.

`python -m alerta_opsgenie.executor.build DIRECTORY` writes `oecAlertaExecutor.py`, which the Go connectors start as
`python FILE`, and the same under `oecAlertaExecutor`, which they start directly, by its first line.
"""

import ast
import base64
import importlib.util
import marshal
import os
import sys
import zlib
from typing import Iterator, List, Tuple

import alerta_opsgenie

NAMES = ("oecAlertaExecutor.py", "oecAlertaExecutor")

_PACKAGE = "alerta_opsgenie"
_ROOMS = ("core", "clients", "journal", "agent", "executor")
_LEFT_OUT = ("executor/build.py", "executor/__main__.py", "executor/modules.py", "executor/start.py")

_HEAD = """\
#!/usr/bin/env python3
# Tells Alerta what somebody did to an alert in Opsgenie or Jira Service Management. OEC and JEC start it.
# alerta-opsgenie {version}, Apache-2.0. Built from its sources; change those.
import sys

if sys.version_info < (3, 9):
    sys.stderr.write(
        "oecAlertaExecutor needs Python 3.9 or later, and `python` here is older: make the `python` on the PATH "
        "a newer one, or map the actions to the file without .py\\n"
    )
    sys.exit(2)

import os

# What lies beside this file must not stand for a module of Python's: the vendor's scripts have an `http.py`.
_beside = ("", os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.realpath(__file__)))
sys.path[:] = [place for place in sys.path if place not in _beside]

VERSION = {version!r}

"""

_TAIL = """

if __name__ == "__main__":
    os._exit(main([sys.executable, os.path.abspath(__file__)], VERSION))
"""

_FIRST = ("agent/handover.py", "executor/modules.py", "executor/start.py")


def build() -> bytes:
    """Give the executor's bytes."""
    text = _HEAD.format(version=alerta_opsgenie.__version__)
    text += "\n\n".join(_plain(_source(path)) for path in _FIRST) + _TAIL
    packed = zlib.compress(marshal.dumps((importlib.util.MAGIC_NUMBER, dict(_modules())), 2), 9)
    return text.encode("ascii") + b"#" + base64.b64encode(packed) + b"\n"


def _plain(source: str) -> str:
    """Give source without what an old Python does not read (annotations), and without what it need not read."""
    return ast.unparse(_Plain().visit(ast.parse(source)))


class _Plain(ast.NodeTransformer):
    """Removes annotations, docstrings, and what a module imports from our own package at its head."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._without_docstring(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        # Names of types are not needed.
        node.body = [one for one in node.body if not _is_own_import(one)]  # those names are in the same file
        return self._without_docstring(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        value = self.generic_visit(node)
        assert isinstance(value, ast.AnnAssign) and value.value is not None  # noqa: S101, PT018
        return ast.copy_location(ast.Assign([value.target], value.value), node)

    def _without_docstring(self, node: ast.AST) -> ast.AST:
        body: List[ast.stmt] = node.body  # type: ignore[attr-defined]
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body[:] = body[1:] or [ast.Pass()]
        self.generic_visit(node)
        return node


def _is_own_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and str(node.module).startswith((_PACKAGE, "typing"))


def _modules() -> Iterator[Tuple[str, Tuple[bool, str, bytes, bytes]]]:
    """Give each module: whether it is a package, its path, its source, its bytecode."""
    yield _PACKAGE, _module(True, "__init__.py")
    for room in _ROOMS:
        for path in sorted(_paths(room)):
            if path in _LEFT_OUT:
                continue
            name = f"{_PACKAGE}.{path[:-3].replace('/', '.')}"
            is_package = name.endswith(".__init__")
            yield name[: -len(".__init__")] if is_package else name, _module(is_package, path)


def _module(is_package: bool, path: str) -> Tuple[bool, str, bytes, bytes]:
    source = _source(path).encode()
    where = f"{_PACKAGE}/{path}"
    # Later versions of the format mark what this very process refers to more than once, which differs by its history.
    code = marshal.dumps(compile(source, where, "exec", dont_inherit=True, optimize=0), 2)
    return is_package, where, source, code


def _root() -> str:
    return os.path.dirname(os.path.abspath(alerta_opsgenie.__file__))


def _source(path: str) -> str:
    with open(os.path.join(_root(), path), encoding="utf-8") as file:
        return file.read()


def _paths(room: str) -> Iterator[str]:
    for directory, _, names in os.walk(os.path.join(_root(), room)):
        for name in names:
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(directory, name), _root())


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
