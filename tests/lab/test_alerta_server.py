"""The real Alerta of tests and demo: what it holds, what it survives, and that nothing of it stays behind."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.alerta_server import AlertaError, AlertaServer, listening_socket
from lab.postgres import Guard, Postgres, PostgresError

from lab import alerta_server, postgres
from tests.conftest import BRIDGE_USER
from tests.support.console import Console, ConsoleError


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


def test_alerta_is_served_at_the_root_and_below_api(alerta: AlertaServer, console: Console) -> None:
    alert = console.create_alert()

    below = Console(alerta.api_url, alerta.admin_key).get(alert["id"])

    assert alerta.api_url == f"{alerta.url}/api"
    assert below["createTime"] == alert["createTime"]


def test_without_a_key_alerta_refuses(alerta: AlertaServer) -> None:
    with pytest.raises(ConsoleError) as caught:
        Console(alerta.url, "").create_alert()
    assert caught.value.status == 401


def test_the_bridge_s_key_suffices_for_each_call_of_the_bridge(
    alerta: AlertaServer, console: Console, alerta_key: str
) -> None:
    alert_id = console.create_alert()["id"]
    bridge = Console(alerta.url, alerta_key)

    bridge.action(alert_id, "ack")
    bridge.note(alert_id, "a note")
    bridge.set_attributes(alert_id, {"owner": "alice@example.com"})
    bridge.tag(alert_id, ["a", "b"])
    bridge.untag(alert_id, ["a"])

    alert = bridge.get(alert_id)
    assert (alert["status"], alert["tags"], alert["attributes"]["owner"]) == ("ack", ["b"], "alice@example.com")
    assert [note["text"] for note in bridge.notes(alert_id)] == ["a note"]
    bridge.delete(alert_id)


@pytest.mark.parametrize("path", ["/keys", "/users", "/blackouts", "/management/housekeeping"])
def test_the_bridge_s_key_opens_nothing_but_alerts(alerta: AlertaServer, alerta_key: str, path: str) -> None:
    with pytest.raises(ConsoleError) as caught:
        Console(alerta.url, alerta_key).call("GET", path)
    assert caught.value.status == 403


def test_a_read_only_key_cannot_act(alerta: AlertaServer, console: Console) -> None:
    alert_id = console.create_alert()["id"]
    reader = Console(alerta.url, alerta.create_key("reader@example.com", ["read:alerts"]))

    assert reader.status(alert_id) == "open"
    with pytest.raises(ConsoleError) as caught:
        reader.action(alert_id, "ack")
    assert caught.value.status == 403


def test_history_and_notes_show_the_user_of_the_key(alerta: AlertaServer, console: Console, alerta_key: str) -> None:
    alert_id = console.create_alert()["id"]
    bridge = Console(alerta.url, alerta_key)

    bridge.action(alert_id, "ack", "seen")
    bridge.note(alert_id, "noted")

    history = [(entry["type"], entry["status"], entry["user"]) for entry in console.history(alert_id)]
    assert history == [
        ("new", "open", alerta.admin_user),
        ("ack", "ack", BRIDGE_USER),
        ("note", "ack", BRIDGE_USER),
    ]
    assert console.notes(alert_id)[0]["user"] == BRIDGE_USER


def test_two_alerts_without_fields_are_two_alerts(console: Console) -> None:
    assert console.create_alert()["id"] != console.create_alert()["id"]


def test_a_created_user_can_log_in(alerta: AlertaServer, console: Console) -> None:
    alerta.create_user("carol@example.com", "Carol", "on call tonight")

    answer = console.call("POST", "/auth/login", {"username": "carol@example.com", "password": "on call tonight"})

    assert answer["token"]


def test_housekeeping_expires_what_has_timed_out(alerta: AlertaServer, console: Console) -> None:
    alert_id = console.create_alert(timeout=1)["id"]
    deadline = time.monotonic() + 10

    while alert_id not in alerta.housekeeping()["expired"] and time.monotonic() < deadline:
        time.sleep(0.2)

    assert console.status(alert_id) == "expired"


def test_an_error_of_alerta_names_request_and_status(alerta: AlertaServer) -> None:
    with pytest.raises(AlertaError, match="GET /alert/none: Alerta answered 404"):
        alerta.call("GET", "/alert/none")


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


def test_environment_variables_given_for_alerta_reach_it(own: AlertaServer, own_console: Console) -> None:
    own.env["ALLOWED_ENVIRONMENTS"] = "Production,Attic"
    own.restart()

    assert own_console.create_alert(environment="Attic")["environment"] == "Attic"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_ended_alerta_refuses_connections_and_comes_back_with_its_alerts(
    own: AlertaServer, own_console: Console, end: str
) -> None:
    alert_id = own_console.create_alert()["id"]

    getattr(own, end)()

    assert not own.running
    with pytest.raises(ConnectionRefusedError):
        own_console.status(alert_id)
    own.start()
    assert own_console.status(alert_id) == "open"


def test_a_frozen_alerta_takes_connections_and_answers_once_thawed(own: AlertaServer, own_console: Console) -> None:
    alert_id = own_console.create_alert()["id"]
    connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=0.5)
    headers = {"Authorization": f"Key {own.admin_key}", "Content-Type": "application/json"}
    own.freeze()

    try:
        connection.request("PUT", f"/alert/{alert_id}/action", json.dumps({"action": "ack"}), headers)
        with pytest.raises(TimeoutError):
            connection.getresponse()
    finally:
        own.thaw()

    deadline = time.monotonic() + 10
    while own_console.status(alert_id) != "ack" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert own_console.status(alert_id) == "ack"


def test_a_frozen_alerta_can_be_stopped(own: AlertaServer, own_console: Console) -> None:
    assert own_console.create_alert()
    own.freeze()
    process = own._process
    assert process is not None

    own.stop()

    assert not own.running
    assert process.returncode == 0, "it was not stopped but killed"


def test_after_a_restart_that_failed_a_mended_alerta_has_its_alerts(own: AlertaServer, own_console: Console) -> None:
    alert_id = own_console.create_alert()["id"]
    own.settings["DEFAULT_ENVIRONMENT"] = own.env["DEFAULT_ENVIRONMENT"] = "Nowhere"
    with pytest.raises(AlertaError, match="Nowhere"):
        own.restart()

    own.settings["DEFAULT_ENVIRONMENT"] = own.env["DEFAULT_ENVIRONMENT"] = "Production"
    own.start()

    assert own_console.status(alert_id) == "open"


def test_two_alertas_on_one_database_server_hold_different_alerts(own_console: Console, console: Console) -> None:
    alert_id = own_console.create_alert()["id"]

    with pytest.raises(ConsoleError) as caught:
        console.get(alert_id)
    assert caught.value.status == 404


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

    deadline = time.monotonic() + 20
    while Path(directory).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(directory).exists()
    assert [pid for pid in pids if _is_alive(int(pid))] == []


def test_closing_ends_the_processes_and_removes_the_directory() -> None:
    server = AlertaServer(workers=1, preload=False)
    server.start()
    directory, pids = server.directory, (server.pid, server.postgres.pid)

    server.close()

    assert not directory.exists()
    assert [pid for pid in pids if _is_alive(pid)] == []


def test_a_free_port_is_none_that_the_kernel_gives_to_clients() -> None:
    with listening_socket() as listener:
        port = listener.getsockname()[1]

    assert 10_000 <= port < alerta_server._first_ephemeral_port()


def test_without_any_postgresql_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(postgres, "_system_binaries", lambda: iter(()))
    monkeypatch.setattr(postgres, "_wheel_binaries", lambda: None)

    with pytest.raises(PostgresError, match="apt install postgresql"):
        _start_postgres(tmp_path)


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only under root PostgreSQL runs as another user")
def test_under_root_a_directory_that_postgresql_cannot_enter_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(PostgresError, match=r"cannot enter .*: chmod o\+x"):
        _start_postgres(closed)


def test_a_directory_too_deep_for_a_unix_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match="too long a path"):
        _start_postgres(tmp_path / ("x" * 100))


def _start_postgres(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    guard = Guard()
    try:
        Postgres(directory, guard).start()
    finally:
        guard.close()


def _is_alive(pid: int) -> bool:
    """Whether `pid` runs; one that has ended and is only not yet collected by init does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
