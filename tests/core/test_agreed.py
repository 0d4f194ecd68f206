"""What both sides agree on: kept as a text, and moved on by the requests that the vendor takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core.agreed import AgreedState, after_requests, read_agreed_state, unsent_requests
from alerta_opsgenie.core.message import PRIORITIES
from alerta_opsgenie.core.publish import Policy, Request
from alerta_opsgenie.core.wording import AlertValues, HistoryEntry

TIMES = st.floats(allow_nan=False, allow_infinity=False)
AGREED = st.builds(
    AgreedState, st.booleans(), st.booleans(), st.none() | TIMES, st.text(), st.sampled_from(sorted(PRIORITIES)),
    st.booleans(), TIMES,
)  # fmt: skip
OPEN = AgreedState(is_open=True, priority="P2", confirmed=True, at_seconds=9.0)


@given(AGREED)
def test_the_agreed_state_is_read_back_from_its_text(agreed: AgreedState) -> None:
    assert read_agreed_state(agreed.to_json()) == agreed


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"is_open": true}', *(json.dumps({**OPEN._asdict(), name: value}) for name, value in (
        ("is_open", "yes"), ("acknowledged", 1), ("snoozed_until", "soon"), ("snoozed_until", float("inf")),
        ("at_seconds", True), ("owner", None), ("priority", "P9"), ("priority", []),
    ))],
)  # fmt: skip
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        read_agreed_state(text)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("before", "operation", "body", "after"),
    [
        (AgreedState(), "create", {"priority": "P1"}, {"is_open": True, "priority": "P1"}),
        (AgreedState(), "create", {"priority": ["P1"]}, {"is_open": True, "priority": "P3"}),
        (OPEN._replace(acknowledged=True), "create", {"priority": "P1"}, {"priority": "P1"}),
        (OPEN._replace(is_open=False, confirmed=False, owner="a"), "create", {}, {"is_open": True, "owner": ""}),
        (OPEN._replace(snoozed_until=99.0), "acknowledge", {}, {"acknowledged": True, "snoozed_until": None}),
        (OPEN._replace(acknowledged=True), "unacknowledge", {}, {"acknowledged": False}),
        (OPEN, "snooze", {"endTime": "1970-01-01T00:01:00Z"}, {"snoozed_until": 60.0}),
        (OPEN, "snooze", {"endTime": "soon"}, {"snoozed_until": None}),
        (OPEN._replace(acknowledged=True), "close", {}, {"is_open": False, "acknowledged": False}),
        (OPEN, "delete", {}, {"is_open": False}),
        (OPEN, "assign", {"owner": {"username": "a@example.com"}}, {"owner": "a@example.com"}),
        (OPEN, "assign", {"owner": 5}, {"owner": ""}),
        (OPEN, "priority", {"priority": "P5"}, {"priority": "P5"}),
        (OPEN, "note", {"note": "hello"}, {}),
    ],
)
def test_an_accepted_request_changes_the_agreed_state(
    before: AgreedState, operation: str, body: dict[str, Any], after: dict[str, Any]
) -> None:
    moved = after_requests(before, [Request(operation, "POST", "/", body)], 10.0)
    assert moved == before._replace(**after, at_seconds=10.0)


def test_an_accepted_create_does_not_prove_an_alert() -> None:
    assert not after_requests(
        AgreedState(), [Request("create", "POST", "/v2/alerts", {"priority": "P1"})], 10.0
    ).confirmed


@pytest.mark.parametrize(("attributes", "sent"), [({}, ["priority", "message"]), ({"opsgenie-priority": "P1"}, [])])
def test_a_priority_that_somebody_set_at_the_vendor_is_not_replaced(
    attributes: dict[str, str], sent: list[str]
) -> None:
    alert = AlertValues(
        "a", severity="minor", attributes=attributes, history=(HistoryEntry("new", "open", "minor", "a"),)
    )
    policy = Policy(priorities={"minor": "P3"})
    dispatch = unsent_requests(alert, OPEN._replace(priority="P1"), policy, 100.0)
    assert [request.operation for request in dispatch.requests] == sent
