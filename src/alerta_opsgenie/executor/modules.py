"""How the built executor imports the rest of the program, which lies in its last line."""

import sys
from typing import Any


class Modules:
    """Finds and runs our modules. All are read at once, so an upgrade of the file harms nothing that runs."""

    def __init__(self, path: str) -> None:
        # What `importlib.util` would give for 5 ms is here already.
        import _frozen_importlib
        import _frozen_importlib_external
        import binascii
        import marshal
        import zlib

        with open(path, "rb") as file:
            packed = file.read().rpartition(b"\n#")[2]
        magic, self.modules = marshal.loads(zlib.decompress(binascii.a2b_base64(packed)))
        self.is_ours = magic == _frozen_importlib_external.MAGIC_NUMBER
        self.spec: Any = _frozen_importlib.ModuleSpec
        self.marshal = marshal

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Find a module (importlib.abc.MetaPathFinder)."""
        if name not in self.modules:
            return None
        return self.spec(name, self, is_package=self.modules[name][0])

    def create_module(self, spec: Any) -> None:
        """Let Python make the module."""

    def exec_module(self, module: Any) -> None:
        """Run a module's code: the bytecode is that of the Python that built it."""
        _, where, source, code = self.modules[module.__name__]
        ours = self.marshal.loads(code) if self.is_ours else compile(source, where, "exec", dont_inherit=True)
        exec(ours, module.__dict__)


def import_rest(path: str) -> None:
    """Let the rest of the program be imported from the file at `path`; a name of a module says that it is installed."""
    if not path.startswith("/") or any(isinstance(one, Modules) for one in sys.meta_path):
        return
    sys.meta_path.insert(0, Modules(path))
