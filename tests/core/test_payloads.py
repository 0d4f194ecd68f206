"""Each example message, from its bytes to the calls to Alerta and the outcome: a literal table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from alerta_opsgenie.core.message import MessageError, parse
from alerta_opsgenie.core.outcome import Kind, Reason
from alerta_opsgenie.core.relay import relay
from alerta_opsgenie.core.task import AttemptContext, Call, Settings
from tests.support.answers import APPLIED, BOB, JANE, NOW_SECONDS, OK, act, asked, attributes, note

PAYLOADS = Path(__file__).parent.parent / "payloads"

NOT_WANTED = (Kind.IGNORED, Reason.NOT_WANTED)
NO_ALIAS = (Kind.IGNORED, Reason.NO_ALIAS)
NO_ALERT = (Kind.IGNORED, Reason.NO_ALERT)
UNKNOWN = (Kind.IGNORED, Reason.UNKNOWN_ACTION)
ECHO = (Kind.IGNORED, Reason.ECHO)

SNOOZE_SECONDS = 1_751_630_400 - int(NOW_SECONDS)


class Row(NamedTuple):
    """The outcome if Alerta answers ok to everything, by default and with all notes; or what is wrong with the file."""

    ending: tuple[Kind, Reason] | str
    asked: Sequence[tuple[Any, ...]] = ()
    with_all_notes: Sequence[tuple[Any, ...]] | None = None


ACKED_BY = attributes(acked_by=JANE)
ACK = [act("ack", f"Acknowledged by {JANE} in Opsgenie"), ACKED_BY]
SNOOZE = [act("shelve", f"Snoozed by {JANE} in Opsgenie", timeout=SNOOZE_SECONDS)]
TAKE = [attributes(owner=JANE), note(f"{JANE} took ownership in Opsgenie")]
NO_ACTION = "$.action: is missing"

TABLE = {
    "Acknowledge.echo-api": Row(ECHO),
    "Acknowledge.jec": Row(APPLIED, [act("ack", f"Acknowledged by {JANE} in Jira Service Management"), ACKED_BY]),
    "Acknowledge.oec": Row(APPLIED, ACK),
    "Acknowledge.webhook": Row(APPLIED, ACK),
    "AddNote.oec": Row(APPLIED, [note(f"{JANE}: looking at it, cleaning /var/log")]),
    "AddNote.webhook": Row(APPLIED, [note(f"{JANE}: looking at it")]),
    "AddRecipient.webhook": Row(NOT_WANTED, [], [note(f"{JANE} added the recipient team2_escalation in Opsgenie")]),
    "AddResponder.oec": Row(NOT_WANTED, [], [note(f"{JANE} added the responder {BOB} in Opsgenie")]),
    "AddTags.oec": Row(APPLIED, [("PUT", "/tag", {"tags": ["ticket:OPS-12", "escalated"]})]),
    "AddTeam.webhook": Row(NOT_WANTED, [], [note(f"{JANE} added the team Database in Opsgenie")]),
    "AssignOwnership.oec": Row(
        APPLIED, [attributes(owner=BOB), note(f"{JANE} assigned the alert to {BOB} in Opsgenie")]
    ),
    "Close.oec": Row(APPLIED, [act("close", f"Closed by {JANE} in Opsgenie")]),
    "Close.system": Row(APPLIED, [act("close", "Closed by System in Opsgenie")]),
    "Create.legacy-int-priority": Row(NOT_WANTED),
    "Create.oec": Row(NOT_WANTED),
    "Create.webhook": Row(ECHO),
    "CustomAction.oec": Row(UNKNOWN),
    "CustomAction.webhook": Row(UNKNOWN),
    "Delete.webhook": Row(APPLIED, [act("close", f"Closed by {JANE} in Opsgenie")]),
    "Escalate.webhook": Row(NO_ALIAS),
    "EscalateToNext.webhook": Row(NOT_WANTED, [], [note(f"{JANE} escalated to the next level in Opsgenie")]),
    "JiraAutomation.jec": Row(NO_ALERT),
    "RemoveTags.oec": Row(APPLIED, [("PUT", "/untag", {"tags": ["DiskFull"]})]),
    "Snooze.oec": Row(APPLIED, SNOOZE),
    "Snooze.string-until": Row(APPLIED, SNOOZE),
    "SnoozeEnded.webhook": Row(
        APPLIED,
        [
            act("unshelve", "Snooze ended by System in Opsgenie"),
            act("unack", "Unacknowledged by System in Opsgenie"),
            attributes(acked_by=None),
        ],
    ),
    "TakeOwnership.webhook": Row(APPLIED, TAKE),
    "TakeOwnership.with-owner": Row(APPLIED, TAKE),
    "UnAcknowledge.oec": Row(
        APPLIED, [act("unack", f"Unacknowledged by {JANE} in Opsgenie"), attributes(acked_by=None)]
    ),
    "Unknown.minimal": Row(NO_ALIAS),
    "UpdateDescription.oec": Row(NOT_WANTED, [], [note(f"{JANE} changed the description in Opsgenie: df reports 99%")]),
    "UpdateMessage.oec": Row(
        NOT_WANTED, [], [note(f"{JANE} changed the message in Opsgenie: Disk usage 99% on web01")]
    ),
    "UpdatePriority.oec": Row(APPLIED, [attributes(opsgenie_priority="P1")]),
    "api.async.response": Row(NO_ACTION),
    "api.create.request": Row(NO_ACTION),
    "api.error-422.response": Row(NO_ACTION),
    "api.get-alert.response": Row(NO_ACTION),
    "api.request-status.missing-alert": Row(NO_ACTION),
    "api.request-status.response": Row(NO_ACTION),
    "callback.jec-success": Row(NO_ALERT),
    "callback.oec-failure": Row(NO_ALERT),
}


def run(data: bytes, settings: Settings) -> tuple[tuple[Kind, Reason] | str, list[Call]]:
    calls: list[Call] = []
    try:
        steps = relay(parse(data), settings, AttemptContext(NOW_SECONDS))
    except MessageError as error:
        return str(error), calls
    try:
        calls.append(next(steps))
        while True:
            calls.append(steps.send(OK))
    except StopIteration as stop:
        return (stop.value.kind, stop.value.reason), calls


def test_each_example_has_a_row() -> None:
    assert {path.name for path in PAYLOADS.glob("*.json")} == {f"{name}.json" for name in TABLE}


@pytest.mark.parametrize("all_notes", [False, True])
@pytest.mark.parametrize("name", TABLE)
def test_each_example_has_the_outcome_of_the_table(name: str, *, all_notes: bool) -> None:
    row = TABLE[name]
    notes = row.with_all_notes if all_notes else None
    ending, calls = run((PAYLOADS / f"{name}.json").read_bytes(), Settings(all_notes=all_notes))
    assert ending == (row.ending if notes is None else APPLIED)
    assert [asked(call) for call in calls] == list(row.asked if notes is None else notes)


@pytest.mark.parametrize("name", TABLE)
def test_with_all_notes_each_example_has_the_outcome_of_the_table(name: str) -> None:
    row = TABLE[name]
    ending, calls = run((PAYLOADS / f"{name}.json").read_bytes(), Settings(all_notes=True))
    assert ending == (row.ending if row.with_all_notes is None else APPLIED)
    assert [asked(call) for call in calls] == list(row.asked if row.with_all_notes is None else row.with_all_notes)
