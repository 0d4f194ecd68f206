"""An action that arrives through two integrations is done once; two actions of one or two people are done twice."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from alerta_opsgenie.core.duplicates import (
    IDEMPOTENT_ACTIONS,
    RECORD,
    WINDOW_SECONDS,
    action_records,
    is_duplicate,
    record_kind,
)
from alerta_opsgenie.core.message import Message, parse, with_people
from alerta_opsgenie.core.order import superseded, writes
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.relay import HANDLERS, relay
from alerta_opsgenie.core.task import AttemptContext, Settings
from tests.support.answers import BOB, JANE, NOTED, OK, UPDATED_NS, at, envelope, message, play

SEED = int(os.environ.get("ACTS_SEED", "1"))
SECOND_NS = 10**9
NOW_SECONDS = UPDATED_NS / 1e9 + 3600
ID = "5b10ac8d82e05b22cc7d4ef5"


def act(action: str = "AddNote", by: str = "OEC", after_seconds: float = 0.0, **alert: Any) -> Message:
    """Return a message of one product."""
    usual = {"note": "on it"} if action == "AddNote" else {}
    body = envelope(action, **{**usual, "updatedAt": UPDATED_NS + int(after_seconds * SECOND_NS), **alert})
    return parse(json.dumps({**body, "integrationId": f"the-one-of-{by}", "integrationType": by}))


def is_told(before: Message, after: Message) -> bool:
    return is_duplicate(after, writes(before, Kind.APPLIED, NOW_SECONDS))


FIRST = act()


@pytest.mark.parametrize(
    "second",
    [
        act(by="JEC"),
        act(by="JEC", after_seconds=WINDOW_SECONDS),
        act(by="JEC", note=" on  it\n"),
        with_people(act(by="JEC", username=ID), {ID: JANE}),
    ],
)
def test_the_same_words_of_one_person_by_another_integration_are_one_act(second: Message) -> None:
    assert is_told(FIRST, second)


@pytest.mark.parametrize(
    "second",
    [
        act(after_seconds=1),
        act(by="JEC", after_seconds=WINDOW_SECONDS + 1),
        act(by="JEC", note="on it!"),
        act(by="JEC", username=BOB),
        act(by="JEC", updatedAt=None),
        message("AddNote", note="on it"),
        act("on it", by="JEC"),
    ],
)
def test_anything_else_is_another_act(second: Message) -> None:
    assert not is_told(FIRST, second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (act("AssignOwnership", owner=BOB), act("AssignOwnership", by="JEC", owner=BOB)),
        (act("TakeOwnership"), act("AssignOwnership", by="JEC", owner=JANE)),
        (act("AddResponder", responder="x"), act("AddResponder", by="JEC", responder={"name": "x"})),
        (act("restart"), act("restart", by="JEC")),
    ],
)
def test_the_text_counts_and_not_the_products_name(one: Message, other: Message) -> None:
    assert is_told(one, other)


def test_every_action_leaves_a_line_or_is_known_to_leave_none() -> None:
    assert {name for name in HANDLERS if record_kind(message(name)) != "note"} == IDEMPOTENT_ACTIONS
    assert all(not action_records(act(name)) for name in IDEMPOTENT_ACTIONS)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (["OEC 0", "JEC 0"], False),
        (["OEC 0", "OEC 30", "JEC 0"], True),
        (["OEC 0", "JEC 0", "Webhook 0"], False),
        (["OEC 0", "Webhook 0"], True),
        (["OEC 200"], False),
        (["OEC 60", "JEC 60"], False),
    ],
)
def test_each_act_is_paired_once(before: list[str], expected: bool) -> None:
    known: dict[str, int] = {}
    for by, second in (one.split() for one in before):
        known.update(action_records(act(by=by, after_seconds=float(second))))
    assert is_duplicate(act(by="JEC", after_seconds=60.5), known) is expected


# -- A thousand acts, by both products


@dataclass
class Alert:
    """The records of an alert, and its history entries."""

    newest_ns: dict[str, int] = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)

    def take(self, about: Message) -> Outcome:
        """Do one action, as the deliverer does, in an Alerta that takes all."""
        in_flight = {**self.newest_ns, **writes(about, Kind.APPLIED, NOW_SECONDS)}  # as the journal has it
        context = AttemptContext(NOW_SECONDS, None, superseded(about, in_flight, NOW_SECONDS))
        steps = relay(about, Settings(all_notes=True, custom_actions={"restart": "x"}), context)
        try:
            call = next(steps)
            while True:
                if call.path.endswith(("/note", "/action")) and call.body is not None:
                    self.lines[str(call.body["text"]).replace(" in Jira Service Management", " in Opsgenie")] += 1
                call = steps.send(OK)
        except StopIteration as stop:
            outcome: Outcome = stop.value
        for name, at_ns in writes(about, outcome.kind, NOW_SECONDS).items():
            self.newest_ns[name] = max(at_ns, self.newest_ns.get(name, 0))
        return outcome


def made_up(random_: random.Random, number: int) -> dict[str, Any]:
    """Return a random action: few texts and people, so that many are equal."""
    what: list[dict[str, Any]] = [
        {"action": "AddNote", "note": random_.choice(("on it", "rebooted"))},
        {"action": "AddResponder", "responder": random_.choice((JANE, BOB))},
        {"action": "restart"},
    ]
    at_seconds = 20.0 * number + random_.uniform(0, 19)
    return {**random_.choice(what), "username": random_.choice((JANE, BOB)), "at": at_seconds}


@pytest.mark.parametrize("lag_seconds", [0.0, 5.0, 100.0])
def test_a_thousand_acts_by_both_products_have_one_effect_each(lag_seconds: float) -> None:
    """With any delays, as long as the two times of one action are within the window."""
    random_ = random.Random(f"{SEED} {lag_seconds}")
    alert, arriving, expected = Alert(), [], Counter[tuple[str, ...]]()
    for number in range(1000):
        one = made_up(random_, number)
        expected[(one["action"], one["username"], one.get("note") or one.get("responder") or "")] += 1
        for by in ("OEC", "JEC"):
            lag = random_.uniform(0, lag_seconds) if by == "JEC" else 0.0
            alert_fields = {name: value for name, value in one.items() if name not in ("action", "at")}
            about = act(one["action"], by, one["at"] + lag, **alert_fields)
            arriving.append((one["at"] + random_.expovariate(1 / 60), about))
    for _, about in sorted(arriving, key=lambda one: one[0]):
        alert.take(about)
    found = sorted(alert.lines.values())
    assert sum(found) == 1000
    assert found == sorted(expected.values())


MERGED = (Kind.ALREADY, Reason.MERGED)


@pytest.mark.parametrize("second", [act(by="JEC"), act("AssignOwnership", owner=BOB), act("restart")])
def test_a_duplicate_makes_no_call_to_alerta(second: Message) -> None:
    settings = Settings(custom_actions={"restart": "restart"})
    assert play(second, settings=settings, context=at(superseded={RECORD})).ending == MERGED


def test_the_plugin_gets_integration_and_words_of_an_action_that_adds_an_entry() -> None:
    note = play(act(), NOTED).calls[0].body
    assign = play(act("AssignOwnership", owner=BOB), OK, NOTED).calls[1].body
    close = play(act("Close"), OK).calls[0].body
    assert note is not None
    assert assign is not None
    assert close is not None
    assert (note["bridge"]["integration"], "words" in note["bridge"]) == ("the-one-of-OEC", False)
    assert assign["bridge"]["words"] == f"{JANE} assigned the alert to {BOB}"
    assert assign["bridge"]["names"] == [JANE, BOB]
    assert "integration" not in close["bridge"]
