"""Python's `sqlite3`, or where a Python was built without it something that says so when it is used."""

from alerta_opsgenie.journal.place import JournalError

try:
    import sqlite3
except ImportError:

    class sqlite3:  # type: ignore[no-redef]  # noqa: N801 - it stands for the module
        """Stands for the module that is missing."""

        Error = DatabaseError = type("Error", (Exception,), {})
        Connection = Row = object

        @staticmethod
        def connect(*_: object, **__: object) -> object:
            """Say what is missing."""
            raise JournalError("this Python has no sqlite3", "install that module, or take another Python", "no-sqlite")


__all__ = ["sqlite3"]
