"""An action belongs to the outage that it was made for: an old one costs a look, and never touches the next outage."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Answer, Kind, Reason
from alerta_opsgenie.core.task import Settings
from tests.support.answers import (
    ALIAS,
    APPLIED,
    IGNORED_STALE,
    NOW_SECONDS,
    OK,
    UPDATED_NS,
    Played,
    at,
    error,
    line,
    message,
    ok_with_plugin,
    play,
)

ACTED = UPDATED_NS / 1e9
NIGHT = 8 * 3600.0
SNOOZED = {"snoozedUntil": int((ACTED + NIGHT + 600) * 1000)}


def looked(*history: dict[str, Any], status: str = "open", changed: float | None = None, ahead: float = 0.0) -> Answer:
    """Return a look at an alert whose status has changed last at `changed`."""
    alert = {"id": ALIAS, "status": status, "history": list(history)}
    if changed is not None:
        alert["updateTime"] = line("", changed)["updateTime"]
    return Answer(200, {"status": "ok", "alert": alert}, clock_ahead_seconds=ahead)


def came(seconds: float, kind: str = "severity") -> dict[str, Any]:
    return line("down", ACTED + seconds, "open", kind)


def ended(seconds: float) -> dict[str, Any]:
    return line("up", ACTED + seconds, "closed", "close")


def after_a_night(about: Message, *answers: Answer, settings: Settings | None = None) -> Played:
    return play(about, *answers, settings=settings, context=at(now=ACTED + NIGHT))


FIRST = came(-60, "new")
AGAIN = [FIRST, ended(60), came(3600)]


@pytest.mark.parametrize("action", ["Acknowledge", "UnAcknowledge", "Close", "Snooze", "SnoozeEnded", "Delete"])
def test_a_change_of_state_from_before_the_alert_came_again_is_stale(action: str) -> None:
    about = message(action, **(SNOOZED if action == "Snooze" else {}))
    played = after_a_night(about, looked(*AGAIN, changed=ACTED + 3600))
    assert played.asked == [("GET", "")]
    assert played.ending == IGNORED_STALE


def test_so_is_a_custom_action() -> None:
    settings = Settings(custom_actions={"Resolve": "close"})
    played = after_a_night(message("Resolve"), looked(*AGAIN), settings=settings)
    assert (played.asked, played.ending) == ([("GET", "")], IGNORED_STALE)


def test_the_two_steps_of_one_message_cost_one_look() -> None:
    shelved = looked(FIRST, line("x", ACTED - 30, "shelved", "shelve"), status="shelved")
    played = after_a_night(message("SnoozeEnded"), shelved, ok_with_plugin("ack"), ok_with_plugin("open"))
    assert [call[0] for call in played.asked] == ["GET", "PUT", "PUT"]


def test_a_note_is_written_in_any_status_of_the_alert() -> None:
    assert after_a_night(message("AddNote", note="x"), OK).ending == APPLIED


def test_a_sender_whose_clock_is_behind_cannot_hide_that_the_alert_came_again() -> None:
    history = [came(-3600, "new"), came(-300), ended(60)]
    assert after_a_night(message("Close"), looked(*history, changed=ACTED + 120)).ending == IGNORED_STALE


def test_the_look_is_dated_by_alertas_clock() -> None:
    """Alerta's clock is an hour ahead: an entry that seems later is from before the person acted."""
    history = [FIRST, ended(-90), came(3600 - 30)]
    assert after_a_night(message("Close"), looked(*history, ahead=3600.0), OK).ending == APPLIED


def test_a_step_of_an_earlier_attempt_is_not_repeated() -> None:
    """It closed the first outage; the alert came again; the message is delivered once more."""
    done = line("Closed by jane.doe@example.org in Opsgenie", NOW_SECONDS, "closed", "close")
    again = line("down", NOW_SECONDS + 60, "open", "severity")
    played = play(
        message("Close"), looked(FIRST, done, again), context=at(attempted_seconds_ago=NIGHT, now=ACTED + NIGHT)
    )
    assert (played.asked, played.ending) == ([("GET", "")], APPLIED)


def test_so_is_a_delete_that_deletes() -> None:
    played = after_a_night(message("Delete"), looked(*AGAIN), settings=Settings(on_delete="delete"))
    assert (played.asked, played.ending) == ([("GET", "")], IGNORED_STALE)


def test_one_of_the_same_outage_is_done_after_the_look() -> None:
    played = after_a_night(message("Close"), looked(FIRST, line("x", ACTED + 60, "ack")), OK)
    assert [call[0] for call in played.asked] == ["GET", "PUT"]
    assert played.ending == APPLIED


def test_a_fresh_one_costs_no_look() -> None:
    assert play(message("Close"), OK, context=at(now=ACTED + 30)).ending == APPLIED


def test_a_sender_whose_clock_is_ahead_cannot_make_actions_stale() -> None:
    """The time of an alert that came in is the sender's claim; Alerta itself dates the change of status."""
    history = [FIRST, ended(-50), came(10 * 86400)]
    played = after_a_night(message("Close"), looked(*history, changed=ACTED - 40), OK)
    assert played.ending == APPLIED


def test_a_look_that_fails_keeps_the_action() -> None:
    assert after_a_night(message("Close"), error(503)).ending == (Kind.KEPT, Reason.UNAVAILABLE)
