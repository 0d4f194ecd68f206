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

from tests.support.installed import Installed, follow

NEVER = "00000000-0000-4000-8000-000000000000"


def log_line(installed: Installed, level: str, text: str, *, age_seconds: float = 0.0) -> None:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age_seconds))
    log = Path(installed.layout.log_directory) / "oecAlertaExecutor.log"
    with log.open("a") as file:
        file.write(f"{when} {level} {text}\n")


def test_a_connector_that_does_not_run_fails_and_starting_it_mends_that(installed: Installed) -> None:
    installed.stop_connector()
    found = installed.worst("process")
    assert (found.level, "systemctl start oec" in found.advice) == ("fail", True)
    installed.start_connector()
    assert installed.worst("process").level == "ok"


def test_its_version_is_read_from_its_log(installed: Installed) -> None:
    assert "version 1.1.4" in installed.worst("connector-log").what


def test_a_connector_without_a_log_is_warned_of(installed: Installed) -> None:
    for log in Path(installed.layout.log_directory).glob("oec*.log"):
        log.unlink()
    assert installed.worst("connector-log").level == "warn"


def connector_line(installed: Installed, level: str, text: str, *, age_seconds: float = 0.0) -> None:
    """Let the connector log something, as logrus writes it."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age_seconds))
    (log,) = Path(installed.layout.log_directory).glob("oec[0-9]*.log")
    with log.open("a") as file:
        file.write(f"\x1b[31m{level}\x1b[0m[{when}] {text}  \n")


NO_HOST = "Poller[us-west-2] could not receive message: RequestError: dial tcp: lookup sqs: no such host"


@pytest.mark.parametrize(("age_seconds", "level"), [(5.0, "fail"), (3600.0, "warn"), (3 * 86400.0, "ok")])
def test_a_connector_that_cannot_receive_fails_while_it_says_so(
    installed: Installed, age_seconds: float, level: str
) -> None:
    """Version 1 read the version from that log, and said ok."""
    connector_line(installed, "ERRO", NO_HOST, age_seconds=age_seconds)
    found = installed.worst("connector-log")
    assert (found.level, "no such host" in found.what) == (level, level != "ok")


def test_an_error_of_one_action_is_a_warning_and_shows_no_secret(installed: Installed, alerta_key: str) -> None:
    connector_line(installed, "ERRO", f"Action[Close] execution failed: exit status 1, {alerta_key}")
    found = installed.worst("connector-log")
    assert (found.level, alerta_key in found.what) == ("warn", False)


def test_the_last_success_is_told(installed: Installed) -> None:
    found = installed.worst("last-success")
    assert (found.level, "no action has come through yet" in found.what) == ("skip", True)
    log_line(installed, "INFO", f"applied Close {NEVER} by alice@example.com: done (12 ms)")
    found = installed.worst("last-success")
    assert (found.level, "reached Alerta at" in found.what) == ("ok", True)


def test_a_last_action_that_failed_is_warned_of_until_one_succeeds(installed: Installed) -> None:
    log_line(installed, "ERROR", f"rejected Close {NEVER} by alice@example.com: no-such-alert (9 ms)")
    assert installed.worst("last-success").level == "warn"
    log_line(installed, "INFO", f"applied Close {NEVER} by alice@example.com: done (12 ms)")
    assert installed.worst("last-success").level == "ok"


def test_a_failure_of_long_ago_is_not_told_of(installed: Installed) -> None:
    log_line(installed, "ERROR", "rejected Close: bad-alias (9 ms)", age_seconds=3 * 86400)
    assert [finding for finding in installed.findings("last-success") if finding.level != "ok"] == []


def test_a_key_on_a_command_line_is_warned_of(installed: Installed, alerta_key: str) -> None:
    installed.stop_connector()
    installed.start_connector(alerta_key)
    found = installed.worst("secrets")
    assert found.level == "warn"
    assert alerta_key not in found.what + found.advice
    installed.stop_connector()
    installed.start_connector()
    assert installed.worst("secrets").level == "ok"


def test_the_vendors_own_way_to_pass_its_key_is_not_held_against_anybody(installed: Installed) -> None:
    key = installed.installation().config
    assert key is not None
    installed.start_connector("-apiKey", key.api_key.reveal(), name="oecAlertaExecutor.py")
    assert installed.worst("secrets").level == "ok"


def test_a_copy_of_the_configuration_that_others_can_read_fails(installed: Installed) -> None:
    copy = installed.config.with_name("config.json.bak")
    copy.write_text(installed.config.read_text())
    copy.chmod(0o644)
    found = installed.worst("secrets")
    assert (found.level, str(copy) in found.what) == ("fail", True)
    follow(found.advice)
    assert installed.worst("secrets").level == "ok"


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
def test_lines_of_logs_lose_their_secrets(installed: Installed, line: str) -> None:
    inst = installed.installation()
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


def test_our_own_connector_is_asked_whether_it_is_ready(installed: Installed) -> None:
    installed.stop_connector()
    installed.ask(edge="native")
    with ready_page(200, {"ok": True, "transport": "channel"}) as listen:
        installed.start_connector("run", "--listen", listen, name="alerta-opsgenie")
        found = installed.worst("ready")
        assert (found.level, "by the channel of JEC's version 2" in found.what) == ("ok", True)
    found = installed.worst("ready")
    assert (found.level, "does not answer" in found.what) == ("fail", True)


def test_one_that_is_not_ready_fails_with_its_own_reasons(installed: Installed) -> None:
    installed.stop_connector()
    installed.ask(edge="native")
    with ready_page(503, {"troubles": ["Alerta refuses the key"], "stuck": ["poller"]}) as listen:
        installed.start_connector("run", "--listen", listen, name="alerta-opsgenie")
        found = installed.worst("ready")
    assert (found.level, found.what) == ("fail", "it is not ready: Alerta refuses the key; poller stands still")
