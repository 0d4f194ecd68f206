"""`alerta-opsgenie send`: one action by hand, on a real Alerta, through the relay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import Result
from lab.alerta_server import AlertaServer

from tests.cli.state_directory import NOWHERE, StateDirectory
from tests.support.console import Console

ALICE = ("--user", "alice@example.com")

Send = Callable[..., Result]


@pytest.fixture
def send(place: StateDirectory, alerta: AlertaServer, alerta_key: str) -> Send:
    def run(*arguments: str, **environment: str) -> Result:
        return place.run(
            "send", *arguments, **{"ALERTA_API_URL": alerta.url, "ALERTA_API_KEY": alerta_key, **environment}
        )

    return run


@pytest.fixture
def alert_id(console: Console) -> str:
    return str(console.create_alert()["id"])


def test_each_action_by_its_short_name(send: Send, console: Console, alert_id: str) -> None:
    def done(*arguments: str) -> None:
        result = send(arguments[0], alert_id, *ALICE, *arguments[1:])
        assert (result.exit_code, result.output) == (0, "applied (done)\n")

    done("ack", "--note", "mine")
    assert console.status(alert_id) == "ack"
    done("unack")
    assert console.status(alert_id) == "open"
    done("snooze", "--minutes", "30")
    assert console.status(alert_id) == "shelved"
    done("unsnooze")
    assert console.status(alert_id) == "open"
    done("note", "--note", "seen")
    assert [note["text"] for note in console.notes(alert_id)] == ["alice@example.com: seen"]
    done("assign", "--owner", "bob@example.com")
    assert console.get(alert_id)["attributes"]["owner"] == "bob@example.com"
    done("take")
    assert console.get(alert_id)["attributes"]["owner"] == "alice@example.com"
    done("tag", "--tags", "a,b")
    done("untag", "--tags", "a")
    assert console.get(alert_id)["tags"] == ["b"]
    done("priority", "--priority", "P1")
    assert console.get(alert_id)["attributes"]["opsgenie-priority"] == "P1"
    done("close")
    assert console.status(alert_id) == "closed"


def test_an_action_that_changes_nothing_is_reported_and_is_no_failure(send: Send, alert_id: str) -> None:
    send("close", alert_id, *ALICE)
    result = send("ack", alert_id, *ALICE)
    assert (result.exit_code, result.output) == (0, "already (in-state: the alert is closed)\n")


@pytest.mark.parametrize(
    ("action", "needed"),
    [("note", "note"), ("snooze", "minutes")],
)
def test_an_action_without_its_required_option_is_wrong_usage(place: StateDirectory, action: str, needed: str) -> None:
    result = place.run("send", action, "x", *ALICE)
    assert (result.exit_code, f"error: {action} needs --{needed}" in result.output) == (2, True)


@pytest.mark.parametrize("alert", ["b7c1e0d4", "../users"])
def test_a_text_that_is_no_full_id_changes_nothing(send: Send, alert: str) -> None:
    result = send("close", alert, *ALICE)
    assert result.exit_code == 1
    assert "rejected (bad-alias: $.alert.alias: is not the whole id of an alert in Alerta)" in result.output


def test_an_action_that_cannot_be_delivered_is_kept_and_the_hint_is_shown(
    send: Send, alert_id: str, place: StateDirectory
) -> None:
    result = send("ack", alert_id, *ALICE, "--time-limit", "2", ALERTA_API_URL=NOWHERE)
    assert result.exit_code == 0
    assert result.output.startswith("kept (network: http://127.0.0.1:9: Connection refused); it is kept")
    assert place.states() == [("Acknowledge", "waiting")]


def test_a_refused_key_is_exit_code_1_with_advice(send: Send, alert_id: str) -> None:
    result = send("ack", alert_id, *ALICE, ALERTA_API_KEY="no-such-key")
    assert result.exit_code == 1
    assert "kept (unauthorized: Alerta answered HTTP 401" in result.output
    assert "no-such-key" not in result.output


def test_as_a_process_the_failure_is_on_standard_error(
    alerta: AlertaServer, alerta_key: str, console: Console, alert_id: str, place: StateDirectory
) -> None:
    def call(*arguments: str) -> tuple[int, str, str]:
        url = f"{alerta.api_url}/alert"
        return place.call("send", *arguments, "--alerta-url", url, ALERTA_API_URL="", ALERTA_API_KEY=alerta_key)

    assert call("ack", alert_id, *ALICE) == (0, "applied (done)\n", "")
    assert console.status(alert_id) == "ack"
    code, output, errors = call("close", ".*", *ALICE)
    assert (code, output.split()[0]) == (1, "rejected")
    assert errors == "error: close was not done\n  try: alerta-opsgenie doctor\n"
    assert call("ack", alert_id)[0] == 2
    assert call("explode", alert_id, *ALICE)[0] == 2
