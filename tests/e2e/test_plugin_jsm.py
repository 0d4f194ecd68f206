"""The plugin with JSM: the four documented requests, and notes for the rest unless the others are enabled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab.alerta_server import AlertaServer

from tests.support.plugin import Plugged, plugged, wait_until

SAME = ("resource", "event", "environment", "service")


@pytest.fixture(scope="module")
def run(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    with plugged(alerta.postgres, tmp_path_factory.mktemp("jsm"), product="jsm", workers=1) as run:
        yield run


def test_create_acknowledge_note_and_close_are_requests(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    run.console.action(alert_id, "ack", "mine")
    run.console.note(alert_id, "a note")
    run.console.action(alert_id, "close")
    assert run.told(alert_id) == ["create", "acknowledge", "notes", "close"]
    assert run.upstream(alert_id).closed


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (["ack", "unack"], "Unacknowledged in Alerta: unack's words"),
        (["shelve"], "Shelved in Alerta until 20"),
        (["shelve", "unshelve"], "Unshelved in Alerta"),
        (["assign"], "Assigned in Alerta"),
    ],
)
def test_an_action_without_a_request_in_jsm_is_sent_as_a_note(run: Plugged, actions: list[str], words: str) -> None:
    alert_id = run.console.create_alert()["id"]
    for action in actions:
        run.console.action(alert_id, action, f"{action}'s words")
    assert run.upstream(alert_id).notes[-1].startswith(words)


def test_another_severity_is_sent_as_a_note(run: Plugged) -> None:
    alert = run.console.create_alert(severity="minor")
    run.console.create_alert(**{name: alert[name] for name in SAME}, severity="critical")
    assert run.upstream(alert["id"]).notes == ["The severity changed from minor to critical in Alerta"]


@pytest.fixture(scope="module")
def extra(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    """Use the requests that JSM does not document."""
    settings = {"OPSGENIE_EXTRA_CALLS": True}
    directory = tmp_path_factory.mktemp("jsm-extra")
    with plugged(alerta.postgres, directory, product="jsm", settings=settings, workers=1) as run:
        yield run


def test_undocumented_requests_of_jsm_are_used_if_enabled(extra: Plugged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra.cloud.switches, "jsm_undocumented_actions", True)
    alert_id = extra.console.create_alert()["id"]
    extra.console.action(alert_id, "ack")
    extra.console.action(alert_id, "unack")
    extra.console.action(alert_id, "shelve", timeout=600)
    extra.console.action(alert_id, "unshelve")
    words = ["create", "acknowledge", "unacknowledge", "snooze", "acknowledge", "unacknowledge"]
    assert extra.told(alert_id) == words
    assert not extra.upstream(alert_id).acknowledged


@pytest.mark.parametrize("status", [404, 405])
def test_a_missing_request_is_a_dead_letter_and_a_note_in_alerta(
    extra: Plugged, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra.cloud.switches, "jsm_missing_status", status)
    alert_id = extra.console.create_alert()["id"]
    for action in ("ack", "unack", "close"):
        extra.console.action(alert_id, action)
    assert extra.upstream(alert_id).closed, "later requests are sent"
    assert wait_until(lambda: extra.console.notes(alert_id))
    note = extra.console.notes(alert_id)[0]
    assert note["user"] == "alerta-opsgenie"
    assert note["text"].startswith(f"JSM refused this (unacknowledge): HTTP {status}")
    with extra.outbox() as outbox:
        dead = [(row.kind, row.reason) for row in outbox.actions("dead") if row.alert == alert_id]
    assert dead == [("unacknowledge", "unsupported")]
    assert extra.told(alert_id)[-1] == "close", "the note about the refusal is not sent"
