"""Alerta on MongoDB: on mongomock in one process, or on the server that ALERTA_TEST_DATABASE_URL names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab.alerta_server import MOCK
from lab.cloud.person import Person

from tests.attacks.people import message, pose
from tests.e2e.test_plugin_webhook import trusted
from tests.support.plugin import Plugged, plugged, wait_until

ALICE = "alice@example.com"
URL = os.environ.get("ALERTA_TEST_DATABASE_URL") or MOCK


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    workers = 1 if URL == MOCK else 2
    directory = tmp_path_factory.mktemp("mongodb")
    with plugged(None, directory, webhook=True, workers=workers, mongodb=URL) as run:
        yield run


@pytest.fixture
def alert_id(run: Plugged) -> str:
    made = str(run.console.create_alert()["id"])
    run.settle()
    return made


@pytest.fixture
def alice(run: Plugged) -> Person:
    return run.cloud.person(ALICE)


def test_it_is_called_experimental_at_start(run: Plugged) -> None:
    assert run.log().count("with MongoDB the plugin is experimental") == 1


def test_what_operators_do_is_told(run: Plugged, alert_id: str) -> None:
    for action in ("ack", "unack", "shelve", "unshelve", "close"):
        run.console.action(alert_id, action)
    told = ["create", "acknowledge", "unacknowledge", "snooze", "acknowledge", "unacknowledge", "close"]
    assert run.told(alert_id) == told


def test_what_people_do_on_the_phone_is_done_under_their_names(run: Plugged, alert_id: str, alice: Person) -> None:
    alice.acknowledge(alert_id)
    run.settle()
    alert = run.console.get(alert_id)
    assert (alert["status"], alert["attributes"]["acked-by"]) == ("ack", ALICE)
    alice.unacknowledge(alert_id)
    alice.add_note(alert_id, "looking")
    alice.close(alert_id)
    run.settle()
    assert run.console.status(alert_id) == "closed"
    assert {line["user"] for line in run.console.history(alert_id)[1:]} == {ALICE}
    assert run.told(alert_id) == ["create"]


@pytest.mark.parametrize("who", ["operator", "bridge"])
def test_an_unacknowledge_removes_acked_by(run: Plugged, alert_id: str, alice: Person, who: str) -> None:
    alice.acknowledge(alert_id)
    run.settle()
    if who == "operator":
        run.console.action(alert_id, "unack")
    else:
        alice.unacknowledge(alert_id)
        run.settle()
    alert = run.console.get(alert_id)
    assert (alert["status"], "acked-by" in alert["attributes"]) == ("open", False)


@pytest.mark.parametrize(("action", "found"), [("shelve", "unshelve"), ("ack", "unack")])
def test_housekeeping_ends_what_is_over_and_nothing_else(run: Plugged, alert_id: str, action: str, found: str) -> None:
    later = str(run.console.create_alert()["id"])
    run.console.action(alert_id, action, timeout=1)
    run.console.action(later, action, timeout=3600)
    assert wait_until(lambda: alert_id in run.alerta.housekeeping()[found])
    assert run.console.status(alert_id) == "open"
    assert run.console.status(later) == {"shelve": "shelved"}.get(action, action)
    assert "an error of the plugin" not in run.log()


def test_a_second_longer_shelve_is_not_ended_by_the_first_one_s_time(run: Plugged, alert_id: str) -> None:
    run.console.action(alert_id, "shelve", timeout=1)
    run.console.action(alert_id, "unshelve")
    run.console.action(alert_id, "shelve", timeout=3600)
    time.sleep(1.2)
    assert alert_id not in run.alerta.housekeeping()["unshelve"]


def test_a_late_message_is_stale(run: Plugged, alert_id: str) -> None:
    now = time.time_ns()
    trusted(run, message(alert_id, "Close", updatedAt=now))
    assert trusted(run, message(alert_id, "Acknowledge", updatedAt=now - 1))[1]["reason"] == "stale"
    assert run.console.status(alert_id) == "closed"


def test_of_an_older_acknowledge_and_a_newer_close_at_once_the_close_stands(run: Plugged) -> None:
    """Both at the same moment, as from two connectors: the lease lets one of them in after the other."""
    for _ in range(20):
        alert_id = str(run.console.create_alert()["id"])
        now = time.time_ns()
        with ThreadPoolExecutor(2) as pool:
            older = pool.submit(pose, run.bridge, alert_id, "ack", updatedAt=now - 10**6)
            newer = pool.submit(pose, run.bridge, alert_id, "close", updatedAt=now)
            assert {older.result()[0], newer.result()[0]} <= {200, 409}
        assert run.console.status(alert_id) == "closed"
