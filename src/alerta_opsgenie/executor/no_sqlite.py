"""What stands for `sqlite3` where a Python was built without it: an action is delivered all the same."""

import sys
import types


def supply_sqlite() -> None:
    """Let `import sqlite3` work; what is missing is said when the journal is to be opened."""
    try:
        import sqlite3  # noqa: F401
    except ImportError:
        sys.modules["sqlite3"] = _stand_in()


def _stand_in() -> types.ModuleType:
    module = types.ModuleType("sqlite3")
    error = type("Error", (Exception,), {})

    def connect(*_: object, **__: object) -> None:
        raise error("this Python has no sqlite3: install that module, or take another Python")

    names = dict.fromkeys(("Error", "DatabaseError", "OperationalError", "IntegrityError"), error)
    module.__dict__.update(names, Connection=object, Cursor=object, Row=object, connect=connect)
    return module
