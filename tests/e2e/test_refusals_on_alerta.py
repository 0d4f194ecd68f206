"""What a real Alerta refuses, and what it did although its answer was lost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.core.outcome import Answer, Kind, Reason
from alerta_opsgenie.core.task import Call, Settings
from tests.conftest import BRIDGE_USER
from tests.support.answers import BOB, JANE
from tests.support.console import Console
from tests.support.proxy import Proxy
from tests.support.relaying import APPLIED, Bridge, Made, end, in_minutes

# -- What Alerta refuses

NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    "action", ["Acknowledge", "UnAcknowledge", "Close", "Snooze", "AddNote", "AddTags", "TakeOwnership"]
)
def test_an_alert_that_alerta_does_not_have_is_rejected(bridge: Bridge, action: str) -> None:
    outcome = bridge.do(action, NOBODYS, note="x", addedTags="x", snoozedUntil=in_minutes(30))
    assert end(outcome) == (Kind.REJECTED, Reason.NOT_FOUND)
    assert bridge.calls == 1


@pytest.mark.parametrize("path", ["/api/v1", "/alerta/api", "/management"])
def test_a_wrong_url_is_kept_and_loud(
    alerta: AlertaServer, alerta_key: str, console: Console, made: Made, path: str
) -> None:
    outcome = Bridge(alerta.url + path, alerta_key, console).do("Close", made("open"))
    assert end(outcome) == (Kind.KEPT, Reason.NOT_ALERTA)
    assert outcome.needs_person


@pytest.mark.parametrize("path", ["", "/", "/alert", "/alert/", "/alerts", "/api", "/api/", "/api/alert"])
def test_each_form_of_the_url_reaches_the_alert(
    alerta: AlertaServer, alerta_key: str, console: Console, made: Made, path: str
) -> None:
    alert_id = made("open")
    assert end(Bridge(alerta.url + path, alerta_key, console).do("Close", alert_id)) == APPLIED
    assert console.status(alert_id) == "closed"


@pytest.mark.parametrize("key", ["wrong-key-8b1f", "wrong key-8b1f", "wr\u00f6ng-key-8b1f", "wrong-key-8b1f\n"])
def test_a_wrong_key_is_kept_and_loud_and_never_shown(
    alerta: AlertaServer, console: Console, made: Made, key: str
) -> None:
    outcome = Bridge(alerta.url, key, console).do("Close", made("open"))
    assert end(outcome) == (Kind.KEPT, Reason.UNAUTHORIZED)
    assert outcome.needs_person
    assert "--alertaApiKeyFile" in outcome.advice
    assert "wr" not in outcome.detail
    assert "8b1f" not in str(outcome)


def test_alerta_repeats_a_wrong_key(alerta: AlertaServer) -> None:
    """The trap is there: its answer holds the key that it was given."""
    assert "wrong-key-8b1f" in str(Console(alerta.url, "wrong-key-8b1f").exchange("GET", "/alerts"))


def test_a_key_without_the_scope_is_kept_and_loud(alerta: AlertaServer, console: Console, made: Made) -> None:
    key = alerta.create_key("reader@example.com", ["read:alerts"])
    alert_id = made("open")
    outcome = Bridge(alerta.url, key, console).do("Close", alert_id)
    assert end(outcome) == (Kind.KEPT, Reason.FORBIDDEN)
    assert outcome.needs_person
    assert "write:alerts" in outcome.advice
    assert console.status(alert_id) == "open"


# -- After an attempt of unknown end


@pytest.mark.parametrize("notes_before", [0, 105])
def test_a_note_whose_answer_was_lost_is_written_once(
    proxy: Proxy, alerta_key: str, console: Console, made: Made, notes_before: int
) -> None:
    """105 notes: Alerta lists the oldest hundred of them, and ours is not among those."""
    alert_id = made("open")
    for number in range(notes_before):
        console.note(alert_id, f"note {number}")
    bridge, began = Bridge(proxy.url, alerta_key, console), time.time()
    with proxy.dropping_answers():
        assert bridge.do("AddNote", alert_id, note="looking").kind is Kind.KEPT
    again = bridge.do("AddNote", alert_id, note="looking", attempted_at=began)
    assert end(again) == (Kind.ALREADY, Reason.REDELIVERED)
    lines = [line["text"] for line in console.history(alert_id) if line["type"] == "note"]
    assert lines.count(f"{JANE}: looking") == 1


def test_a_note_that_was_lost_on_its_way_is_written(
    proxy: Proxy, alerta_key: str, console: Console, made: Made
) -> None:
    alert_id = made("open")
    bridge, began = Bridge(proxy.url, alerta_key, console), time.time()
    with proxy.dropping_requests():
        assert bridge.do("AddNote", alert_id, note="looking").kind is Kind.KEPT
    assert end(bridge.do("AddNote", alert_id, note="looking", attempted_at=began)) == APPLIED
    assert [note["text"] for note in console.notes(alert_id)] == [f"{JANE}: looking"]


CHANGES = [
    ("Acknowledge", "open", "ack", 2),
    ("Acknowledge", "shelved", "ack", 5),
    ("UnAcknowledge", "ack", "open", 2),
    ("Close", "open", "closed", 1),
    ("Snooze", "open", "shelved", 1),
    ("Snooze", "shelved", "shelved", 4),
    ("SnoozeEnded", "shelved", "open", 3),
    ("SnoozeEnded", "shelved from ack", "open", 3),
    ("AssignOwnership", "open", "open", 2),
    ("RestartService", "open", "open", 1),
]


class _Losing(Bridge):
    """A bridge that loses the answer to its call of that number, counted from 0."""

    def __init__(self, proxy: Proxy, bridge: Bridge, lost: int) -> None:
        self.client, self.console, self.with_plugin = bridge.client, bridge.console, False
        self.calls = 0
        self._proxy = proxy
        self._left = lost

    def _send(self, call: Call) -> Answer:
        self._left -= 1
        if self._left >= 0:
            return super()._send(call)
        with self._proxy.dropping_answers(times=1):
            return super()._send(call)


@pytest.fixture
def proxied(proxy: Proxy, alerta_key: str, console: Console) -> Iterator[Bridge]:
    made = Bridge(proxy.url, alerta_key, console)
    yield made
    made.client.close()


@pytest.mark.parametrize(("action", "before", "after", "calls"), CHANGES)
def test_whichever_answer_is_lost_the_action_is_done_once(
    proxy: Proxy, proxied: Bridge, made: Made, action: str, before: str, after: str, calls: int
) -> None:
    """The answer to the first, second, ... call is lost; then the relay runs again from its start."""
    mapped = Settings(custom_actions={"RestartService": "restart"})
    fields: dict[str, Any] = {"owner": BOB, "snoozedUntil": in_minutes(30), "settings": mapped}
    for lost in range(calls):
        alert_id, began = made(before), time.time()
        assert _Losing(proxy, proxied, lost).do(action, alert_id, **fields).kind is Kind.KEPT
        again = proxied.do(action, alert_id, attempted_at=began, **fields)
        assert again.kind in (Kind.APPLIED, Kind.ALREADY)
        held = proxied.console.get(alert_id)
        assert held["status"] == after
        assert ("acked-by" in held["attributes"]) is (action == "Acknowledge")
        texts = [line["text"] for line in held["history"] if line["user"] == BRIDGE_USER]
        assert len(texts) == len(set(texts))


def test_a_close_that_arrived_does_not_close_what_was_raised_again_since(
    proxy: Proxy, alerta_key: str, console: Console
) -> None:
    resource = uuid.uuid4().hex
    alert_id = console.create_alert(resource=resource, event="E")["id"]
    bridge, began = Bridge(proxy.url, alerta_key, console), time.time()
    with proxy.dropping_answers():
        assert bridge.do("Close", alert_id).kind is Kind.KEPT
    assert console.create_alert(resource=resource, event="E", severity="critical")["id"] == alert_id
    assert console.status(alert_id) == "open"
    assert end(bridge.do("Close", alert_id, attempted_at=began)) == APPLIED
    assert console.status(alert_id) == "open"


def test_an_ack_that_somebody_took_back_since_stays_taken_back(
    proxy: Proxy, alerta_key: str, console: Console, made: Made
) -> None:
    alert_id = made("open")
    bridge, began = Bridge(proxy.url, alerta_key, console), time.time()
    with proxy.dropping_answers():
        assert bridge.do("Acknowledge", alert_id).kind is Kind.KEPT
    console.action(alert_id, "unack", "not yet")
    bridge.do("Acknowledge", alert_id, attempted_at=began)
    assert console.status(alert_id) == "open"
