"""The registers that each action writes, and stale actions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.order import INCIDENT, believable_ns, incident_ns, registers, superseded, writes
from alerta_opsgenie.core.outcome import Kind
from alerta_opsgenie.core.relay import HANDLERS
from tests.support.answers import BOB, NOW_SECONDS, UPDATED_NS, message

WRITES = {
    **{name: {"state"} for name in ("Acknowledge", "UnAcknowledge", "Close", "Snooze", "SnoozeEnded", "Delete")},
    "AssignOwnership": {"owner"},
    "TakeOwnership": {"owner"},
    "UpdatePriority": {"priority"},
    "AddTags": {"tag:a", "tag:b"},
    "RemoveTags": {"tag:b", "tag:c"},
}


@pytest.mark.parametrize("action", [*sorted(HANDLERS), "RestartService"])
def test_each_action_writes_its_registers_and_the_rest_none(action: str) -> None:
    about = message(action, owner=BOB, priority="P1", addedTags="a,b", removedTags="b,c", note="x")
    assert registers(about) == WRITES.get(action, set())


@pytest.mark.parametrize(
    ("about", "newest", "expected"),
    [
        (message("Close"), {"state": UPDATED_NS + 1}, {"state"}),
        (message("Close"), {}, set()),
        (message("Close"), {"state": UPDATED_NS}, set()),
        (message("Close"), {"state": UPDATED_NS - 1}, set()),
        (message("Close"), {"owner": UPDATED_NS + 1}, set()),
        (message("AddTags", addedTags="a,b"), {"tag:a": UPDATED_NS + 1, "tag:b": UPDATED_NS - 1}, {"tag:a"}),
        # A message without a time counts as the newest.
        *((message("Close", updatedAt=at), {"state": 2**62}, set()) for at in (None, 0, -1, "x", 1.5, True)),
    ],
)
def test_a_register_is_superseded_by_a_newer_writer_only(
    about: Message, newest: dict[str, int], expected: set[str]
) -> None:
    assert superseded(about, newest, NOW_SECONDS) == expected


@given(st.lists(st.tuples(st.sampled_from(["Acknowledge", "Close", "Snooze"]), st.integers(1, 10**4)), max_size=20))
def test_in_any_order_of_arrival_the_newest_writes_last(arrivals: list[tuple[str, int]]) -> None:
    """In any order of arrival, the last one applied is one with the greatest time."""
    newest: dict[str, int] = {}
    applied: list[int] = []
    for action, tick in arrivals:
        about = message(action, updatedAt=UPDATED_NS + tick)
        if not superseded(about, newest, NOW_SECONDS):
            newest["state"] = about.updated_ns
            applied.append(tick)
    assert not arrivals or applied[-1] == max(tick for _, tick in arrivals)


# -- An `updatedAt` is a claim by the sender

TWO_MINUTES_NS = 120 * 10**9
NOW_NS = int(NOW_SECONDS * 10**9)
POISON_NS = 2**63 - 1


@pytest.mark.parametrize(
    ("updated_ns", "counts_as"),
    [
        (UPDATED_NS, UPDATED_NS),
        (NOW_NS + TWO_MINUTES_NS, NOW_NS + TWO_MINUTES_NS),
        (NOW_NS + TWO_MINUTES_NS + 1, NOW_NS),
        (POISON_NS, NOW_NS),
        (0, 0),
    ],
)
def test_a_time_far_ahead_of_our_clock_counts_as_now(updated_ns: int, counts_as: int) -> None:
    assert believable_ns(updated_ns, NOW_SECONDS) == counts_as


def test_an_action_ahead_of_our_clock_that_changed_nothing_is_not_stored() -> None:
    ahead = message("UnAcknowledge", updatedAt=NOW_NS + 1)
    assert writes(ahead, Kind.ALREADY, NOW_SECONDS) == {}
    assert writes(ahead, Kind.APPLIED, NOW_SECONDS)["state"] == NOW_NS + 1


def test_an_action_in_the_past_that_changed_nothing_makes_older_ones_stale() -> None:
    """An acknowledge that comes after the unacknowledge that followed it must not acknowledge."""
    newest = writes(message("UnAcknowledge"), Kind.ALREADY, NOW_SECONDS)
    late = message("Acknowledge", updatedAt=UPDATED_NS - 1)
    assert superseded(late, newest, NOW_SECONDS) == {"state"}


@pytest.mark.parametrize("kind", [Kind.IGNORED, Kind.REJECTED, Kind.KEPT])
def test_an_action_that_was_not_done_is_not_stored(kind: Kind) -> None:
    assert writes(message("Close"), kind, NOW_SECONDS) == {}


# -- An action belongs to the outage that it was made for

UUID = "3f1c7a52-8d0e-4b6a-9c41-5e2b7f90d1aa"
MADE_MS = 1_751_623_200_123


def of_incident(action: str, made_ms: int, **alert: object) -> Message:
    return message(action, alertId=f"{UUID}-{made_ms}", **alert)


def test_an_action_on_an_earlier_alert_of_opsgenie_is_stale_at_any_time() -> None:
    newest = writes(of_incident("Close", MADE_MS), Kind.APPLIED, NOW_SECONDS)
    assert newest[INCIDENT] == MADE_MS * 10**6
    earlier = of_incident("Close", MADE_MS - 1, updatedAt=UPDATED_NS + 1)
    assert superseded(earlier, newest, NOW_SECONDS) == {"state"}


@pytest.mark.parametrize("made_ms", [MADE_MS, MADE_MS + 1])
def test_an_action_on_the_same_or_a_later_one_is_not(made_ms: int) -> None:
    newest = writes(of_incident("Close", MADE_MS), Kind.APPLIED, NOW_SECONDS)
    assert superseded(of_incident("Close", made_ms, updatedAt=UPDATED_NS + 1), newest, NOW_SECONDS) == frozenset()


@pytest.mark.parametrize(
    "alert_id",
    [None, "", 7, UUID, f"{UUID}-", f"{UUID}-x", f"{UUID}-9999999999999", f"{UUID}-{10**30}", "-" * 36 + "-1"],
)
def test_an_alert_id_without_a_plausible_time_has_no_incident(alert_id: object) -> None:
    assert incident_ns(message("Close", alertId=alert_id), NOW_SECONDS) == 0


@pytest.mark.parametrize("tags", [None, "", " , ", 7])
def test_tags_that_cannot_be_read_write_nothing(tags: object) -> None:
    assert registers(message("AddTags", addedTags=tags)) == frozenset()


@given(st.integers(1, POISON_NS), st.sampled_from(list(Kind)))
def test_no_message_makes_one_of_three_minutes_later_stale(updated_ns: int, kind: Kind) -> None:
    newest = writes(message("UnAcknowledge", updatedAt=updated_ns), kind, NOW_SECONDS)
    later = message("Close", updatedAt=NOW_NS + 180 * 10**9)
    assert superseded(later, newest, NOW_SECONDS + 180) == frozenset()


def test_tags_and_owner_are_remembered_without_the_incident() -> None:
    assert writes(message("AddTags", addedTags="a,b"), Kind.APPLIED, NOW_SECONDS) == dict.fromkeys(
        ["tag:a", "tag:b"], UPDATED_NS
    )
    assert set(writes(message("TakeOwnership"), Kind.APPLIED, NOW_SECONDS)) == {"owner"}


def test_an_earlier_alert_s_tags_are_set_all_the_same() -> None:
    newest = {"state": 1, INCIDENT: (MADE_MS + 1) * 10**6}
    assert superseded(of_incident("AddTags", MADE_MS, addedTags="a"), newest, NOW_SECONDS) == frozenset()
