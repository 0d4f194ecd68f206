"""Outcomes without a call to Alerta: the gates in their order, and stale actions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.relay import gate
from alerta_opsgenie.core.task import Settings
from tests.support.answers import ALIAS, BOB, NOTED, OK, at, envelope, message, play

BAD_MESSAGE = (Kind.REJECTED, Reason.BAD_MESSAGE)

DEFAULT = Settings()


def gated(settings: Settings = DEFAULT, /, **alert: Any) -> Outcome | None:
    return gate(message("Acknowledge", **alert), settings)


def ending(outcome: Outcome | None) -> tuple[Kind, Reason] | None:
    return outcome and (outcome.kind, outcome.reason)


EVERY_SOURCE = Settings(sources=frozenset({"*"}))
TWO_SOURCES = Settings(sources=frozenset({"Alerta", "Alerta EU"}))
NO_ALIAS, FOREIGN = (Kind.IGNORED, Reason.NO_ALIAS), (Kind.IGNORED, Reason.FOREIGN)


@pytest.mark.parametrize(
    ("settings", "alert", "expected"),
    [
        *((DEFAULT, {"alias": alias, "source": "Zabbix"}, NO_ALIAS) for alias in (None, "")),
        *((DEFAULT, {"alias": "web01/disk", "source": source}, FOREIGN)
          for source in ("Zabbix", "alerta", "Alerta ", "", None, 7)),
        *((DEFAULT, {"alias": alias}, None) for alias in (ALIAS, ALIAS.upper())),
        *((EVERY_SOURCE, {"source": source}, None) for source in ("Zabbix", None)),
        (TWO_SOURCES, {"source": "Alerta EU"}, None),
        (TWO_SOURCES, {"source": "Alerta US"}, FOREIGN),
    ],
)  # fmt: skip
def test_the_gates_of_alias_and_source(
    settings: Settings, alert: dict[str, Any], expected: tuple[Kind, Reason] | None
) -> None:
    assert ending(gated(settings, **alert)) == expected


@pytest.mark.parametrize(
    "alias",
    [
        ".*", "^", "^b", "b7c1e0d4", "b7c1e0d4-52a9", ALIAS[:-1], f"{ALIAS}f", f"{ALIAS}\n", f" {ALIAS}",
        f"{ALIAS}/../x", "../users", "..%2Fusers", f"{ALIAS}|.*", ALIAS.replace("-", ""),
        ALIAS.replace("b", "\uff42"), ALIAS.replace("7", "\u0667"), "*", "x" * 512,
    ],
)  # fmt: skip
def test_an_alias_that_is_no_full_uuid_is_rejected_even_if_it_is_an_echo(alias: str) -> None:
    outcome = gated(alias=alias, username="Alerta")
    assert ending(outcome) == (Kind.REJECTED, Reason.BAD_ALIAS)
    assert alias not in str(outcome)


def test_an_alias_of_another_type_is_rejected_with_its_path_and_raises_nothing() -> None:
    outcome = gated(alias=7)
    assert ending(outcome) == BAD_MESSAGE
    assert outcome is not None
    assert outcome.detail == "$.alert.alias: expected a text, found a number"


def test_an_action_of_our_own_is_ignored_last() -> None:
    echo = parse(json.dumps({**envelope("Acknowledge", username="Alerta"), "source": {"name": "x", "type": "API"}}))
    assert ending(gate(echo, Settings())) == (Kind.IGNORED, Reason.ECHO)


# -- Stale registers


@pytest.mark.parametrize("action", ["UnAcknowledge", "Close", "Snooze", "SnoozeEnded", "Delete"])
def test_a_change_of_state_behind_a_newer_one_is_stale(action: str) -> None:
    played = play(message(action), context=at(superseded={"state"}))
    assert played.ending == (Kind.IGNORED, Reason.STALE)


def test_a_note_is_never_stale() -> None:
    every = {"state", "owner", "priority", "note", "tag:x"}
    assert play(message("AddNote", note="x"), NOTED, context=at(superseded=every)).outcome.kind is Kind.APPLIED


def test_only_tags_without_a_newer_action_are_written() -> None:
    played = play(message("AddTags", addedTags="a,b,c"), OK, context=at(superseded={"tag:b"}))
    assert played.asked == [("PUT", "/tag", {"tags": ["a", "c"]})]


def test_a_gate_costs_no_call() -> None:
    assert play(message("Acknowledge", source="Zabbix")).calls == []


def test_a_newer_change_of_state_does_not_make_an_owner_stale() -> None:
    played = play(message("AssignOwnership", owner=BOB), OK, NOTED, context=at(superseded={"state"}))
    assert played.outcome.kind is Kind.APPLIED


def test_tags_that_are_all_superseded_are_stale() -> None:
    played = play(message("RemoveTags", removedTags="a,b"), context=at(superseded={"tag:b", "tag:a"}))
    assert played.ending == (Kind.IGNORED, Reason.STALE)
