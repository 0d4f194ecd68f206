"""A real Alerta sends to Opsgenie and JSM side by side, and neither waits for the other."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer
from lab.cloud import Cloud, CloudServer
from lab.postgres import Postgres

from alerta_opsgenie.journal import try_lock
from alerta_opsgenie.plugin.outbox import LOCK_NAME as SENDER
from tests.support.plugin import JSON, SECRET, SECRET_HEADER, Plugged, plugged, wait_until

PRODUCTS = ("opsgenie", "jsm")
ALICE = "alice@example.com"


@dataclass
class Both:
    """One Alerta between two clouds; `jsm` is Alerta's view of the second."""

    opsgenie: Plugged
    jsm: Plugged

    def __getitem__(self, product: str) -> Plugged:
        found: Plugged = getattr(self, product)
        return found

    def has(self, alert_id: str, product: str, **wanted: object) -> bool:
        """Whether the product's alert comes to look as is wanted."""

        def looks() -> bool:
            found = self[product].cloud.alert(alert_id)
            return found is not None and all(getattr(found, name) == value for name, value in wanted.items())

        return wait_until(looks)

    def told(self, alert_id: str, product: str) -> list[str]:
        """Return the requests to a product, once none waits for either."""
        for one in PRODUCTS:
            self[one].settle()
        return self[product].told(alert_id)


@contextmanager
def both(postgres: Postgres | None, directory: Path, **settings: object) -> Iterator[Both]:
    jsm_cloud = Cloud()
    jsm_key = jsm_cloud.add_api(product="jsm")
    with CloudServer(jsm_cloud) as server:
        more: JSON = {
            "OPSGENIE_ALSO_JSM_KEY": jsm_key.key, "OPSGENIE_ALSO_JSM_URL": server.jsm_url, **settings,
        }  # fmt: skip
        with plugged(postgres, directory, settings=more, webhook=True) as run:
            hook = f"{run.alerta.url}/webhooks/opsgenie"
            jsm_cloud.add_webhook(hook, headers={SECRET_HEADER: SECRET}, product="jsm")
            jsm = replace(run, cloud=jsm_cloud, server=server, key=jsm_key, product="jsm")
            yield Both(run, jsm)
    jsm_cloud.assert_no_violations()


@pytest.fixture(scope="module")
def run(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with both(alerta.postgres, tmp_path_factory.mktemp("both"), OPSGENIE_COMPARE_SECONDS=1) as run:
        yield run


def test_each_product_gets_each_event_once_by_its_own_requests(run: Both) -> None:
    console = run.opsgenie.console
    alert_id = console.create_alert()["id"]
    console.action(alert_id, "ack", "mine")
    console.action(alert_id, "unack")
    console.note(alert_id, "a note")
    console.action(alert_id, "close")
    assert run.told(alert_id, "opsgenie") == ["create", "acknowledge", "unacknowledge", "notes", "close"]
    assert run.told(alert_id, "jsm") == ["create", "acknowledge", "notes", "notes", "close"]


@pytest.mark.parametrize("acting", PRODUCTS)
def test_an_action_in_one_product_reaches_alerta_and_the_other_once(run: Both, acting: str) -> None:
    """It is sent to the product that it came from too, which changes nothing; the echo is recognised."""
    other = next(product for product in PRODUCTS if product != acting)
    console = run.opsgenie.console
    alert_id = console.create_alert()["id"]
    assert run.has(alert_id, acting)
    person = run[acting].cloud.person(ALICE)
    person.acknowledge(alert_id)
    assert run.has(alert_id, other, acknowledged=True)
    assert console.status(alert_id) == "ack"
    person.unacknowledge(alert_id)
    assert run.has(alert_id, "opsgenie", acknowledged=False)
    assert wait_until(lambda: console.status(alert_id) == "open")
    person.close(alert_id)
    assert run.has(alert_id, other, closed=True)
    time.sleep(3)
    assert run.told(alert_id, "opsgenie") == ["create", "acknowledge", "unacknowledge", "close"]
    assert run.told(alert_id, "jsm") == ["create", "acknowledge", "close"], "it has no request to unacknowledge"
    for product in PRODUCTS:
        assert run[product].cloud.alert(alert_id).notes == []  # type: ignore[union-attr]
    changes = [entry["type"] for entry in console.history(alert_id)]
    assert changes.count("ack") == changes.count("unack") == changes.count("close") == 1
    assert console.notes(alert_id) == []


def test_actions_of_both_products_count_as_one_outage(run: Both) -> None:
    """JSM makes its alert a second after Opsgenie. An action in JSM does not make a later one in Opsgenie stale."""
    console = run.opsgenie.console
    with run.jsm.cloud.faults.hang(r"/v2/alerts"):
        alert_id = console.create_alert()["id"]
        assert run.has(alert_id, "opsgenie")
        time.sleep(1)
    assert run.has(alert_id, "jsm")
    run.jsm.cloud.person(ALICE).acknowledge(alert_id)
    assert wait_until(lambda: console.status(alert_id) == "ack")
    assert run.has(alert_id, "opsgenie", acknowledged=True)
    run.opsgenie.cloud.person(ALICE).unacknowledge(alert_id)
    assert wait_until(lambda: console.status(alert_id) == "open")


@pytest.mark.parametrize("down", PRODUCTS)
def test_a_product_that_does_not_answer_does_not_delay_the_other(run: Both, down: str) -> None:
    other = next(product for product in PRODUCTS if product != down)
    console = run.opsgenie.console
    with run[down].cloud.faults.hang(r"/v2/alerts"):
        ids = [console.create_alert()["id"] for _ in range(12)]
        for alert_id in ids:
            assert run.has(alert_id, other), "while the other hangs"
        assert not any(run[down].cloud.alert(alert_id) for alert_id in ids)
    for alert_id in ids:
        assert run.has(alert_id, down)
        assert run.told(alert_id, down) == ["create"]


def test_each_product_has_metrics_if_two_processes_send(alerta: AlertaServer, tmp_path: Path) -> None:
    """Each product has its own lock, so two workers may send to one product each."""
    jsm_directory = tmp_path / "spool" / "jsm"
    jsm_directory.mkdir(0o700, parents=True)
    (tmp_path / "spool").chmod(0o700)
    lock = try_lock(jsm_directory, SENDER)
    assert lock is not None
    with both(alerta.postgres, tmp_path, OPSGENIE_OUTBOX="disk") as run:
        found: list[str] = []

        def senders() -> list[str]:
            found[:] = re.findall(r"process \S+:(\d+) sends what is in the outbox", run.opsgenie.log())
            return found

        assert wait_until(senders)
        os.kill(int(found[0]), signal.SIGSTOP)  # so that only the other worker can take the lock
        lock.close()
        run.opsgenie.console.create_alert()  # a worker starts to send at its first request
        assert wait_until(lambda: len(senders()) > 1)
        os.kill(int(found[0]), signal.SIGCONT)
        assert found[0] != found[1]
        run.opsgenie.console.create_alert()
        wanted = {
            "waiting", "sent_create_done", "also_waiting", "also_oldest_waiting_seconds", "also_sent_create_done",
        }  # fmt: skip

        def figures() -> set[str]:
            metrics = run.opsgenie.console.call("GET", "/management/status")["metrics"]
            return {one["name"] for one in metrics}

        assert wait_until(lambda: wanted <= figures()), figures()


def test_a_throttled_key_pauses_alone(run: Both) -> None:
    console = run.opsgenie.console
    with run.jsm.cloud.faults.throttle(r"/v2/alerts", period_seconds=2):
        alert_id = console.create_alert()["id"]
        assert run.has(alert_id, "opsgenie")
        assert wait_until(lambda: "requests by default wait (throttled)" in run.opsgenie.log())
    assert run.has(alert_id, "jsm")


def test_after_opsgenie_is_switched_off_jsm_gets_all_and_requests_to_opsgenie_wait(run: Both) -> None:
    console = run.opsgenie.console
    with run.opsgenie.cloud.faults.switch_off_opsgenie():
        alert_id = console.create_alert()["id"]
        console.action(alert_id, "ack")
        assert run.has(alert_id, "jsm", acknowledged=True)
        assert wait_until(lambda: "Opsgenie: no request by default is sent until a person acts" in run.opsgenie.log())
        with run.opsgenie.outbox() as outbox:
            assert {row.state for row in outbox.actions() if row.alert == alert_id} <= {"waiting", "in-flight"}
        assert "the API is switched off for this account: move to JSM" in run.opsgenie.log()
        assert console.notes(alert_id) == []
    assert run.has(alert_id, "opsgenie", acknowledged=True)


def test_jsm_gets_no_actions_for_an_alert_that_it_does_not_have(alerta: AlertaServer, tmp_path: Path) -> None:
    """An alert from before JSM was added: its acknowledge is sent to Opsgenie only, its next severity to both."""
    with both(alerta.postgres, tmp_path, OPSGENIE_ALSO_JSM_KEY="") as run:
        alert = run.opsgenie.console.create_alert(severity="minor")
        run.opsgenie.settle()
        run.opsgenie.alerta.settings["OPSGENIE_ALSO_JSM_KEY"] = run.jsm.key.key
        run.opsgenie.alerta.stop()
        run.opsgenie.alerta.start()
        run.opsgenie.console.action(alert["id"], "ack")
        assert run.has(alert["id"], "opsgenie", acknowledged=True)
        assert run.told(alert["id"], "jsm") == []
        same = {name: alert[name] for name in ("resource", "event", "environment", "service")}
        run.opsgenie.console.create_alert(**same, severity="critical")
        assert run.has(alert["id"], "jsm", priority="P1")


def test_one_setting_makes_jsm_the_product_that_is_reconciled(
    alerta: AlertaServer, tmp_path: Path
) -> None:
    """The memory has what was sent to JSM before; a change in JSM whose message was lost is found."""
    with both(alerta.postgres, tmp_path, OPSGENIE_RECONCILE=1) as run:
        server, console = run.opsgenie.alerta, run.opsgenie.console
        alert_id = console.create_alert()["id"]
        assert run.has(alert_id, "jsm")
        run.jsm.settle()
        server.settings["OPSGENIE_ALSO_JSM_PRIMARY"] = True
        server.stop()
        run.jsm.cloud.person(ALICE).close(alert_id)  # its webhook finds no Alerta
        server.start()
        assert wait_until(lambda: console.status(alert_id) == "closed")
        assert run.has(alert_id, "opsgenie", closed=True)
        assert run.told(alert_id, "opsgenie") == ["create", "close"]


def test_an_outbox_on_the_disk_is_two_journals(alerta: AlertaServer, tmp_path: Path) -> None:
    with both(alerta.postgres, tmp_path, OPSGENIE_OUTBOX="disk") as run:
        alert_id = run.opsgenie.console.create_alert()["id"]
        run.opsgenie.console.action(alert_id, "ack")
        for product in PRODUCTS:
            assert run.told(alert_id, product) == ["create", "acknowledge"]
        assert (run.jsm.spool_directory / "jsm" / "journal.db").exists()
