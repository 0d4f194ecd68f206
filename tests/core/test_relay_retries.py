"""A relay that runs again after an attempt of unknown end: nothing is done twice, and nothing since is undone.

Each test lets Alerta show what the earlier attempt left behind, which began a minute before and whose answer was lost.
"""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.core.history import CLOCK_DOUBT_SECONDS
from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Answer, Kind, Reason
from alerta_opsgenie.core.task import Settings
from tests.support.answers import (
    APPLIED,
    BOB,
    CONFLICT,
    HTML,
    JANE,
    NOTED,
    NOW_SECONDS,
    OK,
    Played,
    at,
    error,
    line,
    message,
    ok_with_plugin,
    play,
    seen,
)

AGO_SECONDS = 60.0
SINCE = NOW_SECONDS - AGO_SECONDS

REDELIVERED = (Kind.ALREADY, Reason.REDELIVERED)

ACKED = f"Acknowledged by {JANE} in Opsgenie"
UNACKED = f"Unacknowledged by {JANE} in Opsgenie"
CLOSED = f"Closed by {JANE} in Opsgenie"
SNOOZED = f"Snoozed by {JANE} in Opsgenie"
SNOOZE_ENDED = f"Snooze ended by {JANE} in Opsgenie"
NOTE = f"{JANE}: looking"

SNOOZE = message("Snooze", snoozedUntil=int((NOW_SECONDS + 1800) * 1000))
ADD_NOTE = message("AddNote", note="looking")
CUSTOM = Settings(custom_actions={"RestartService": "restart"})


def again(about: Message, *answers: Answer, settings: Settings | None = None, equal_lines: int = 0) -> Played:
    context = at(attempted_seconds_ago=AGO_SECONDS)._replace(equal_lines=equal_lines)
    return play(about, *answers, settings=settings, context=context)


def ours(text: str, status: str = "open", *, seconds_after: float = 1.0) -> dict[str, Any]:
    return line(text, SINCE + seconds_after, status)


def puts(played: Played) -> list[tuple[Any, ...]]:
    """Return the calls that change something."""
    return [asked for asked in played.asked if asked[0] != "GET"]


RESTART = message("RestartService")

# -- Changes of state


MINE = ours(ACKED, "ack")
NOTED_UNACK = {**ours(UNACKED, "ack", seconds_after=2), "type": "note"}


def unacked(text: str = UNACKED) -> dict[str, Any]:
    return ours(text, "open", seconds_after=2)


# The alert's status, its history, how many other actions left the same line, and whether the ack is asked for again.
LOOKS: dict[str, tuple[str, list[dict[str, Any]], int, bool]] = {
    "it never arrived": ("open", [], 0, True),
    "the plugin wrote it down without the name": ("ack", [ours("Acknowledged in Opsgenie", "ack")], 0, False),
    "somebody has undone it since": ("open", [MINE, unacked("unack operator action")], 0, False),
    # Acknowledged, undone in Alerta, acknowledged again; the last message never arrived.
    "the line is another action's": ("open", [MINE, unacked("unack operator action")], 1, True),
    "its own stands beside another action's": ("ack", [MINE, unacked(), ours(ACKED, "ack", seconds_after=3)], 1, False),
    # The older action's process was killed before it could note that it had left a line: no equal line is known.
    "a later action of ours stands behind it": ("open", [MINE, unacked()], 0, True),
    "a later one without a name too": ("open", [MINE, unacked("Unacknowledged in Opsgenie: why")], 0, True),
    "a note reads like the ack": ("open", [{**MINE, "type": "note"}], 0, True),
    "a note reads like an unack": ("ack", [MINE, NOTED_UNACK], 0, False),
    # The history of an alert in status assign has our line, but not the status that it should have led to.
    "Alerta took it and did not do it": ("assign", [ours(ACKED, "assign")], 0, True),
}


@pytest.mark.parametrize("name", LOOKS)
def test_an_ack_is_requested_again_if_the_history_has_no_entry_of_it(name: str) -> None:
    status, history, equal_lines, asked_again = LOOKS[name]
    answer = ok_with_plugin("ack") if asked_again else OK
    played = again(message("Acknowledge"), seen(status, *history), answer, equal_lines=equal_lines)
    assert [asked[1] for asked in puts(played)] == ["/action" if asked_again else "/attributes"]
    assert played.ending == APPLIED


def test_a_close_does_not_hide_an_alert_that_was_raised_again_since() -> None:
    history = [ours(CLOSED, "closed"), ours("Disk full again", "open", seconds_after=5)]
    played = again(message("Close"), seen("open", *history))
    assert puts(played) == []
    assert played.ending == APPLIED


def snoozed(timeout_seconds: object) -> dict[str, Any]:
    return {**ours(SNOOZED, "shelved"), "type": "shelve", "timeout": timeout_seconds}


def test_a_snooze_that_was_applied_is_not_requested_again() -> None:
    played = again(SNOOZE, seen("shelved", snoozed(int(AGO_SECONDS) + 1799)))
    assert puts(played) == []
    assert played.ending == APPLIED


@pytest.mark.parametrize("timeout", [60, -1, 10**400, "1859", None])
def test_a_snooze_that_ends_at_another_time_does_not_stand_for_this_one(timeout: object) -> None:
    played = again(SNOOZE, seen("shelved", snoozed(timeout)), ok_with_plugin("shelved"))
    assert [asked[2]["action"] for asked in puts(played)] == ["shelve"]


def test_an_unack_that_was_applied_still_removes_the_attribute() -> None:
    played = again(message("UnAcknowledge"), seen("open", ours(UNACKED)), OK)
    assert puts(played) == [("PUT", "/attributes", {"attributes": {"acked-by": None}})]


def test_an_earlier_attempt_that_takes_effect_after_the_look_counts_as_ours() -> None:
    played = again(message("Acknowledge"), seen("open"), CONFLICT, seen("ack", ours(ACKED, "ack")), OK)
    assert played.ending == APPLIED


def test_an_ack_by_somebody_else_since_is_no_success_of_ours() -> None:
    others = ours(f"Acknowledged by {BOB} in Opsgenie", "ack")
    played = again(message("Acknowledge"), seen("ack", others), CONFLICT, seen("ack", others))
    assert played.ending == (Kind.ALREADY, Reason.IN_STATE)


@pytest.mark.parametrize(
    ("after_seconds", "ending_then"), [(30.0, (Kind.KEPT, Reason.CONFLICT)), (61.0, (Kind.REJECTED, Reason.REFUSED))]
)
def test_a_change_that_alerta_keeps_refusing_is_rejected_after_a_minute(
    after_seconds: float, ending_then: tuple[Kind, Reason]
) -> None:
    answers = [seen("open"), CONFLICT, seen("open"), OK, CONFLICT]
    played = play(message("Acknowledge"), *answers, context=at(after_seconds))
    assert played.ending == ending_then


@pytest.mark.parametrize(
    ("seconds_after", "clock_ahead", "known"),
    [
        (0.0, 0.0, True),
        (-CLOCK_DOUBT_SECONDS, 0.0, True),
        (-CLOCK_DOUBT_SECONDS - 0.1, 0.0, False),
        (3500.0, 3600.0, False),
        (-3600.0, -3600.0, True),
    ],
)
def test_an_entry_counts_only_if_by_alertas_clock_it_is_not_older(
    seconds_after: float, clock_ahead: float, known: bool
) -> None:
    history = ours(CLOSED, "closed", seconds_after=seconds_after)
    look = seen("closed", history, clock_ahead_seconds=clock_ahead)
    played = again(message("Close"), *([look] if known else [look, CONFLICT, look]))
    assert played.ending == (APPLIED if known else (Kind.ALREADY, Reason.IN_STATE))


@pytest.mark.parametrize("about", [message("Acknowledge"), ADD_NOTE, SNOOZE, message("Close"), RESTART])
@pytest.mark.parametrize("look", [error(503), error(401), HTML])
def test_nothing_is_requested_if_the_history_cannot_be_read(about: Message, look: Answer) -> None:
    played = again(about, look, settings=CUSTOM)
    assert puts(played) == []
    assert played.outcome.kind is Kind.KEPT


# -- The end of a snooze


def test_an_end_of_snooze_that_was_applied_changes_no_status() -> None:
    look = seen("open", ours(SNOOZE_ENDED, "ack"), ours(UNACKED, "open", seconds_after=2))
    played = again(message("SnoozeEnded"), look, look, OK)
    assert [asked[1] for asked in puts(played)] == ["/attributes"]
    assert played.ending == APPLIED


def test_an_end_of_snooze_that_got_halfway_is_finished() -> None:
    look = seen("ack", ours(SNOOZE_ENDED, "ack"))
    played = again(message("SnoozeEnded"), look, look, ok_with_plugin("open"))
    assert [asked[2]["action"] for asked in puts(played)] == ["unack"]


def test_an_end_of_snooze_does_not_undo_an_ack_since() -> None:
    look = seen("ack", ours(SNOOZE_ENDED, "ack"), ours(UNACKED), ours("ack by a person", "ack", seconds_after=9))
    played = again(message("SnoozeEnded"), look, look, OK)
    assert "/action" not in [asked[1] for asked in played.asked]


def test_an_end_of_snooze_that_never_arrived_leaves_an_ack_if_nothing_is_shelved() -> None:
    played = again(message("SnoozeEnded"), seen("ack"), CONFLICT, seen("ack"))
    assert [asked[2]["action"] for asked in puts(played)] == ["unshelve"]
    assert played.ending == (Kind.ALREADY, Reason.IN_STATE)


# -- Notes


RESTARTED = ours(f"RestartService by {JANE} in Opsgenie")


def note_line(text: str, seconds_after: float) -> dict[str, Any]:
    return line(text, SINCE + seconds_after, kind="note")


# The action, the history, and whether the action is requested again.
ENTRIES: dict[str, tuple[Message, list[dict[str, Any]], bool]] = {
    "the note exists": (ADD_NOTE, [note_line(NOTE, 1)], False),
    "the plugin wrote the note without the name": (ADD_NOTE, [note_line("looking", 1)], False),
    "the note never arrived": (ADD_NOTE, [], True),
    "the same note is from long before": (ADD_NOTE, [note_line(NOTE, -86_400)], True),
    "an action has the text of the note": (ADD_NOTE, [ours(NOTE, "ack")], True),
    "the custom action was applied": (RESTART, [RESTARTED], False),
    "the custom action never arrived": (RESTART, [], True),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_action_that_adds_an_entry_is_requested_again_only_if_the_entry_is_missing(name: str) -> None:
    about, history, is_again = ENTRIES[name]
    answers = [NOTED if about is ADD_NOTE else OK] if is_again else []
    played = again(about, seen("open", *history), *answers, settings=CUSTOM)
    assert len(puts(played)) == is_again
    assert played.ending == (APPLIED if is_again else REDELIVERED)


def test_the_note_about_an_owner_is_not_written_again() -> None:
    text = f"{JANE} assigned the alert to {BOB} in Opsgenie"
    played = again(message("AssignOwnership", owner=BOB), OK, seen("open", line(text, SINCE + 1, kind="note")))
    assert [asked[1] for asked in puts(played)] == ["/attributes"]


# -- The rest


def test_a_delete_that_was_applied_counts_as_done() -> None:
    played = again(message("Delete"), error(404, "not found"), settings=Settings(on_delete="delete"))
    assert played.ending == (Kind.ALREADY, Reason.IN_STATE)


ODD_HISTORIES: list[Any] = [
    None,
    {},
    [None],
    [{"text": ACKED, "status": "ack", "updateTime": "yesterday"}],
    [{"text": {"a": ACKED}, "status": ["ack"], "updateTime": "2999-01-01T00:00:00Z"}],
]


@pytest.mark.parametrize("history", ODD_HISTORIES, ids=repr)
def test_an_invalid_history_has_no_entry_of_ours(history: Any) -> None:
    look = Answer(200, {"status": "ok", "alert": {"status": "open", "history": history}})
    assert again(message("Acknowledge"), look, ok_with_plugin("ack")).ending == APPLIED


def test_an_ack_that_was_applied_is_not_requested_again_and_gets_its_attribute() -> None:
    played = again(message("Acknowledge"), seen("ack", ours(ACKED, "ack")), OK)
    assert puts(played) == [("PUT", "/attributes", {"attributes": {"acked-by": JANE}})]
    assert played.ending == APPLIED


def test_a_first_attempt_looks_nowhere() -> None:
    assert [asked[0] for asked in play(message("Close"), OK).asked] == ["PUT"]


def test_an_alert_that_is_gone_since_rejects_the_action() -> None:
    assert again(message("Close"), error(404, "not found")).ending == (Kind.REJECTED, Reason.NOT_FOUND)


@pytest.mark.parametrize("action", ["AddTags", "RemoveTags"])
def test_tags_are_simply_written_again(action: str) -> None:
    played = again(message(action, addedTags="a", removedTags="a"), OK)
    assert [asked[0] for asked in played.asked] == ["PUT"]
