"""Late refusals: those of the plan, those that change nothing, and the note that replaces a request."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.core.limits import NOTE
from alerta_opsgenie.core.publish import Request
from alerta_opsgenie.core.refusals import changed_nothing, is_of_plan, note_instead

PATH = "/v2/alerts/a/{}?identifierType=alias"


@pytest.mark.parametrize(
    ("text", "plan", "nothing"),
    [
        ("Your account plan does not support this action", True, False),
        ("There is no open alert with alias [a]", False, True),
        ("Alert is already acknowledged", False, True),
        ("Alert does not exist", False, False),
        ("", False, False),
    ],
)
def test_each_request_status_is_classified(text: str, *, plan: bool, nothing: bool) -> None:
    assert (is_of_plan(text), changed_nothing(text)) == (plan, nothing)


@pytest.mark.parametrize(
    ("operation", "body", "note"),
    [
        ("snooze", {"endTime": "2026-11-28T12:00:00Z"}, "Shelved in Alerta until 2026-11-28T12:00:00Z"),
        ("assign", {"owner": {"username": "a@example.com"}, "note": "hi"}, "Assigned in Alerta to a@example.com: hi"),
        ("assign", {"owner": 5}, "Assigned in Alerta to ?"),
        ("priority", {"priority": "P1"}, "Priority in Alerta: P1"),
        ("unacknowledge", {"note": "{endTime} {0}"}, "Unacknowledged in Alerta: {endTime} {0}"),
        ("message", {}, "Message in Alerta: ?"),
    ],
)
def test_the_note_has_what_the_request_would_have_done(operation: str, body: dict[str, Any], note: str) -> None:
    request = Request(operation, "POST", PATH.format(operation), {"user": "u", "source": "s", **body})
    noted = Request("note", "POST", PATH.format("notes"), {"user": "u", "source": "s", "note": note})
    assert note_instead(request) == noted


def test_the_note_is_within_the_vendor_s_limit() -> None:
    noted = note_instead(Request("snooze", "POST", PATH.format("snooze"), {"endTime": "x", "note": "y" * NOTE}))
    assert noted is not None
    assert len(noted.body["note"]) == NOTE


@pytest.mark.parametrize("operation", ["create", "acknowledge", "close", "note", "delete"])
def test_an_operation_of_every_plan_has_no_note(operation: str) -> None:
    assert note_instead(Request(operation, "POST", PATH.format(operation), {})) is None
