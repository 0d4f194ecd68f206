"""The real Alerta of tests and demo: what it holds, what it survives, and that nothing of it stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.alerta_server import AlertaError, AlertaServer
from lab.postgres import Guard, Postgres

from lab import postgres
from tests.support.console import Console, ConsoleError
from tests.support.executor import await_true


@pytest.fixture(scope="module")
def own(alerta: AlertaServer) -> Iterator[AlertaServer]:
    """An Alerta of this module's own, to be ended and restarted; started in an environment that would mislead it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLUGINS", "misleading")
        patch.setenv("DATABASE_URL", "postgres://127.0.0.1:1/misleading")
        with AlertaServer(postgres=alerta.postgres, workers=1, env={"DEFAULT_ENVIRONMENT": "Production"}) as server:
            yield server


@pytest.fixture
def own_console(own: AlertaServer) -> Console:
    own.start()
    return Console(own.url, own.admin_key)


@pytest.mark.parametrize("path", ["/keys", "/users", "/blackouts", "/management/housekeeping"])
def test_the_bridge_s_key_opens_nothing_but_alerts(alerta: AlertaServer, alerta_key: str, path: str) -> None:
    with pytest.raises(ConsoleError) as caught:
        Console(alerta.url, alerta_key).call("GET", path)
    assert caught.value.status == 403


def test_the_callers_environment_does_not_reach_alerta(own: AlertaServer, own_console: Console) -> None:
    assert own_console.create_alert()["status"] == "open"
    assert "misleading" not in own.log_path.read_text()


def test_a_restart_keeps_port_alerts_and_keys_and_takes_changed_settings(
    own: AlertaServer, own_console: Console
) -> None:
    alert_id = own_console.create_alert()["id"]
    port = own.port
    own.settings["ALLOWED_ENVIRONMENTS"] = ["Production", "Laboratory"]

    own.restart()

    assert own.port == port
    assert own_console.status(alert_id) == "open"
    assert own_console.create_alert(environment="Laboratory")["environment"] == "Laboratory"


def test_a_frozen_alerta_can_be_stopped(own: AlertaServer, own_console: Console) -> None:
    assert own_console.create_alert()
    own.freeze()
    process = own._process
    assert process is not None

    own.stop()

    assert not own.running
    assert process.returncode == 0, "it was not stopped but killed"


def test_an_alerta_that_cannot_start_says_why_and_leaves_nothing(alerta: AlertaServer) -> None:
    broken = AlertaServer(postgres=alerta.postgres, settings={"DEFAULT_ENVIRONMENT": "Nowhere"})

    with pytest.raises(AlertaError, match='Default environment "Nowhere"'):
        broken.start()

    assert not broken.running
    with pytest.raises(AlertaError, match="has no directory"):
        _ = broken.directory


_OWNER = """
import sys, time
from lab.alerta_server import AlertaServer
server = AlertaServer(workers=1)
server.start()
print(server.directory, server.pid, server.postgres.pid, flush=True)
if sys.argv[1] == "frozen":
    server.freeze()
    print("frozen", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("state", ["running", "frozen"])
def test_nothing_outlives_an_owner_that_is_killed(state: str) -> None:
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, state], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    directory, *pids = owner.stdout.readline().split()
    if state == "frozen":
        assert owner.stdout.readline() == "frozen\n"

    owner.kill()
    owner.communicate()

    await_true(lambda: not Path(directory).exists())
    assert [pid for pid in pids if _is_alive(int(pid))] == []


def test_the_wheel_serves_where_the_system_has_no_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_system_binaries", lambda: iter(()))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o711)
        guard = Guard()
        with Postgres(directory, guard) as server, server.connection() as connection:
            cursor = connection.cursor()
            cursor.execute("SHOW server_version")
            version = cursor.fetchone()[0]
        guard.close()

    assert version.startswith("18.")


def _is_alive(pid: int) -> bool:
    """Whether `pid` runs; one that has ended and is only not yet collected by init does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
