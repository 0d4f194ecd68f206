"""The tables of the alarm models, and the relay with statuses of the other model."""

from __future__ import annotations

import pytest

from alerta_opsgenie.core.alarm_model import ISA_18_2, PRIORITIES, meaning
from alerta_opsgenie.core.events import may_have_earlier_outage
from alerta_opsgenie.core.outcome import Kind, Reason
from alerta_opsgenie.core.publish import Policy, is_wanted
from alerta_opsgenie.core.task import Settings
from alerta_opsgenie.core.wording import AlertValues, HistoryEntry, fill_template
from tests.support.answers import CONFLICT, NOW_SECONDS, OK, error, message, ok_with_plugin, play, seen

USUAL = ("open", "assign", "ack", "shelved", "blackout", "closed", "expired", "unknown")
"""Alerta 9.1.0, models/alarms/alerta.py, STATUS_MAP."""

OF_ISA = ("NORM", "UNACK", "ACKED", "RTNUN", "SHLVD", "DSUPR", "OOSRV")
"""Alerta 9.1.0, models/alarms/isa_18_2.py, STATUS_MAP."""


def test_each_status_of_isa_has_a_meaning_and_a_usual_one_is_its_own() -> None:
    assert set(ISA_18_2.meanings) == set(OF_ISA)
    assert {meaning(status) for status in OF_ISA} <= set(USUAL)
    assert [meaning(status) for status in USUAL] == list(USUAL)


def test_the_transitions_are_from_known_statuses_and_from_no_suppressed_one() -> None:
    ways = ISA_18_2.ways or {}
    assert set(ways) == {"ack", "unack", "shelve", "unshelve", "close"}
    assert {status for statuses in ways.values() for status in statuses} <= set(OF_ISA) - {"DSUPR", "OOSRV"}


# -- How long it lasts


@pytest.mark.parametrize(("written", "says"), [(None, False), (0, False), (2, True), (3600, True)])
def test_the_outcome_of_an_acknowledge_that_alerta_ends_has_the_time(written: int | None, says: bool) -> None:
    answer = ok_with_plugin("ack")._replace(alert_timeout_seconds=written)
    assert (f"after {written} s" in play(message("Acknowledge"), answer).outcome.detail) is says


@pytest.mark.parametrize(("written", "says"), [(None, False), (1800, False), (1803, False), (7200, True)])
def test_the_outcome_of_a_snooze_that_alerta_ends_at_another_time_has_the_time(written: int | None, says: bool) -> None:
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
def test_only_an_alert_that_was_open_has_an_earlier_outage(history: list[tuple[str, str]], open_before: bool) -> None:
    assert (
        may_have_earlier_outage(AlertValues("id", history=tuple(HistoryEntry(*entry) for entry in history)))
        is open_before
    )


@pytest.mark.parametrize(("word", "status"), [("open", "UNACK"), ("ack", "ACKED"), ("closed", "NORM")])
def test_a_word_is_written_as_the_model_s_own(word: str, status: str) -> None:
    assert ISA_18_2.status(word) == status


def test_severities_stand_in_the_table_in_lower_case_and_count_in_any() -> None:
    assert all(severity == severity.lower() for severity in PRIORITIES)
    assert [is_wanted(severity, Policy()) for severity in ("OK", "Warning", "Critical")] == [False, False, True]


def test_a_template_shows_alerta_s_own_word() -> None:
    assert fill_template("{status}", AlertValues("id", status="ack", shown_status="ACKED")) == "ACKED"
    assert fill_template("{status}", AlertValues("id", status="ack")) == "ack"


@pytest.mark.parametrize(
    ("action", "status", "calls"), [("Acknowledge", "ACKED", 2), ("Close", "NORM", 2), ("UnAcknowledge", "SHLVD", 2)]
)
def test_the_present_status_is_known_by_the_other_models_word(action: str, status: str, calls: int) -> None:
    played = play(message(action), CONFLICT, seen(status))
    assert (played.ending, len(played.calls)) == ((Kind.ALREADY, Reason.IN_STATE), calls)


def test_a_close_that_the_model_does_not_have_is_rejected_with_its_reason() -> None:
    played = play(message("Close"), error(400, ISA_18_2.no_close))
    assert played.ending == (Kind.REJECTED, Reason.REFUSED)
    assert "no close" in played.outcome.detail


def test_the_outcome_of_a_close_that_acknowledged_says_so() -> None:
    played = play(message("Close"), ok_with_plugin("ack"))
    assert played.ending == (Kind.APPLIED, Reason.DONE)
    assert played.outcome.detail.startswith("acknowledged")


def test_the_length_that_the_settings_ask_for_is_no_surprise() -> None:
    answer = ok_with_plugin("ack")._replace(alert_timeout_seconds=600)
    assert play(message("Acknowledge"), answer, settings=Settings(ack_timeout_seconds=600)).outcome.detail == ""
    assert play(message("Acknowledge"), OK, OK).outcome.detail == ""
