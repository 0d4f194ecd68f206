"""The plugin in the oldest supported Alerta (all versions: `make test-matrix`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab.alerta_server import AlertaServer
from lab.versions import interpreter

from tests.attacks.people import message
from tests.e2e.test_plugin_webhook import trusted
from tests.support.plugin import Plugged, plugged, wait_until

ALICE = "alice@example.com"

pytestmark = pytest.mark.timeout(300)  # the first run makes the environment


@pytest.fixture(scope="module", params=["8.7.0", pytest.param("9.0.1", marks=pytest.mark.long)])
def run(
    alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Plugged]:
    python = interpreter(request.param)
    directory = tmp_path_factory.mktemp("version")
    with plugged(alerta.postgres, directory, webhook=True, workers=1, python=python) as run:
        assert run.alerta.call("GET", "/management/status")["version"] == request.param
        yield run


@pytest.fixture
def alert_id(run: Plugged) -> str:
    return str(run.console.create_alert()["id"])


def test_actions_of_operators_are_sent(run: Plugged, alert_id: str) -> None:
    for action in ("ack", "shelve", "unshelve", "unack", "assign", "close"):
        run.console.action(alert_id, action)
    told = ["create", "acknowledge", "snooze", "acknowledge", "unacknowledge", "assign", "close"]
    assert run.told(alert_id) == told


def test_an_acknowledge_that_times_out_is_unacknowledged(run: Plugged, alert_id: str) -> None:
    run.console.action(alert_id, "ack", timeout=1)
    run.settle()
    assert wait_until(lambda: alert_id in run.alerta.housekeeping()["unack"])
    assert run.told(alert_id) == ["create", "acknowledge", "unacknowledge"]


@pytest.mark.parametrize(
    ("action", "status"), [("Acknowledge", "ack"), ("Close", "closed"), ("UnAcknowledge", "open"), ("Delete", "closed")]
)
def test_the_webhook_acts_under_the_person_s_name(run: Plugged, alert_id: str, action: str, status: str) -> None:
    if action == "UnAcknowledge":
        trusted(run, message(alert_id, "Acknowledge"))
    code, answer = trusted(run, message(alert_id, action))
    assert (code, answer["outcome"], run.console.status(alert_id)) == (200, "applied", status)
    assert run.console.history(alert_id)[-1]["user"] == ALICE
    assert run.told(alert_id) == ["create"]


def test_the_response_to_the_connector_has_name_status_and_timeout(run: Plugged, alert_id: str) -> None:
    body = {"action": "shelve", "text": "", "timeout": 600, "bridge": {}}
    path = f"/alert/{alert_id}/action"
    status, headers, _ = run.bridge.exchange("PUT", path, body, X_Alerta_On_Behalf_Of=ALICE)
    assert (status, headers["x-alerta-on-behalf-of"]) == (200, ALICE)
    assert (headers["x-alerta-alert-status"], headers["x-alerta-alert-timeout"]) == ("shelved", "600")
