"""The texts for the vendor, and templates that can read only the alert's fields."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.core import wording
from alerta_opsgenie.core.events import Event
from alerta_opsgenie.core.publish import REQUESTS, Dialect, _note_event
from alerta_opsgenie.core.wording import FIELDS, AlertValues, TemplateError, Templates, check_template, fill_template

ALERT = AlertValues("id", resource="web01", event="Disk", environment="Production", severity="major", service=("Web",))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": "full", "value": "97%"}, "major: full -> 97%"),
        ({"text": "full"}, "major: full"),
        ({}, "major: Disk on web01"),
    ],
)
def test_the_message_is_severity_text_and_value(fields: dict[str, Any], message: str) -> None:
    assert wording.message(ALERT._replace(**fields), Templates()) == message


def test_each_event_that_is_sent_as_a_note_has_its_text() -> None:
    worded = {event for dialect in Dialect for event in Event if _note_event in REQUESTS[dialect][event]}
    assert {event.value for event in worded} <= set(wording.SENTENCES)


def test_each_field_of_a_template_is_filled() -> None:
    for name in FIELDS:
        assert check_template("T", f"{{{name}}}") == f"{{{name}}}"
    assert fill_template("{service} {attributes.x} {{}}", ALERT._replace(attributes={"x": True})) == "Web true {}"
    assert fill_template("{attributes.absent}", ALERT) == ""


@pytest.mark.parametrize(
    "template", ["{nothing}", "{0}", "{}", "{text.__class__}", "{text[0]}", "{", "{text!x}", "{attributes}"]
)
def test_a_template_that_cannot_be_used_is_refused_when_it_is_read(template: str) -> None:
    with pytest.raises(TemplateError, match="OPSGENIE_MESSAGE_TEMPLATE"):
        check_template("OPSGENIE_MESSAGE_TEMPLATE", template)


def test_details_leave_out_what_is_empty() -> None:
    details = wording.details(ALERT, "", ["absent"])
    assert "web_url" not in details
    assert "value" not in details
    assert "absent" not in details


def test_an_instant_is_written_with_its_zone() -> None:
    assert wording.iso_utc(1_767_225_600.4) == "2026-01-01T00:00:00Z"
