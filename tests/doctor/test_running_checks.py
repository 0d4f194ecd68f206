"""The connector at work, broken in each way; following the advice makes it well again."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.patient import Patient, follow

NEVER = "00000000-0000-4000-8000-000000000000"


def log_line(patient: Patient, level: str, text: str, *, age_seconds: float = 0.0) -> None:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age_seconds))
    log = Path(patient.layout.log_directory) / "oecAlertaExecutor.log"
    with log.open("a") as file:
        file.write(f"{when} {level} {text}\n")


def test_a_connector_that_does_not_run_fails_and_starting_it_mends_that(patient: Patient) -> None:
    patient.stop_connector()
    found = patient.worst("process")
    assert (found.level, "systemctl start oec" in found.advice) == ("fail", True)
    patient.start_connector()
    assert patient.worst("process").level == "ok"


def test_its_version_is_read_from_its_log(patient: Patient) -> None:
    assert "version 1.1.4" in patient.worst("connector-log").what


def test_a_connector_without_a_log_is_warned_of(patient: Patient) -> None:
    for log in Path(patient.layout.log_directory).glob("oec*.log"):
        log.unlink()
    assert patient.worst("connector-log").level == "warn"


def connector_line(patient: Patient, level: str, text: str, *, age_seconds: float = 0.0) -> None:
    """Let the connector log something, as logrus writes it."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age_seconds))
    (log,) = Path(patient.layout.log_directory).glob("oec[0-9]*.log")
    with log.open("a") as file:
        file.write(f"\x1b[31m{level}\x1b[0m[{when}] {text}  \n")


NO_HOST = "Poller[us-west-2] could not receive message: RequestError: dial tcp: lookup sqs: no such host"


@pytest.mark.parametrize(("age_seconds", "level"), [(5.0, "fail"), (3600.0, "warn"), (3 * 86400.0, "ok")])
def test_a_connector_that_cannot_receive_fails_while_it_says_so(
    patient: Patient, age_seconds: float, level: str
) -> None:
    """Version 1 read the version from that log, and said ok."""
    connector_line(patient, "ERRO", NO_HOST, age_seconds=age_seconds)
    found = patient.worst("connector-log")
    assert (found.level, "no such host" in found.what) == (level, level != "ok")


def test_an_error_of_one_action_is_a_warning_and_shows_no_secret(patient: Patient, alerta_key: str) -> None:
    connector_line(patient, "ERRO", f"Action[Close] execution failed: exit status 1, {alerta_key}")
    found = patient.worst("connector-log")
    assert (found.level, alerta_key in found.what) == ("warn", False)


def test_the_last_success_is_told(patient: Patient) -> None:
    found = patient.worst("last-success")
    assert (found.level, "no action has come through yet" in found.what) == ("skip", True)
    log_line(patient, "INFO", f"applied Close {NEVER} by alice@example.com: done (12 ms)")
    found = patient.worst("last-success")
    assert (found.level, "reached Alerta at" in found.what) == ("ok", True)


def test_a_last_action_that_failed_is_warned_of_until_one_succeeds(patient: Patient) -> None:
    log_line(patient, "ERROR", f"rejected Close {NEVER} by alice@example.com: no-such-alert (9 ms)")
    assert patient.worst("last-success").level == "warn"
    log_line(patient, "INFO", f"applied Close {NEVER} by alice@example.com: done (12 ms)")
    assert patient.worst("last-success").level == "ok"


def test_a_failure_of_long_ago_is_not_told_of(patient: Patient) -> None:
    log_line(patient, "ERROR", "rejected Close: bad-alias (9 ms)", age_seconds=3 * 86400)
    assert [finding for finding in patient.findings("last-success") if finding.level != "ok"] == []


def test_a_key_on_a_command_line_is_warned_of(patient: Patient, alerta_key: str) -> None:
    patient.stop_connector()
    patient.start_connector(alerta_key)
    found = patient.worst("secrets")
    assert found.level == "warn"
    assert alerta_key not in found.what + found.advice
    patient.stop_connector()
    patient.start_connector()
    assert patient.worst("secrets").level == "ok"


def test_the_vendors_own_way_to_pass_its_key_is_not_held_against_anybody(patient: Patient) -> None:
    key = patient.installation().config
    assert key is not None
    patient.start_connector("-apiKey", key.api_key.reveal(), name="oecAlertaExecutor.py")
    assert patient.worst("secrets").level == "ok"


def test_a_copy_of_the_configuration_that_others_can_read_fails(patient: Patient) -> None:
    copy = patient.config.with_name("config.json.bak")
    copy.write_text(patient.config.read_text())
    copy.chmod(0o644)
    found = patient.worst("secrets")
    assert (found.level, str(copy) in found.what) == ("fail", True)
    follow(found.advice)
    assert patient.worst("secrets").level == "ok"


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: GenieKey {secret}",
        "Authorization: Key {secret}",
        "started with -alertaApiKey {secret} --source Alerta",
        "anything {other} at all",
        "HTTPS_PROXY=http://user:an-unknown-secret@proxy.example.com:3128",
    ],
)
def test_lines_of_logs_lose_their_secrets(patient: Patient, line: str) -> None:
    inst = patient.installation()
    text = inst.redact(line.format(secret="an-unknown-secret", other=inst.secrets()[0]))
    assert "an-unknown-secret" not in text
    assert inst.secrets()[0] not in text


@contextmanager
def ready_page(status: int, body: object) -> Iterator[str]:
    """A connector's page whose `/readyz` answers so; gives HOST:PORT."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_our_own_connector_is_asked_whether_it_is_ready(patient: Patient) -> None:
    patient.stop_connector()
    patient.ask(edge="native")
    with ready_page(200, {"ok": True, "transport": "channel"}) as listen:
        patient.start_connector("run", "--listen", listen, name="alerta-opsgenie")
        found = patient.worst("ready")
        assert (found.level, "by the channel of JEC's version 2" in found.what) == ("ok", True)
    found = patient.worst("ready")
    assert (found.level, "does not answer" in found.what) == ("fail", True)


def test_one_that_is_not_ready_fails_with_its_own_reasons(patient: Patient) -> None:
    patient.stop_connector()
    patient.ask(edge="native")
    with ready_page(503, {"troubles": ["Alerta refuses the key"], "stuck": ["poller"]}) as listen:
        patient.start_connector("run", "--listen", listen, name="alerta-opsgenie")
        found = patient.worst("ready")
    assert (found.level, found.what) == ("fail", "it is not ready: Alerta refuses the key; poller stands still")
