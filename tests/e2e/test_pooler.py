"""Alerta behind PgBouncer in transaction mode: nothing of a call of the bridge outlives it on a pooled connection."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer
from lab.ports import Port
from lab.postgres import Guard, Postgres, _identity, account

from tests.attacks.people import pose
from tests.support.plugin import Plugged, plugged, wait_until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
ALERTS = 20
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
LEASES = "SELECT count(*) FROM alerta_opsgenie_leases WHERE name LIKE 'call:%%'"

_CONF = """\
[databases]
* = host={socket} port=5432 user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
server_reset_query =
ignore_startup_parameters = extra_float_digits
"""


@contextmanager
def pooler(directory: Path, postgres: Postgres) -> Iterator[int]:
    """Start PgBouncer in front of a PostgreSQL, in transaction mode; gives its port on loopback."""
    held = Port()
    conf = directory / "pgbouncer.ini"
    conf.write_text(_CONF.format(socket=postgres.uri().partition("host=")[2].partition("&")[0], port=held.number))
    owner = _identity(account())  # PostgreSQL's own user, whose directory its socket lies in
    if "user" in owner:
        os.chown(directory, owner["user"], -1)
    process = subprocess.Popen([str(PGBOUNCER), "-q", conf.name], cwd=directory, stderr=subprocess.DEVNULL, **owner)
    guard = Guard()
    guard.watch(process.pid, signal.SIGTERM)
    try:
        yield held.number
    finally:
        process.terminate()
        process.wait()
        guard.close()
        held.close()


@pytest.fixture(scope="module")
def run(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    with (
        plugged(alerta.postgres, tmp_path_factory.mktemp("pooled")) as run,
        pooler(Path(tempfile.mkdtemp(prefix="pool-")), alerta.postgres) as port,
    ):
        run.alerta.settings["DATABASE_URL"] = f"postgresql://postgres@127.0.0.1:{port}/{run.alerta.database}"
        run.alerta.restart()
        yield run


def count(run: Plugged, statement: str) -> int:
    with run.alerta.postgres.connection(run.alerta.database) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])


def test_no_lock_and_no_lease_outlives_its_call(run: Plugged) -> None:
    """Tried: 40 calls over two pooled connections; none waits for one that has ended, or for one that waits itself."""
    ids = [str(run.console.create_alert()["id"]) for _ in range(ALERTS)]

    def act(alert_id: str) -> list[int]:
        return [pose(run.bridge, alert_id, action)[0] for action in ("ack", "unack")]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(act, ids))

    assert answers == [[200, 200]] * ALERTS
    assert {run.console.status(alert_id) for alert_id in ids} == {"open"}
    assert count(run, LOCKS) == 0
    assert wait_until(lambda: count(run, LEASES) == 0)
