"""The table of fields by which echoes are recognised."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from alerta_opsgenie.core.echo import MARK, is_echo
from alerta_opsgenie.core.message import Message, parse
from tests.support.answers import JANE, envelope

OWN = frozenset({"alerta", "alerta eu"})


class _Absent:
    """A missing field of the message."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()


class Row(NamedTuple):
    """Who acted, through what, and whether that was us."""

    username: Any
    source: Any
    echo: bool


API = {"name": "203.0.113.10", "type": "API"}
WEB = {"name": "", "type": "web"}

ROWS = [
    # Our plugin ends each name with the mark, and only the API brings that back.
    Row(f"{JANE}{MARK}", API, True),
    Row(f"{JANE}{MARK}", WEB, False),
    Row(f"{JANE}{MARK}", {"name": "", "type": "mobile"}, False),
    Row(f"{JANE}{MARK}", ABSENT, True),
    Row(f"{JANE}{MARK}", "API", True),
    Row(f"{JANE} via Alerta console", API, False),
    # The name of ours that Opsgenie gives back as the actor.
    Row("Alerta", API, True),
    Row("Alerta EU", API, True),
    Row("Alerta US", API, False),
    Row("Alerta", WEB, False),
    Row("Alerta", ABSENT, True),
    # The request's source, in case the vendor returns it.
    Row("Alert API", {"name": "Alerta", "type": "API"}, True),
    Row("Alert API", {"name": "Alerta", "type": "web"}, False),
    Row("Alert API", {"name": "Alerta"}, False),
    # Others.
    Row(JANE, API, False),
    Row(JANE, WEB, False),
    Row("System", {"name": "", "type": "system"}, False),
    Row("", API, False),
    Row(ABSENT, ABSENT, False),
]


def by(username: Any, source: Any) -> Message:
    body = envelope("Acknowledge")
    body["source"], body["alert"]["username"] = source, username
    for where, name in ((body, "source"), (body["alert"], "username")):
        if where[name] is ABSENT:
            del where[name]
    return parse(json.dumps(body))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.username!r:.40} {row.source!r:.60}")
def test_each_row_is_recognised_as_echo_or_not(row: Row) -> None:
    assert is_echo(by(row.username, row.source), OWN) is row.echo


def test_without_own_names_only_the_mark_counts() -> None:
    assert is_echo(by(f"x{MARK}", API), frozenset())
    assert not is_echo(by("Alerta", API), frozenset())


@pytest.mark.parametrize("action", ["UpdatePriority", "UpdateMessage", "UpdateDescription"])
def test_an_update_by_the_api_without_a_name_counts_as_ours(action: str) -> None:
    """The plugin's requests for these have no field for a user."""
    assert is_echo(by("Alert API", API)._replace(action=action), OWN)
    assert not is_echo(by("Alert API", WEB)._replace(action=action), OWN)
    assert not is_echo(by(JANE, API)._replace(action=action), OWN)


def test_another_action_by_the_api_without_a_name_is_not_ours() -> None:
    assert not is_echo(by("Alert API", API), OWN)
