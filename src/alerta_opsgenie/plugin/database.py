"""The plugin's own connection to Alerta's PostgreSQL database, and its tables there.

It never uses Alerta's connection: Alerta commits inside each write, and an error of the plugin would abort its
transaction. Each transaction is short; none is open during a request to the vendor. The second of two products has its
own tables, by a prefix. If the user may not create tables, the SQL is logged for an administrator.
"""

import contextlib
import threading
from typing import Any, Iterator, Mapping, Optional
from urllib.parse import urlparse

from flask import g, has_app_context

from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.plugin import LOG

VERSION = 1
_PREFIX = "alerta_opsgenie_"
TABLES = """
CREATE TABLE IF NOT EXISTS alerta_opsgenie_leases (
    name text PRIMARY KEY, holder text NOT NULL, until timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS alerta_opsgenie_memory (
    alert_id text PRIMARY KEY, is_open boolean NOT NULL, agreed text NOT NULL);
CREATE INDEX IF NOT EXISTS alerta_opsgenie_memory_open ON alerta_opsgenie_memory (alert_id) WHERE is_open;
CREATE TABLE IF NOT EXISTS alerta_opsgenie_values (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE IF NOT EXISTS alerta_opsgenie_outbox (
    id bigserial PRIMARY KEY, key text UNIQUE NOT NULL, alert text NOT NULL, order_ns bigint NOT NULL,
    kind text NOT NULL, body text NOT NULL, accepted_at double precision NOT NULL, due_at double precision NOT NULL,
    state text NOT NULL DEFAULT 'waiting', attempts integer NOT NULL DEFAULT 0, first_attempt_at double precision,
    holder text NOT NULL DEFAULT '', leased_until timestamptz, reason text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS alerta_opsgenie_outbox_alert ON alerta_opsgenie_outbox (alert, id) WHERE state <> 'dead';
CREATE INDEX IF NOT EXISTS alerta_opsgenie_outbox_due ON alerta_opsgenie_outbox (due_at) WHERE state <> 'dead';
INSERT INTO alerta_opsgenie_values VALUES ('since', extract(epoch FROM now())::text) ON CONFLICT (name) DO NOTHING;
INSERT INTO alerta_opsgenie_values VALUES ('version', '1')
    ON CONFLICT (name) DO UPDATE SET value = excluded.value;
"""
_MAKING_LOCK = 0x4F50_0001
"""Prevents that two processes create the tables at once. PostgreSQL frees it at the end of the transaction."""

_IN_TRANSACTION = 2  # psycopg2.extensions.STATUS_BEGIN
_CONNECT_SECONDS = 5
_WAIT_SECONDS = 15.0
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""A connection whose other end does not answer is closed after 25 s (libpq, connection parameters)."""
_STATEMENT_MILLISECONDS = 10_000


class Database:
    """Alerta's PostgreSQL database: `DATABASE_URL`, `DATABASE_NAME` and `DATABASE_SCHEMA`.

    `product` is part of the prefix of the tables for the second of two products.
    """

    def __init__(self, config: Mapping[str, Any], product: str = "") -> None:
        self._prefix = f"{_PREFIX}{product}_" if product else _PREFIX
        self._url = str(config["DATABASE_URL"])
        self._name: Optional[str] = config.get("DATABASE_NAME") or None
        self._schema = str(config.get("DATABASE_SCHEMA") or "public")
        self._connected: Any = None
        self._mutex = threading.Lock()
        self._has_tables = False
        self._logged = ""

    @staticmethod
    def is_for(config: Mapping[str, Any]) -> bool:
        """Whether Alerta's database is PostgreSQL."""
        return urlparse(str(config.get("DATABASE_URL"))).scheme in ("postgres", "postgresql")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """Yield a cursor. Commit at the end, or roll back after an error. Raises JournalError."""
        import psycopg2  # noqa: PLC0415 - installed with Alerta if it uses PostgreSQL

        _end_alertas_transaction()
        if not self._mutex.acquire(timeout=_WAIT_SECONDS):
            raise _failure(f"another thread has waited for it for over {_WAIT_SECONDS:g} s")
        try:
            connection = self._begun()
            with connection, connection.cursor() as cursor:
                yield _Cursor(cursor, self._prefix) if self._prefix != _PREFIX else cursor
        except psycopg2.Error as error:
            self._close()
            raise _failure(" ".join(str(error).split()) or type(error).__name__) from None
        finally:
            self._mutex.release()

    def close(self) -> None:
        """Close the connection. The next transaction opens another."""
        with self._mutex:
            self._close()

    def _close(self) -> None:
        connection, self._connected = self._connected, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _connect(self) -> Any:
        import psycopg2  # noqa: PLC0415 - as above

        connection = psycopg2.connect(
            dsn=self._url,
            dbname=self._name,
            connect_timeout=_CONNECT_SECONDS,
            application_name="alerta-opsgenie",
            **_KEEPALIVE,
        )
        self._make_tables(connection)
        return connection

    def _begun(self) -> Any:
        """Begin a transaction, on a new connection if the open one is lost."""
        import psycopg2  # noqa: PLC0415 - as above

        if self._connected is not None:
            try:
                with self._connected.cursor() as cursor:
                    self._begin(cursor)
            except psycopg2.Error:
                self._close()
            else:
                return self._connected
        self._connected = self._connect()
        with self._connected.cursor() as cursor:
            self._begin(cursor)
        return self._connected

    def _begin(self, cursor: Any) -> None:
        """Set schema and time limit for this transaction: behind a pooler the next one may have another session."""
        from psycopg2 import sql  # noqa: PLC0415 - as above

        begin = "SET LOCAL search_path TO {}; SET LOCAL statement_timeout = {}"
        cursor.execute(sql.SQL(begin).format(sql.Identifier(self._schema), sql.Literal(_STATEMENT_MILLISECONDS)))

    def _make_tables(self, connection: Any) -> None:
        import psycopg2  # noqa: PLC0415 - as above

        if self._has_tables:
            return
        with connection, connection.cursor() as cursor:
            self._begin(cursor)
            tables = _Cursor(cursor, self._prefix)
            tables.execute("SELECT to_regclass('alerta_opsgenie_values')")
            if tables.fetchone()[0] is None or not _is_current(tables):
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING_LOCK,))
                try:
                    tables.execute(TABLES)
                except psycopg2.Error as error:
                    self._log_sql(str(error))
                    raise
        self._has_tables = True

    def _log_sql(self, why: str) -> None:
        if self._logged != why:
            self._logged = why
            LOG.error(
                "opsgenie: the tables of the plugin cannot be made in Alerta's database: %s;"
                " an administrator of the database has to run:%s",
                " ".join(why.split()), TABLES.replace(_PREFIX, self._prefix),
            )  # fmt: skip


class _Cursor:
    """A cursor that replaces the prefix of tables and indexes in each query."""

    def __init__(self, cursor: Any, prefix: str) -> None:
        self._cursor, self._prefix = cursor, prefix

    def execute(self, query: str, values: Any = None) -> None:
        self._cursor.execute(query.replace(_PREFIX, self._prefix), values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _end_alertas_transaction() -> None:
    """Commit the transaction that a query of Alerta has left open in this request.

    Behind a pooler in transaction mode it holds a connection while the plugin waits for one, so that a few requests at
    once would wait for each other. Alerta commits each write itself, so the transaction has no writes.
    """
    connection = g.get("db") if has_app_context() else None
    if connection is not None and getattr(connection, "status", 0) == _IN_TRANSACTION:
        with contextlib.suppress(Exception):  # Alerta's next query fails and reports it
            connection.commit()


def _failure(why: str) -> JournalError:
    return JournalError(f"Alerta's database: {why}", "see Alerta's log", "network")


def _is_current(cursor: Any) -> bool:
    cursor.execute("SELECT value FROM alerta_opsgenie_values WHERE name = 'version'")
    found = cursor.fetchone()
    return found is not None and found[0].isdigit() and int(found[0]) >= VERSION
