"""Problems of the running connector are found, and following the advice corrects them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from alerta_opsgenie.doctor.running_checks import last_error
from tests.support.installed import Installed, plain_user
from tests.support.web_page import web_page

NEVER = "00000000-0000-4000-8000-000000000000"


def when(age_seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age_seconds))


def log_line(installed: Installed, level: str, text: str, *, age_seconds: float = 0.0) -> None:
    """Write a line into the executor's log."""
    with (Path(installed.layout.log_directory) / "oecAlertaExecutor.log").open("a") as file:
        file.write(f"{when(age_seconds)} {level} {text}\n")


def connector_line(installed: Installed, level: str, text: str, *, age_seconds: float = 0.0) -> None:
    """Write a line into the connector's log, in logrus's format."""
    (log,) = Path(installed.layout.log_directory).glob("oec[0-9]*.log")
    with log.open("a") as file:
        file.write(f"\x1b[31m{level}\x1b[0m[{when(age_seconds)}] {text}  \n")


NO_HOST = "Poller[us-west-2] could not receive message: RequestError: dial tcp: lookup sqs: no such host"


@pytest.mark.parametrize(("age_seconds", "level"), [(5.0, "fail"), (3600.0, "warn"), (3 * 86400.0, "ok")])
def test_a_recent_error_of_receiving_fails(
    installed: Installed, age_seconds: float, level: str
) -> None:
    connector_line(installed, "ERRO", NO_HOST, age_seconds=age_seconds)
    found = installed.worst("connector-log")
    assert (found.level, "no such host" in found.what) == (level, level != "ok")


def test_an_error_of_one_action_is_a_warning_and_shows_no_secret(installed: Installed, alerta_key: str) -> None:
    connector_line(installed, "ERRO", f"Action[Close] execution failed: exit status 1, {alerta_key}")
    found = installed.worst("connector-log")
    assert (found.level, alerta_key in found.what) == ("warn", False)


def test_the_last_success_and_a_later_failure_are_reported(installed: Installed) -> None:
    found = installed.worst("last-success")
    assert (found.level, "shows no action yet" in found.what) == ("skip", True)
    log_line(installed, "ERROR", "rejected Close: bad-alias (9 ms)", age_seconds=3 * 86400)
    assert [finding for finding in installed.findings("last-success") if finding.level != "ok"] == []
    log_line(installed, "ERROR", f"rejected Close {NEVER} by alice@example.com: no-such-alert (9 ms)")
    assert installed.worst("last-success").level == "warn"
    log_line(installed, "INFO", f"applied Close {NEVER} by alice@example.com: done (12 ms)")
    found = installed.worst("last-success")
    assert (found.level, "reached Alerta at" in found.what) == ("ok", True)


def test_a_key_on_a_command_line_is_a_warning(installed: Installed, alerta_key: str) -> None:
    installed.stop_connector()
    installed.start_connector(alerta_key)
    found = installed.worst("secrets")
    assert found.level == "warn"
    assert alerta_key not in found.what + found.advice
    installed.stop_connector()
    installed.start_connector()
    assert installed.worst("secrets").level == "ok"


def test_an_unreadable_file_near_the_configuration_is_skipped_and_copies_are_found(installed: Installed) -> None:
    directory = installed.config.parent
    closed, copy = directory / "a.bak", directory / "config.json.bak"
    closed.write_text("")
    if os.geteuid() == 0:
        shutil.chown(closed, *plain_user())
    closed.chmod(0o004)  # its owner may not read it
    found = installed.worst("secrets")
    assert (found.level, f"{closed} cannot be read" in found.what) == ("skip", True)
    copy.write_text(installed.config.read_text())
    copy.chmod(0o644)
    assert installed.worst("secrets").level == "fail"
    copy.unlink()
    closed.unlink()
    directory.chmod(0o311)
    found = installed.worst("secrets")
    directory.chmod(0o755)
    assert (found.level, f"{directory} cannot be read" in found.what) == ("skip", True)


def test_the_api_key_argument_of_the_vendors_connector_is_accepted(installed: Installed) -> None:
    key = installed.installation().config.api_key.reveal()
    installed.start_connector("-apiKey", key, name="oecAlertaExecutor.py")
    assert installed.worst("secrets").level == "ok"


@pytest.mark.parametrize(
    ("status", "body", "level", "what"),
    [
        (200, {"ok": True, "transport": "channel"}, "ok", "by the channel of JEC's version 2"),
        (503, {"problems": ["no key"], "stuck": ["poller"]}, "fail", "is not ready: no key; poller makes no progress"),
    ],
)
def test_readiness_of_our_connector_is_reported(
    installed: Installed, status: int, body: object, level: str, what: str
) -> None:
    installed.stop_connector()
    installed.ask(edge="native")
    with web_page(status) as (url, routes):
        routes["/readyz"] = body
        installed.start_connector("run", "--listen", url.removeprefix("http://"), name="alerta-opsgenie")
        found = installed.worst("ready")
        assert (found.level, what in found.what) == (level, True)
    assert "does not answer" in installed.worst("ready").what


@pytest.mark.parametrize(
    "line",
    [
        "\x1b[31mERRO\x1b[0m[2026-01-05T10:00:00.123456789Z] no such host                         ",
        "ERRO[2026-01-05T10:00:00Z] no such host",
        'time="2026-01-05T11:00:00+01:00" level=error msg="no such host"',
    ],
)
def test_the_last_error_is_found_in_each_log_format(line: str) -> None:
    lines = ["ERRO[2026-01-04T10:00:00Z] older", line, "INFO[2026-01-05T10:00:01Z] newer", "no log line"]
    at, text = last_error(lines)
    assert (int(at), text) == (1767607200, "no such host")
