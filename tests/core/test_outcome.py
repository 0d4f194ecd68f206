"""The table of HTTP statuses, walked from 100 to 599, and the closed set of reasons."""

from __future__ import annotations

import pytest

from alerta_opsgenie.core.outcome import ADVICE, REASONS, Answer, Kind, Outcome, Reason, outcome_of_refusal
from tests.support.answers import CONFLICT, NOT_FOUND, STALE, WRONG_URL, error

UNAVAILABLE = {408, 425, *range(500, 600)}
REFUSED = set(range(400, 500)) - {401, 403, 404, 405, 408, 409, 425, 429}


def expected(status: int, *, from_alerta: bool) -> tuple[Kind, Reason]:
    """Return the expected outcome, written independently of the code."""
    if status in UNAVAILABLE:
        return Kind.KEPT, Reason.UNAVAILABLE
    if from_alerta and status in REFUSED:
        return Kind.REJECTED, Reason.REFUSED
    own = {401: Reason.UNAUTHORIZED, 403: Reason.FORBIDDEN, 409: Reason.CONFLICT, 429: Reason.THROTTLED}
    return Kind.KEPT, own.get(status, Reason.NOT_ALERTA)


def test_each_status_with_alertas_error_has_the_outcome_of_the_table() -> None:
    for status in range(100, 600):
        outcome = outcome_of_refusal(error(status, "no way"))
        assert outcome[:2] == expected(status, from_alerta=True), status
        assert f"HTTP {status}: no way" in outcome.detail


def test_each_status_with_a_page_not_of_alerta_keeps_the_action() -> None:
    for status in range(100, 600):
        assert outcome_of_refusal(Answer(status, None))[:2] == expected(status, from_alerta=False), status
        assert expected(status, from_alerta=False)[0] is Kind.KEPT


def test_success_is_200_or_201_and_alertas_own_word_for_it() -> None:
    for status in range(100, 600):
        assert Answer(status, {"status": "ok"}).ok is (status in {200, 201}), status
        for body in (None, [], "ok", {}, {"status": "error"}, {"status": True}, [{"status": "ok"}]):
            assert not Answer(status, body).ok


@pytest.mark.parametrize("status", [429, 503])
def test_the_outcome_has_the_retry_after(status: int) -> None:
    assert outcome_of_refusal(error(status)._replace(retry_after_seconds=7.0)).retry_after_seconds == 7.0


def test_each_reason_belongs_to_one_kind() -> None:
    assert sorted(reason for reasons in REASONS.values() for reason in reasons) == sorted(Reason)
    assert set(REASONS) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_rejected_outcomes_and_those_with_advice_need_a_person(kind: Kind) -> None:
    for reason in REASONS[kind]:
        outcome = Outcome(kind, reason)
        assert outcome.needs_person is (kind is Kind.REJECTED or reason in ADVICE)
        assert bool(outcome.advice) is (reason in ADVICE)
    assert set(ADVICE) < REASONS[Kind.KEPT]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "a\n b\t c"}, "a b c"), ({"message": "x" * 300}, "x" * 200), ({"message": None}, ""),
        ({"message": ["x"]}, ""), ({"message": 7}, ""), ({}, ""), (None, ""), ("message", ""),
    ],
)  # fmt: skip
def test_alertas_message_is_shown_on_one_line_and_cut(body: object, said: str) -> None:
    assert Answer(400, body).message == said


def test_a_message_nested_too_deep_to_be_shown_is_not() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert Answer(400, {"message": deep}).message == ""


def test_an_alert_that_alerta_does_not_know_is_rejected_and_a_url_is_a_matter_of_configuration() -> None:
    assert outcome_of_refusal(NOT_FOUND)[:2] == (Kind.REJECTED, Reason.NOT_FOUND)
    assert outcome_of_refusal(WRONG_URL)[:2] == (Kind.KEPT, Reason.NOT_ALERTA)


def test_a_stale_conflict_of_our_plugin_is_ignored_and_any_other_is_kept() -> None:
    assert outcome_of_refusal(STALE)[:2] == (Kind.IGNORED, Reason.STALE)
    assert outcome_of_refusal(CONFLICT)[:2] == (Kind.KEPT, Reason.CONFLICT)
    assert (STALE.has_no_transition, CONFLICT.has_no_transition, error(400).has_no_transition) == (False, True, False)


def test_a_forwarding_loop_of_alertas_plugins_is_a_refusal() -> None:
    looped = Answer(202, {"status": "ok", "message": "forwarding loop"})
    assert outcome_of_refusal(looped)[:2] == (Kind.REJECTED, Reason.REFUSED)
