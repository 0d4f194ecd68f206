"""The executor's output: log lines, one error line for the connector, an exit code, JEC's pipe."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.vendor.config import JEC
from tests.support.bad_server import BadServer
from tests.support.executor import Edge
from tests.support.proxy import Proxy
from tests.support.scenarios import JSON, action

KEY = "a-key-that-nobody-must-see-77c1"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that answers ok to every request."""
    with BadServer("ok") as server, Proxy(server.url) as made:
        yield made


@pytest.fixture
def edge(tmp_path: Path, proxy: Proxy) -> Iterator[Edge]:
    with Edge(tmp_path, proxy.url, KEY, arguments=("--timeLimit", "3")) as made:
        yield made


@pytest.fixture
def alert_id() -> str:
    return str(uuid.uuid4())


def bare(**fields: Any) -> JSON:
    return {"action": "Acknowledge", "actionType": "custom", **fields}


def test_a_mapped_action_about_no_alert_reaches_the_alert_that_its_details_name(edge: Edge, alert_id: str) -> None:
    edge.arguments += ("--customAction", "finish=close")
    message = bare(action="finish", mappedActionV2={"name": "Create"}, details={"alertaId": alert_id}, requestId="r")
    expected = f"applied finish {alert_id} by Jira Service Management: done"
    assert expected in edge.run(message).stdout
    assert "already finish" in edge.run(message).stdout


class TestLines:
    def test_an_action_is_one_line_with_time_level_outcome_alert_person_and_duration(
        self, edge: Edge, alert_id: str
    ) -> None:
        result = edge.run(action("Close", alert_id, by="jane.doe@example.org"))
        line = rf"{STAMP} INFO applied Close {alert_id} by jane\.doe@example\.org: done \(\d+ ms\)\n"
        assert re.fullmatch(line, result.stdout)

    @pytest.mark.parametrize("level", ["error", "PANIC"])
    def test_at_the_level_of_failures_a_success_is_silent(self, edge: Edge, alert_id: str, level: str) -> None:
        edge.arguments += ("--logLevel", level)
        assert edge.run(action("Close", alert_id)).stdout == ""

    @pytest.mark.parametrize("level", ["TRACE", "debug"])
    def test_the_debug_level_adds_ignored_arguments_and_failed_attempts(
        self, edge: Edge, proxy: Proxy, alert_id: str, level: str
    ) -> None:
        edge.arguments += ("--logLevel", level, "--newOption")
        with proxy.answering(503, times=1):
            lines = edge.run(action("Close", alert_id)).stdout.splitlines()
        assert " DEBUG passed over an argument --newOption" in lines[0]
        assert " DEBUG Alerta answered HTTP 503: the proxy says so; again in 0." in lines[1]
        assert " INFO applied Close " in lines[2]

    def test_names_and_notes_with_line_ends_stay_on_one_line(self, edge: Edge, alert_id: str) -> None:
        evil = "eve\nERROR applied\r\n\u2028\x1b[31m@example.com"
        for name in ("Close", "Acknow\nledge", "AddNote"):
            result = edge.run(action(name, alert_id, by=evil) | {"mappedActionV2": {"name": "Close"}})
            for text in (result.stdout, result.stderr):
                assert len(text.splitlines()) <= 1
                assert "\x1b" not in text

class TestOutcomes:
    @pytest.mark.parametrize(
        ("message", "expected"),
        [
            (bare(), "ignored Acknowledge by Jira Service Management: no-alert, the message is about no alert"),
            (bare(alert={}), "ignored Acknowledge by Opsgenie: no-alias, the alert has no alias"),
            (bare(alert={"alias": "a", "source": "Zabbix"}), "foreign, the alert's source is 'Zabbix'"),
            (
                bare(alert={"alias": str(uuid.UUID(int=1)), "source": "Alerta", "username": "alerta"}),
                "echo, it came from",
            ),
        ],
    )
    def test_an_ignored_action_is_exit_0_and_no_request_to_alerta(
        self, edge: Edge, proxy: Proxy, message: JSON, expected: str
    ) -> None:
        result = edge.run(message)
        assert (result.exit_code, result.stderr) == (0, "")
        assert expected in result.stdout
        assert proxy.exchanges == []

    @pytest.mark.parametrize(
        ("payload", "expected"),
        [
            ("", "message: $: is not JSON"),
            ('{"action": "Close", "alert": []}', "message: $.alert: expected an object, found a list"),
            ("\ud800", "message: $: is not JSON"),
            ("[" * 10_000, "message: $: is not JSON that can be read"),
        ],
    )
    def test_an_unreadable_message_is_exit_1_with_the_json_path(self, edge: Edge, payload: str, expected: str) -> None:
        arguments = ["--alertaApiUrl", edge.url, "--alertaApiKey", KEY, "--payloadFile", "-"]
        code, output, errors = edge.call(arguments, stdin=payload.encode("utf-8", "surrogatepass"))
        assert code == 1
        assert errors.startswith(f"alerta: {expected}")
        assert " ERROR rejected message: bad-message, " in output

    def test_an_action_that_alerta_refuses_is_exit_1(self, edge: Edge, proxy: Proxy, alert_id: str) -> None:
        body = b'{"status": "error", "message": "not found"}'
        with proxy.answering(404, body=body):
            result = edge.run(action("Close", alert_id))
        assert result.exit_code == 1
        assert result.stderr == f"alerta: Close {alert_id} by alice@example.com: Alerta has no such alert\n"
        [refused] = edge.entries()
        assert (refused.state, refused.reason, refused.kind) == ("dead", "not-found", "Close")

    def test_a_kept_action_is_exit_0_and_a_warning(self, edge: Edge, proxy: Proxy, alert_id: str) -> None:
        with proxy.answering(503):
            result = edge.run(action("Close", alert_id))
        assert (result.exit_code, result.stderr) == (0, "")
        assert " WARN kept Close " in result.stdout
        assert ": unavailable, Alerta answered HTTP 503: the proxy says so; it is kept and will be" in result.stdout


class TestPipe:
    @pytest.fixture
    def edge(self, tmp_path: Path, proxy: Proxy) -> Iterator[Edge]:
        with Edge(tmp_path, proxy.url, KEY, dialect=JEC, arguments=("--timeLimit", "3", "--logLevel", "DEBUG")) as made:
            yield made

    def test_jec_gets_the_outcome_as_json(self, edge: Edge, alert_id: str) -> None:
        callback = edge.run(action("Close", alert_id, by="zoë@example.com")).callback or {}
        assert json.loads(callback["callbackContext"]) == {
            "outcome": "applied",
            "reason": "done",
            "action": f"Close {alert_id} by zoë@example.com",
            "detail": "",
        }
