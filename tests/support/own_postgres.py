"""A PostgreSQL of a test's own, without Alerta."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab.postgres import Guard, Postgres


@contextlib.contextmanager
def own_postgres(database: str) -> Iterator[str]:
    """Return the URL of an empty database; the server ends with the block."""
    directory = Path(tempfile.mkdtemp(prefix="own-pg-"))
    directory.chmod(0o711)  # under root PostgreSQL runs as another user, who has to get through
    with contextlib.closing(Guard()) as guard:
        guard.remove(directory)
        with Postgres(directory, guard) as postgres:
            yield postgres.create_database(database)
