"""The tables of the alarm models, and what the relay makes of the other model's statuses."""

from __future__ import annotations

import pytest

from alerta_opsgenie.core.alarm_model import ISA_18_2, meaning
from alerta_opsgenie.core.events import was_ever_open
from alerta_opsgenie.core.wording import Past, Subject
from tests.support.answers import NOW_SECONDS, message, ok_with_plugin, play

USUAL = ("open", "assign", "ack", "shelved", "blackout", "closed", "expired", "unknown")
"""Alerta 9.1.0, models/alarms/alerta.py, STATUS_MAP."""

OF_ISA = ("NORM", "UNACK", "ACKED", "RTNUN", "SHLVD", "DSUPR", "OOSRV")
"""Alerta 9.1.0, models/alarms/isa_18_2.py, STATUS_MAP."""


def test_each_status_of_isa_has_a_meaning_and_a_usual_one_is_its_own() -> None:
    assert set(ISA_18_2.meanings) == set(OF_ISA)
    assert {meaning(status) for status in OF_ISA} <= set(USUAL)
    assert [meaning(status) for status in USUAL] == list(USUAL)


def test_the_ways_lead_away_from_statuses_that_there_are_and_from_no_suppressed_one() -> None:
    ways = ISA_18_2.ways or {}
    assert set(ways) == {"ack", "unack", "shelve", "unshelve", "close"}
    assert {status for statuses in ways.values() for status in statuses} <= set(OF_ISA) - {"DSUPR", "OOSRV"}


# -- How long it lasts


@pytest.mark.parametrize(("written", "says"), [(None, False), (0, False), (2, True), (3600, True)])
def test_an_acknowledge_that_alerta_ends_says_when(written: int | None, says: bool) -> None:
    answer = ok_with_plugin("ack")._replace(alert_timeout_seconds=written)
    assert (f"after {written} s" in play(message("Acknowledge"), answer).outcome.detail) is says


@pytest.mark.parametrize(("written", "says"), [(None, False), (1800, False), (1803, False), (7200, True)])
def test_a_snooze_that_alerta_ends_at_another_time_says_when(written: int | None, says: bool) -> None:
    about = message("Snooze", snoozedUntil=int((NOW_SECONDS + 1800) * 1000))
    answer = ok_with_plugin("shelved")._replace(alert_timeout_seconds=written)
    assert ("after 7200 s, not 1800" in play(about, answer).outcome.detail) is says


# -- What has an earlier outage


@pytest.mark.parametrize(
    ("history", "open_before"),
    [
        ([("status", "closed"), ("new", "closed")], False),
        ([("status", "closed"), ("new", "open")], True),
        ([("status", "closed")], True),
    ],
    ids=["began as normal", "was open", "the beginning is no longer known"],
)
def test_only_what_was_ever_open_has_an_earlier_outage(history: list[tuple[str, str]], open_before: bool) -> None:
    assert was_ever_open(Subject("id", history=tuple(Past(*entry) for entry in history))) is open_before
