"""`alerta-opsgenie reconcile`: a real Alerta without the plugin and the stand-in, compared from outside by two keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from lab.alerta_server import AlertaServer

from alerta_opsgenie.core import reconcile as rules
from tests.cli.state_directory import StateDirectory
from tests.support.cloud import Running, running_cloud
from tests.support.console import Console

PERSON = "alice@example.com"
Reconcile = Callable[..., Result]


@pytest.fixture
def cloud() -> Iterator[Running]:
    with running_cloud() as run:
        yield run


@pytest.fixture
def reconcile(
    place: StateDirectory, cloud: Running, alerta: AlertaServer, alerta_key: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Reconcile:  # fmt: skip
    monkeypatch.setattr(rules, "GRACE_SECONDS", 0.0)
    key = tmp_path / "key"
    key.write_text(cloud.api.key + "\n", encoding="ascii")
    vendor = ("--opsgenie-url", cloud.server.base_url, "--opsgenie-key-file", str(key))

    def run(*arguments: str) -> Result:
        known = {"ALERTA_API_URL": alerta.url, "ALERTA_API_KEY": alerta_key}
        return place.run("reconcile", *vendor, "--pause", "0", *arguments, **known)

    return run


@pytest.fixture
def alert_id(console: Console, cloud: Running) -> str:
    made = str(console.create_alert()["id"])
    cloud.cloud.person(PERSON).create("m", made, source="Alerta")
    return made


def test_a_dry_run_shows_what_differs_and_changes_nothing(
    reconcile: Reconcile, console: Console, cloud: Running, alert_id: str
) -> None:
    cloud.cloud.person(PERSON).acknowledge(alert_id)
    done = reconcile("--only", "acknowledged")
    assert done.exit_code == 3
    assert f"{alert_id} acknowledged alerta   acknowledge" in done.output
    assert console.status(alert_id) == "open"


def test_apply_repairs_alerta_as_the_lost_message_would_have_done(
    reconcile: Reconcile, console: Console, cloud: Running, alert_id: str
) -> None:
    cloud.cloud.person(PERSON).close(alert_id)
    done = reconcile("--only", "open", "--apply", "--json")
    assert done.exit_code == 3
    (repair,) = json.loads(done.output)["repairs"]
    assert (repair["alert"], repair["tell"], repair["result"]) == (alert_id, "alerta", "done")
    assert console.status(alert_id) == "closed"
    assert reconcile("--only", "open").exit_code == 0


def test_apply_repairs_the_vendor(reconcile: Reconcile, console: Console, cloud: Running, alert_id: str) -> None:
    console.action(alert_id, "close")
    assert "(done)" in reconcile("--only", "open", "--apply").output
    alert = cloud.cloud.alert(alert_id)
    assert alert is not None
    assert alert.closed


def test_no_alert_is_created_in_opsgenie(reconcile: Reconcile, console: Console, cloud: Running) -> None:
    unknown = console.create_alert()["id"]
    done = reconcile("--only", "presence", "--apply")
    assert done.exit_code == 3
    assert f"{unknown} presence     - " in done.output
    assert cloud.cloud.alert(unknown) is None


def test_an_invalid_response_is_a_failure(reconcile: Reconcile, cloud: Running, alert_id: str) -> None:
    assert alert_id
    with cloud.cloud.faults.status(500, "/v2/alerts$"):
        done = reconcile("--apply")
    assert done.exit_code == 1
    assert "HTTP 500" in done.output


def test_a_key_file_that_is_not_there_is_wrong_usage(reconcile: Reconcile) -> None:
    assert reconcile("--opsgenie-key-file", "/nowhere").exit_code == 2
