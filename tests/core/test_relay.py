"""The relay's table, row by row: the calls to Alerta, and the outcome."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from alerta_opsgenie.core.duplicates import EVENT_TEXTS
from alerta_opsgenie.core.message import Message, parse
from alerta_opsgenie.core.outcome import Answer, Kind, Reason
from alerta_opsgenie.core.relay import HANDLERS, LONGEST_SHELVE_SECONDS
from alerta_opsgenie.core.task import ON_DELETE, Settings
from tests.support.answers import (
    APPLIED,
    BOB,
    CONFLICT,
    HTML,
    IGNORED_STALE,
    JANE,
    NOT_FOUND,
    NOTED,
    NOW_SECONDS,
    OK,
    STALE,
    UPDATED_NS,
    WRONG_URL,
    act,
    attributes,
    envelope,
    error,
    message,
    note,
    ok_with_plugin,
    play,
    seen,
    shelve,
)

IN_STATE = (Kind.ALREADY, Reason.IN_STATE)
NOT_WANTED = (Kind.IGNORED, Reason.NOT_WANTED)
BAD_MESSAGE = (Kind.REJECTED, Reason.BAD_MESSAGE)

LOOK = ("GET", "")
HALF_AN_HOUR_MS = int((NOW_SECONDS + 1800) * 1000)
ALL_NOTES = Settings(all_notes=True)


def opened(action: str) -> tuple[Any, ...]:
    return ("PUT", "/status", {"status": "open", "text": f"Opened for: {action}"})


ACK = act("ack", f"Acknowledged by {JANE} in Opsgenie")
UNACK = act("unack", f"Unacknowledged by {JANE} in Opsgenie")
CLOSE = act("close", f"Closed by {JANE} in Opsgenie")
SHELVE = act("shelve", f"Snoozed by {JANE} in Opsgenie", timeout=1800)
UNSHELVE = act("unshelve", f"Unshelved by {JANE} in Opsgenie")
RESTATE = act("restate", f"Status stated again by {JANE} in Opsgenie")
END_SNOOZE = act("unshelve", f"Snooze ended by {JANE} in Opsgenie")
ACKED_BY = attributes(acked_by=JANE)
NOT_ACKED_BY = attributes(acked_by=None)

ACKNOWLEDGE = message("Acknowledge")


SNOOZE = message("Snooze", snoozedUntil=HALF_AN_HOUR_MS)
REFUSED = (Kind.REJECTED, Reason.REFUSED)
KNOWN = Answer(200, {"status": "ok", "message": "redelivered: the note is there"})
NOTHING_LEFT = error(500, "failed to update attributes")


class Row(NamedTuple):
    """A line of the table: with these answers, these calls are made, and it ends so."""

    name: str
    about: Message
    answers: list[Answer]
    asked: list[tuple[Any, ...]]
    ending: tuple[Kind, Reason] = APPLIED
    settings: Settings = Settings()


def custom(name: str) -> Message:
    return parse(json.dumps({**envelope("RestartService"), "mappedActionV2": {"name": name, "extraField": ""}}))


ROWS = [
    Row("ack, plugin", ACKNOWLEDGE, [ok_with_plugin("ack")], [ACK]),
    Row("ack, older plugin that tells no status", ACKNOWLEDGE, [ok_with_plugin()], [ACK]),
    Row("ack with a note", message("Acknowledge", note=" on my way\n"), [ok_with_plugin("ack")],
        [act("ack", f"Acknowledged by {JANE} in Opsgenie: on my way")]),
    Row("ack with a time", ACKNOWLEDGE, [ok_with_plugin("ack")],
        [act("ack", f"Acknowledged by {JANE} in Opsgenie", timeout=3600)],
        settings=Settings(ack_timeout_seconds=3600)),
    Row("ack of ack", ACKNOWLEDGE, [CONFLICT, seen("ack")], [ACK, LOOK], IN_STATE),
    Row("ack of closed", ACKNOWLEDGE, [CONFLICT, seen("closed")], [ACK, LOOK], IN_STATE),
    Row("ack of shelved from open", ACKNOWLEDGE, [CONFLICT, seen("shelved"), OK, OK, OK],
        [ACK, LOOK, UNSHELVE, ACK, ACKED_BY]),
    Row("ack of shelved from ack", ACKNOWLEDGE, [CONFLICT, seen("shelved"), OK, CONFLICT, OK],
        [ACK, LOOK, UNSHELVE, ACK, ACKED_BY]),
    Row("ack of shelved from ack, plugin", ACKNOWLEDGE, [CONFLICT, seen("shelved"), ok_with_plugin("ack"), CONFLICT],
        [ACK, LOOK, UNSHELVE, ACK]),
    Row("ack of shelved that someone unshelves meanwhile", ACKNOWLEDGE,
        [CONFLICT, seen("shelved"), CONFLICT, ok_with_plugin("ack")], [ACK, LOOK, UNSHELVE, ACK]),
    Row("ack of shelved that someone acknowledges meanwhile is left for another attempt", ACKNOWLEDGE,
        [CONFLICT, seen("shelved"), CONFLICT, CONFLICT, OK, CONFLICT, CONFLICT],
        [ACK, LOOK, UNSHELVE, ACK, RESTATE, UNSHELVE, ACK], (Kind.KEPT, Reason.CONFLICT)),
    Row("ack of shelved whose history says that it is acknowledged", ACKNOWLEDGE,
        [CONFLICT, seen("shelved"), CONFLICT, CONFLICT, OK, OK, ok_with_plugin("ack")],
        [ACK, LOOK, UNSHELVE, ACK, RESTATE, UNSHELVE, ACK]),
    Row("ack of open whose history says that it is acknowledged", ACKNOWLEDGE,
        [CONFLICT, seen("open"), OK, ok_with_plugin("ack")], [ACK, LOOK, RESTATE, ACK]),
    Row("ack of what Alerta's rules have no way from", ACKNOWLEDGE, [CONFLICT, seen("open"), OK, CONFLICT],
        [ACK, LOOK, RESTATE, ACK], (Kind.KEPT, Reason.CONFLICT)),
    Row("ack of what Alerta's rules have no way from, and Alerta goes away", ACKNOWLEDGE,
        [CONFLICT, seen("open"), error(503)], [ACK, LOOK, RESTATE], (Kind.KEPT, Reason.UNAVAILABLE)),
    Row("ack in a blackout, plugin", ACKNOWLEDGE, [ok_with_plugin("open"), ok_with_plugin("ack")], [ACK, ACK]),
    Row("ack of status assign, plugin", ACKNOWLEDGE, [ok_with_plugin("assign"), OK, ok_with_plugin("ack")],
        [ACK, opened("ack"), ACK]),
    Row("ack that Alerta takes and does not do, plugin", ACKNOWLEDGE,
        [ok_with_plugin("assign"), OK, ok_with_plugin("assign")], [ACK, opened("ack"), ACK], REFUSED),
    Row("ack that closes a normal alert, plugin", ACKNOWLEDGE, [ok_with_plugin("closed")], [ACK]),
    Row("unack, plugin", message("UnAcknowledge"), [ok_with_plugin("open")], [UNACK]),
    Row("unack that leads back to ack, plugin", message("UnAcknowledge"),
        [ok_with_plugin("ack"), ok_with_plugin("open")], [UNACK, opened("unack")]),
    Row("unack that leads back to ack, and the alert cannot be opened, plugin", message("UnAcknowledge"),
        [ok_with_plugin("ack"), error(503)], [UNACK, opened("unack")], (Kind.KEPT, Reason.UNAVAILABLE)),
    Row("unack of open", message("UnAcknowledge"), [CONFLICT, seen("open")], [UNACK, LOOK], IN_STATE),
    Row("unack of closed", message("UnAcknowledge"), [CONFLICT, seen("closed")], [UNACK, LOOK], IN_STATE),
    Row("unack where acked-by was the last attribute", message("UnAcknowledge"), [OK, NOTHING_LEFT],
        [UNACK, NOT_ACKED_BY]),
    Row("ack where Alerta fails to write the attribute", ACKNOWLEDGE, [OK, NOTHING_LEFT], [ACK, ACKED_BY],
        (Kind.KEPT, Reason.UNAVAILABLE)),
    Row("close", message("Close"), [OK], [CLOSE]),
    Row("close, plugin", message("Close"), [ok_with_plugin("closed")], [CLOSE]),
    Row("close with a note", message("Close", note="disk replaced"), [OK],
        [act("close", f"Closed by {JANE} in Opsgenie: disk replaced")]),
    Row("close of closed", message("Close"), [CONFLICT, seen("closed")], [CLOSE, LOOK], IN_STATE),
    Row("close of expired", message("Close"), [CONFLICT, seen("expired")], [CLOSE, LOOK], IN_STATE),
    Row("close of status assign, plugin", message("Close"), [ok_with_plugin("assign"), OK, ok_with_plugin("closed")],
        [CLOSE, opened("close"), CLOSE]),
    Row("snooze, plugin", SNOOZE, [ok_with_plugin("shelved")], [SHELVE]),
    Row("snooze of closed", SNOOZE, [CONFLICT, seen("closed")], [SHELVE, LOOK], IN_STATE),
    Row("snooze of expired", SNOOZE, [CONFLICT, seen("expired")], [SHELVE, LOOK], IN_STATE),
    Row("snooze again", SNOOZE, [CONFLICT, seen("shelved"), OK, OK], [SHELVE, LOOK, UNSHELVE, SHELVE]),
    Row("the same snooze by another way", SNOOZE,
        [CONFLICT, seen("shelved", shelve(NOW_SECONDS - 600, 60), shelve(NOW_SECONDS - 3, 1803))], [SHELVE, LOOK],
        IN_STATE),
    Row("the same snooze by another way, Alerta's clock a minute ahead", SNOOZE,
        [CONFLICT, seen("shelved", shelve(NOW_SECONDS + 57, 1803), clock_ahead_seconds=60.0)], [SHELVE, LOOK],
        IN_STATE),
    Row("a snooze that ends a minute later than the one before", SNOOZE,
        [CONFLICT, seen("shelved", shelve(NOW_SECONDS - 3, 1803), shelve(NOW_SECONDS - 2, 1742)), OK, OK],
        [SHELVE, LOOK, UNSHELVE, SHELVE]),
    Row("snooze again, and the shelve fails", SNOOZE, [CONFLICT, seen("shelved"), OK, error(503)],
        [SHELVE, LOOK, UNSHELVE, SHELVE], (Kind.KEPT, Reason.UNAVAILABLE)),
    Row("snooze again, and the unshelve fails", SNOOZE, [CONFLICT, seen("shelved"), error(503)],
        [SHELVE, LOOK, UNSHELVE], (Kind.KEPT, Reason.UNAVAILABLE)),
    Row("snooze in a blackout, plugin", SNOOZE, [ok_with_plugin("open"), ok_with_plugin("shelved")], [SHELVE, SHELVE]),
    Row("snooze of status assign, plugin", SNOOZE, [ok_with_plugin("assign"), OK, ok_with_plugin("shelved")],
        [SHELVE, opened("shelve"), SHELVE]),
    Row("snooze of status assign that cannot be opened, plugin", SNOOZE, [ok_with_plugin("assign"), error(403)],
        [SHELVE, opened("shelve")], (Kind.KEPT, Reason.FORBIDDEN)),
    Row("snooze whose end is past, of open", message("Snooze", snoozedUntil=int((NOW_SECONDS - 1) * 1000)),
        [CONFLICT, seen("open")], [END_SNOOZE, LOOK], IN_STATE),
    Row("snooze whose end is past, of shelved", message("Snooze", snoozedUntil=int((NOW_SECONDS - 1) * 1000)),
        [OK, CONFLICT, seen("open")], [END_SNOOZE, UNACK, LOOK]),
    Row("snooze ended, shelved from open", message("SnoozeEnded"), [OK, CONFLICT, seen("open")],
        [END_SNOOZE, UNACK, LOOK]),
    Row("snooze ended, shelved from ack, plugin", message("SnoozeEnded"),
        [ok_with_plugin("ack"), ok_with_plugin("open")], [END_SNOOZE, UNACK]),
    Row("snooze ended, not shelved", message("SnoozeEnded"), [CONFLICT, seen("ack")], [END_SNOOZE, LOOK], IN_STATE),
    Row("snooze ended, and the unack fails", message("SnoozeEnded"), [OK, error(502)], [END_SNOOZE, UNACK],
        (Kind.KEPT, Reason.UNAVAILABLE)),
    Row("note", message("AddNote", note="looking"), [NOTED], [note(f"{JANE}: looking")]),
    Row("note without one", message("AddNote"), [], [], BAD_MESSAGE),
    Row("assign", message("AssignOwnership", owner=BOB), [OK, NOTED],
        [attributes(owner=BOB), note(f"{JANE} assigned the alert to {BOB} in Opsgenie")]),
    Row("assign, and the attribute fails", message("AssignOwnership", owner=BOB), [error(500)],
        [attributes(owner=BOB)], (Kind.KEPT, Reason.UNAVAILABLE)),
    Row("take", message("TakeOwnership"), [OK, NOTED],
        [attributes(owner=JANE), note(f"{JANE} took ownership in Opsgenie")]),
    Row("take for another", message("TakeOwnership", owner=BOB), [OK, NOTED],
        [attributes(owner=BOB), note(f"{JANE} assigned the alert to {BOB} in Opsgenie")]),
    Row("add tags", message("AddTags", addedTags="a, b,,a"), [OK], [("PUT", "/tag", {"tags": ["a", "b"]})]),
    Row("remove tags", message("RemoveTags", removedTags="a"), [OK], [("PUT", "/untag", {"tags": ["a"]})]),
    Row("priority", message("UpdatePriority", priority="P1"), [OK], [attributes(opsgenie_priority="P1")]),
    Row("escalate, all notes", parse(json.dumps({**envelope("Escalate"), "escalationName": "Ops_escalation"})),
        [NOTED], [note("Escalated in Opsgenie: Ops_escalation")], settings=ALL_NOTES),
    Row("delete of closed", message("Delete"), [CONFLICT, seen("closed")], [CLOSE, LOOK], IN_STATE),
    Row("delete, really", message("Delete"), [OK], [("DELETE", "")], settings=Settings(on_delete="delete")),
    Row("delete of deleted", message("Delete"), [NOT_FOUND], [("DELETE", "")], IN_STATE,
        settings=Settings(on_delete="delete")),
    Row("delete without the scope", message("Delete"), [error(403, "Missing required scope: delete:alerts")],
        [("DELETE", "")], (Kind.KEPT, Reason.FORBIDDEN), settings=Settings(on_delete="delete")),
    Row("delete, not passed on", message("Delete"), [], [], NOT_WANTED, settings=Settings(on_delete="ignore")),
    Row("delete by a setting that is none closes", message("Delete"), [OK], [CLOSE],
        settings=Settings(on_delete="Delete")),
    Row("custom, mapped", message("RestartService"), [OK], [act("restart", f"RestartService by {JANE} in Opsgenie")],
        settings=Settings(custom_actions={"RestartService": "restart"})),
    Row("custom, mapped, refused by a plugin", message("RestartService"), [CONFLICT],
        [act("restart", f"RestartService by {JANE} in Opsgenie")], IN_STATE,
        settings=Settings(custom_actions={"RestartService": "restart"})),
    Row("ack of shelved that is refused after the unshelve", ACKNOWLEDGE,
        [CONFLICT, seen("shelved"), OK, error(400, "Rejected")], [ACK, LOOK, UNSHELVE, ACK], REFUSED),
    Row("ack of shelved that turns out stale", ACKNOWLEDGE, [CONFLICT, seen("shelved"), STALE, seen("open")],
        [ACK, LOOK, UNSHELVE, LOOK], IGNORED_STALE),
    Row("ack of shelved that turns out stale after the unshelve", ACKNOWLEDGE,
        [CONFLICT, seen("shelved"), OK, STALE, seen("open")], [ACK, LOOK, UNSHELVE, ACK, LOOK], IGNORED_STALE),
    Row("note that our plugin knows already", message("AddNote", note="x"), [KNOWN], [note(f"{JANE}: x")],
        (Kind.ALREADY, Reason.REDELIVERED)),
    Row("note that no database could store as it is", message("AddNote", note="a\x00b\ud800c"), [NOTED],
        [note(f"{JANE}: a\ufffdb\ufffdc")]),
    Row("snooze without an end", message("Snooze"), [], [], BAD_MESSAGE),
    Row("custom, mapped by the connector's name for it", custom("restartService"), [OK],
        [act("restart", f"RestartService by {JANE} in Opsgenie")],
        settings=Settings(custom_actions={"restartService": "restart"})),
    Row("custom, mapped by both names: the action's own wins", custom("ARestart"), [OK],
        [act("first", f"RestartService by {JANE} in Opsgenie")],
        settings=Settings(custom_actions={"ARestart": "second", "RestartService": "first"})),
    Row("an action of the table that somebody maps", message("Create"), [], [], NOT_WANTED,
        settings=Settings(custom_actions={"Create": "close"})),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_of_the_table_has_its_calls_and_its_outcome(row: Row) -> None:
    played = play(row.about, *row.answers, settings=row.settings)
    assert played.asked == row.asked
    assert played.ending == row.ending


def test_each_action_of_the_table_has_a_row() -> None:
    """The actions that are written as notes are in the table of payloads."""
    assert set(HANDLERS) - set(EVENT_TEXTS) <= {row.about.action for row in ROWS}


FIRST_CALLS = {row.about.action: row for row in ROWS if row.asked and row.settings.on_delete == "close"}
REFUSALS = {
    "unavailable": (error(503), Kind.KEPT, Reason.UNAVAILABLE),
    "throttled": (error(429), Kind.KEPT, Reason.THROTTLED),
    "unauthorized": (error(401), Kind.KEPT, Reason.UNAUTHORIZED),
    "forbidden": (error(403), Kind.KEPT, Reason.FORBIDDEN),
    "stale, says our plugin": (STALE, Kind.IGNORED, Reason.STALE),
    "no such alert": (NOT_FOUND, Kind.REJECTED, Reason.NOT_FOUND),
    "no such URL": (WRONG_URL, Kind.KEPT, Reason.NOT_ALERTA),
    "refused by a plugin": (error(400, "Rejected"), Kind.REJECTED, Reason.REFUSED),
    "stopped by a plugin": (Answer(202, {"status": "ok", "message": "loop"}), Kind.REJECTED, Reason.REFUSED),
    "a page": (HTML, Kind.KEPT, Reason.NOT_ALERTA),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("action", sorted(FIRST_CALLS))
def test_a_refused_first_call_of_each_action_has_the_outcome_of_its_status(action: str, refusal: str) -> None:
    answer, kind, reason = REFUSALS[refusal]
    row = FIRST_CALLS[action]
    # An acknowledge that is too late looks whether there is a snooze that it ended.
    late = [seen("open")] if answer is STALE and action == "Acknowledge" else []
    played = play(row.about, answer, *late, settings=row.settings)
    assert played.ending == (kind, reason)


NO_ALERT_IN_IT = [error(503), HTML, Answer(200, {"status": "ok"}), Answer(200, {"status": "ok", "alert": 1})]


@pytest.mark.parametrize("look", NO_ALERT_IN_IT)
def test_a_look_that_shows_no_alert_keeps_the_action(look: Answer) -> None:
    played = play(message("UnAcknowledge"), CONFLICT, look)
    assert played.outcome.kind is Kind.KEPT


# -- Snooze


@pytest.mark.parametrize(
    ("left", "timeout"),
    [(0.001, 1), (1.0, 1), (1.5, 2), (1800.0, 1800), (604_800.25, 604_801), (1e10, LONGEST_SHELVE_SECONDS)],
)
def test_a_snooze_lasts_the_remaining_seconds_rounded_up_or_alertas_maximum(
    left: float, timeout: int
) -> None:
    played = play(message("Snooze", snoozedUntil=round((NOW_SECONDS + left) * 1000)), OK)
    assert played.asked[0][2]["timeout"] == timeout <= 2**31 - 1


# -- What goes along with each call


@pytest.mark.parametrize("row", [row for row in ROWS if row.asked], ids=lambda row: row.name)
def test_each_call_has_the_person_and_each_body_has_key_and_time_for_the_plugin(row: Row) -> None:
    for call in play(row.about, *row.answers, settings=row.settings).calls:
        assert call.on_behalf_of == JANE
        if call.body is not None:
            assert call.body["bridge"]["key"] == row.about.key
            assert call.body["bridge"]["updatedAt"] == UPDATED_NS


@pytest.mark.parametrize(
    ("about", "answer", "text"),
    [
        (message("Acknowledge", note="soon"), ok_with_plugin("ack"), "Acknowledged in Opsgenie: soon"),
        (message("AddNote", note="  a\nb "), NOTED, "  a\nb "),
    ],
)
def test_the_plugin_is_given_the_text_as_it_was_written_without_the_name(
    about: Message, answer: Answer, text: str
) -> None:
    body = play(about, answer).calls[0].body
    assert body is not None
    assert body["bridge"]["text"] == text


def test_each_setting_for_deletes_has_a_row() -> None:
    assert {row.settings.on_delete for row in ROWS if row.about.action == "Delete"} >= ON_DELETE
