"""The events of a change of Alerta's status: every pair of statuses, and the history."""

from __future__ import annotations

import itertools

import pytest

from alerta_opsgenie.core.events import Event, changes, is_known, receipt
from alerta_opsgenie.core.publish import REQUESTS, Dialect, Policy, is_wanted
from alerta_opsgenie.core.wording import AlertValues, HistoryEntry

ID = "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"
STATUSES = ("open", "assign", "ack", "shelved", "closed", "expired", "blackout", "unknown")

# Alerta's status as the state that Opsgenie should be in: exists, acknowledged, snoozed.
WANTED = {
    "open": (True, False, False),
    "assign": (True, False, False),
    "ack": (True, True, False),
    "shelved": (True, None, True),
    "closed": (False, None, None),
    "expired": (False, None, None),
}


def effect_of(request: str, state: tuple[bool, ...]) -> tuple[bool, ...]:
    """The effect of a request on an alert in Opsgenie."""
    exists, acknowledged, snoozed = state
    return {
        "_create": state if exists else (True, False, False),
        "_acknowledge": (exists, True, False),
        "_unacknowledge": (exists, False, snoozed),
        "_snooze": (exists, acknowledged, True),
        "_close": (False, False, False),
        "_assign": state,
    }[request]


PAIRS = [pair for pair in itertools.product(WANTED, WANTED) if pair[0] != pair[1]]


@pytest.mark.parametrize("action", ["", "timeout"])
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_requests_of_a_change_lead_opsgenie_to_the_same_state(before: str, after: str, action: str) -> None:
    """On a model of Opsgenie, the requests lead from the state of `before` to that of `after`."""
    state = tuple(bool(part) for part in WANTED[before])
    if action == "timeout" and before == "shelved":
        state = (True, False, False)  # its own snooze has ended by itself
    for event in changes(before, after, action):
        for build in REQUESTS[Dialect.OPSGENIE][event]:
            state = effect_of(build.__name__, state)
    assert all(want is None or want == have for want, have in zip(WANTED[after], state))


@pytest.mark.parametrize("status", STATUSES)
def test_an_unchanged_status_is_no_event_except_an_assignment(status: str) -> None:
    assert changes(status, status, "") == ()
    assert changes(status, status, "assign") == (Event.ASSIGNED,)


@pytest.mark.parametrize("before", STATUSES)
def test_a_blackout_means_nothing(before: str) -> None:
    assert changes(before, "blackout", "") == ()


def entry(change: str, status: str, severity: str = "major", entry_id: str = "x") -> HistoryEntry:
    return HistoryEntry(change, status, severity, entry_id)


@pytest.mark.parametrize(
    ("history", "known"),
    [
        ((), None),
        ((entry("new", "open"),), True),
        ((entry("new", "open", "warning"),), False),
        ((entry("close", "closed", "normal"), entry("new", "open", "critical")), True),
        ((entry("new", "closed", "normal"),), False),
        ((entry("open", "open", "warning"), entry("close", "closed"), entry("new", "open", "critical")), False),
        ((entry("new", "blackout", "critical"),), False),
        ((entry("ack", "ack", "warning"),), None),
    ],
)
def test_the_history_shows_whether_an_alert_was_sent(history: tuple[HistoryEntry, ...], *, known: bool | None) -> None:
    """A history that was cut shows nothing."""
    assert is_known(AlertValues(ID, history=history), lambda severity: is_wanted(severity, Policy())) is known


@pytest.mark.parametrize(
    ("alert", "events"),
    [
        (AlertValues(ID, history=(entry("new", "open"),)), (Event.RAISED,)),
        (AlertValues(ID, status="closed", severity="normal", history=(entry("new", "closed"),)), ()),
        (AlertValues(ID, status="ack", history=(entry("new", "ack"),)), (Event.RAISED, Event.ACKED)),
        (AlertValues(ID, repeat=True, received_id="r", history=(entry("new", "open"),)), (Event.REPEATED,)),
        (
            AlertValues(ID, repeat=True, received_id="r",
                    history=(entry("status", "open", entry_id="r"), entry("expired", "expired"))),
            (Event.RAISED,),
        ),
        (
            AlertValues(ID, repeat=True, received_id="r",
                    history=(entry("status", "open", entry_id="r"), entry("new", "blackout"))),
            (Event.CHANGED,),
        ),
        (
            AlertValues(ID, received_id="r", history=(entry("severity", "open", entry_id="r"), entry("ack", "ack"))),
            (Event.CHANGED, Event.UNACKED),
        ),
        (
            AlertValues(ID, status="closed", received_id="r",
                    history=(entry("severity", "closed", entry_id="r"), entry("new", "open"))),
            (Event.CLOSED,),
        ),
    ],
)  # fmt: skip
def test_the_events_of_a_receipt(alert: AlertValues, events: tuple[Event, ...]) -> None:
    assert receipt(alert) == events
