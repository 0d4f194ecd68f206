"""Messages without `alert`: what they were, and when one acts on an alert that its details name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerta_opsgenie.core.delivery import journal_entry
from alerta_opsgenie.core.message import parse, read_journal_body
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.relay import gate
from alerta_opsgenie.core.task import Settings
from tests.support.answers import ALIAS, NOW_SECONDS, OK, play

MAPPED = Settings(custom_actions={"restart": "restartService"})


def text_of(details: Any = None, action: str = "restart", **more: Any) -> str:
    return json.dumps({"action": action, "actionType": "custom", "requestId": "r", "details": details, **more})


def gated(details: Any = None, action: str = "restart", **more: Any) -> Outcome | None:
    return gate(parse(text_of(details, action, **more)), MAPPED)


def reason(outcome: Outcome | None) -> Reason | None:
    return outcome and outcome.reason


def test_the_outcome_has_the_names_of_fields_and_never_their_values() -> None:
    outcome = gated({"status": "s3cret"}, entity={"id": "10042", "type": "issue"}, issueKey="OPS-12")
    detail = "the message is about no alert (issue 10042 with issueKey, status)"
    assert outcome == Outcome(Kind.IGNORED, Reason.NO_ALERT, detail)


@pytest.mark.parametrize("entity", [None, 7, [], {"id": 7, "type": None}])
@pytest.mark.parametrize("details", [None, 7, [], "x", {"alertaId": 7}, {"alertaId": ""}, {"alias": [ALIAS]}])
def test_no_form_of_it_is_more_than_ignored(details: Any, entity: Any) -> None:
    assert reason(gated(details, entity=entity)) is Reason.NO_ALERT


@pytest.mark.parametrize("field", ["alertaId", "alias"])
def test_a_mapped_action_acts_on_the_alert_that_its_details_name(field: str) -> None:
    played = play(parse(text_of({field: ALIAS})), OK, settings=MAPPED)
    text = "restart by Jira Service Management in Jira Service Management"
    assert played.asked == [("PUT", "/action", {"action": "restartService", "text": text})]
    assert played.outcome.kind is Kind.APPLIED


def test_without_a_mapping_it_does_nothing_and_the_outcome_says_why() -> None:
    assert reason(gated({"alertaId": ALIAS}, "reboot")) is Reason.UNKNOWN_ACTION


@pytest.mark.parametrize("action", ["Acknowledge", "Close", "Delete", "AddNote"])
def test_an_action_of_an_alert_needs_the_alert_even_if_it_is_mapped(action: str) -> None:
    outcome = gate(parse(text_of({"alertaId": ALIAS}, action)), Settings(custom_actions={action: "x"}))
    assert reason(outcome) is Reason.NO_ALERT


@pytest.mark.parametrize("alias", [".*", ALIAS[:8], f"{ALIAS}/../x", f" {ALIAS}"])
def test_only_a_whole_id_names_an_alert(alias: str) -> None:
    assert reason(gated({"alertaId": alias})) is Reason.BAD_ALIAS


def test_the_journal_body_has_the_alert_and_nothing_else() -> None:
    entry = journal_entry(parse(text_of({"alertaId": ALIAS, "password": "s3cret"})), NOW_SECONDS)
    assert entry.alert == ALIAS
    assert "s3cret" not in entry.body
    assert gate(read_journal_body(entry.body, entry.key), MAPPED) is None


def test_many_and_hostile_names_stay_one_short_line() -> None:
    outcome = gated({f"a\n\x1b{number}" * 100: 1 for number in range(100)})
    assert outcome is not None
    assert len(outcome.detail) < 400
    assert outcome.detail.isprintable()


def test_details_of_a_message_with_an_alert_are_ignored() -> None:
    assert reason(gated({"alertaId": ALIAS}, alert={})) is Reason.NO_ALIAS
