"""The flow of one action: its row, one attempt, and what its end means; walked without a socket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from alerta_opsgenie.core import delivery
from alerta_opsgenie.core.delivery import UP, NoAnswer, Pause, PriorAttempts, Reachability
from alerta_opsgenie.core.message import Message, parse, read_journal_body
from alerta_opsgenie.core.outcome import REASONS, Answer, Kind, Outcome, Reason
from alerta_opsgenie.core.task import Call, Settings
from tests.support.answers import ALIAS, NOW_SECONDS, OK, error, message, ok_with_plugin, seen

NOW = NOW_SECONDS
SILENCE = NoAnswer("no answer in time", timed_out=True)
RESET = NoAnswer("connection reset", timed_out=False)
NOTE = {"note": "looking"}
FIRST = PriorAttempts()


class Walk(NamedTuple):
    steps: list[Call | Pause]
    outcome: Outcome


def walk(about: Message, *answers: Answer | NoAnswer, earlier: PriorAttempts = FIRST) -> Walk:
    """Drive one attempt with these answers; a pause takes none."""
    flow = delivery.attempt(about, Settings(), earlier, NOW)
    left = list(answers)
    steps: list[Call | Pause] = []
    answer: Any = None
    while True:
        try:
            step = flow.send(answer)
        except StopIteration as stop:
            assert not left, "answers that nobody asked for"
            return Walk(steps, stop.value)
        steps.append(step)
        answer = None if isinstance(step, Pause) else left.pop(0)


def after(reason: Reason, first_attempt_at: float = NOW - 30) -> PriorAttempts:
    return PriorAttempts(first_attempt_at=first_attempt_at, last_reason=reason.value)


class TestAttempt:
    def test_the_usual_action_is_one_call(self) -> None:
        found = walk(message("Acknowledge"), ok_with_plugin("ack"))
        assert [type(step) for step in found.steps] == [Call]
        assert found.outcome.kind is Kind.APPLIED

    @pytest.mark.parametrize(("silence", "reason"), [(SILENCE, Reason.TIMEOUT), (RESET, Reason.NETWORK)])
    def test_no_answer_keeps_it(self, silence: NoAnswer, reason: Reason) -> None:
        outcome = walk(message("Acknowledge"), silence).outcome
        assert (outcome.kind, outcome.reason, outcome.detail) == (Kind.KEPT, reason, silence.detail)

    def test_a_silence_in_the_middle_keeps_it(self) -> None:
        assert walk(message("Acknowledge"), OK, SILENCE).outcome.reason is Reason.TIMEOUT

    @pytest.mark.parametrize("reason", ["", Reason.TIMEOUT.value])
    def test_a_note_whose_first_attempt_has_an_unknown_end_waits_until_that_has_landed(self, reason: str) -> None:
        earlier = PriorAttempts(first_attempt_at=NOW - 5, last_reason=reason)
        found = walk(message("AddNote", **NOTE), seen("open"), seen("open"), OK, earlier=earlier)
        assert [step.method if isinstance(step, Call) else step for step in found.steps] == [
            "GET", Pause(delivery.LANDING_SECONDS), "GET", "PUT",
        ]  # fmt: skip

    @pytest.mark.parametrize("name", ["Acknowledge", "Close"])
    def test_an_idempotent_action_does_not_wait(self, name: str) -> None:
        found = walk(message(name), error(503), earlier=after(Reason.TIMEOUT))
        assert not any(isinstance(step, Pause) for step in found.steps)

    @pytest.mark.parametrize("earlier", [PriorAttempts(), after(Reason.UNAVAILABLE), after(Reason.NETWORK)])
    def test_an_attempt_with_an_answer_or_a_network_error_cannot_take_effect_late(self, earlier: PriorAttempts) -> None:
        found = walk(message("AddNote", **NOTE), error(503), earlier=earlier)
        assert not any(isinstance(step, Pause) for step in found.steps)

    def test_an_action_older_than_its_register_is_stale(self) -> None:
        about = message("Close")
        found = walk(about, earlier=PriorAttempts(newest_ns={"state": about.updated_ns + 1}))
        assert (found.steps, found.outcome.reason) == ([], Reason.STALE)


class TestWithoutAlerta:
    @pytest.mark.parametrize(
        ("about", "reason"),
        [
            (message("Create"), Reason.NOT_WANTED),
            (message("RestartService"), Reason.UNKNOWN_ACTION),
            (message("AddNote", note=""), Reason.BAD_MESSAGE),
            (parse('{"action": "Close"}'), Reason.NO_ALERT),
        ],
        ids=["create", "unknown", "empty note", "no alert"],
    )
    def test_an_action_that_needs_no_call_has_its_outcome(self, about: Message, reason: Reason) -> None:
        outcome = delivery.outcome_without_alerta(about, Settings(), NOW)
        assert outcome is not None
        assert outcome.reason is reason

    def test_an_action_that_needs_a_call_has_no_outcome_yet(self) -> None:
        assert delivery.outcome_without_alerta(message("Close"), Settings(), NOW) is None


class TestEntry:
    def test_it_names_the_alert_in_lower_case_and_holds_what_the_relay_reads(self) -> None:
        about = parse(json.dumps({"action": "Close", "alert": {"alias": ALIAS.upper(), "updatedAt": 10**18}}))
        entry = delivery.journal_entry(about, NOW)
        assert (entry.alert, entry.kind, entry.order_ns) == (ALIAS, "Close", 10**18)
        assert read_journal_body(entry.body, entry.key).action == "Close"
        assert json.loads(entry.writes) == {"state": 10**18}

    def test_without_a_time_it_comes_now_and_orders_nothing(self) -> None:
        entry = delivery.journal_entry(parse(json.dumps({"action": "Close", "alert": {"alias": ALIAS}})), NOW)
        assert (entry.order_ns, entry.writes) == (int(NOW * 1e9), "{}")

    @pytest.mark.parametrize("change", [{"username": "bob@example.com"}, {"note": "other"}, {"owner": "x"}])
    def test_other_words_leave_another_line(self, change: dict[str, str]) -> None:
        one, two = (
            delivery.journal_entry(
                parse(json.dumps({"action": "AddNote", "alert": {"alias": ALIAS, "username": "a", **more}})), NOW
            )
            for more in ({}, change)
        )
        assert one.words != two.words


class TestEnd:
    def test_pauses_grow_to_the_longest_and_obey_alerta(self) -> None:
        failed = Outcome(Kind.KEPT, Reason.UNAVAILABLE)
        pauses = [delivery.pause_seconds(failed, attempts, 0.99) for attempts in range(1, 40)]
        assert pauses == sorted(pauses)
        assert pauses[0] < 0.5 < delivery.LONGEST_PAUSE_SECONDS - 1 < pauses[-1] <= delivery.LONGEST_PAUSE_SECONDS
        assert delivery.pause_seconds(failed._replace(retry_after_seconds=90.0), 1, 0.0) == 90.0


def outcomes(*reasons: Reason) -> list[Outcome]:
    return [Outcome(next(kind for kind in Kind if reason in REASONS[kind]), reason) for reason in reasons]


def reach_after(ended: Sequence[Outcome], now: float = 100.0) -> Reachability:
    reach = UP
    for outcome in ended:
        reach = reach.after(outcome, now, 0.5)
    return reach


class TestReachability:
    def test_three_failures_in_a_row_are_down(self) -> None:
        failures = outcomes(Reason.NETWORK, Reason.TIMEOUT, Reason.UNAVAILABLE)
        assert [reach_after(failures[:count]).is_down for count in range(4)] == [False, False, False, True]

    def test_while_down_one_attempt_at_a_time_is_made_after_a_pause(self) -> None:
        reach = reach_after(outcomes(*[Reason.NETWORK] * 3))
        assert not reach.may_start(0, 100.0)
        assert reach.may_start(0, 100.0 + delivery.LONGEST_PAUSE_SECONDS)
        assert not reach.may_start(1, 100.0 + delivery.LONGEST_PAUSE_SECONDS)

    def test_an_alert_on_which_alerta_fails_stops_no_other(self) -> None:
        mixed = outcomes(Reason.UNAVAILABLE, Reason.DONE, Reason.UNAVAILABLE, Reason.UNAVAILABLE, Reason.DONE)
        assert reach_after(mixed).may_start(11, 100.0)

    def test_a_throttled_answer_that_names_its_time_stops_all_at_once(self) -> None:
        reach = reach_after([Outcome(Kind.KEPT, Reason.THROTTLED, retry_after_seconds=7.0)])
        assert (reach.may_start(0, 106.9), reach.may_start(0, 107.0)) == (False, True)
