"""For any message and any answers of Alerta, the outcome is a known one, and only one alert is changed.

Hypothesis makes the bytes, the JSON, the changes to real messages, and the answers.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alerta_opsgenie.core.message import Message, MessageError, journal_body, parse, read_journal_body
from alerta_opsgenie.core.outcome import REASONS, Answer, Outcome
from alerta_opsgenie.core.relay import gate, relay
from alerta_opsgenie.core.task import AttemptContext, Settings
from tests.support.answers import ALIAS, NOW_SECONDS, envelope, line
from tests.support.tiers import amount, grows

PAYLOADS = sorted((Path(__file__).parent.parent / "payloads").glob("*.json"))
REAL = [json.loads(path.read_text()) for path in PAYLOADS]
MOST_CALLS = 10

# Call paths: one alert by its full id, and one of the endpoints that the relay uses.
ONE_ALERT = re.compile(
    r"/alert/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(/(action|status|attributes|note|tag|untag))?",
    re.IGNORECASE | re.ASCII,
)

EVERYTHING = Settings(
    sources=frozenset({"*"}),
    all_notes=True,
    on_delete="delete",
    custom_actions={"RestartService": "restart", "TestAction": "test"},
    ack_timeout_seconds=60,
)

TEXTS = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(
    [
        ALIAS, ".*", "../users", "Alerta", "P1", "a,b", "2025-07-04T12:00:00Z", "", " ", "\x00", "\r\n", "\u202e",
        "\ufeff",
    ]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.integers(min_value=10**12, max_value=10**20)
)
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)

LINES = st.builds(
    line,
    st.sampled_from(
        [
            "Acknowledged by jane.doe@example.org in Opsgenie",
            "Closed by jane.doe@example.org in Opsgenie",
            "Snooze ended by System in Opsgenie",
            "Unacknowledged by System in Opsgenie",
            "x",
        ]
    ),
    st.floats(min_value=NOW_SECONDS - 100, max_value=NOW_SECONDS),
    st.sampled_from(["open", "ack", "shelved", "closed", "expired", "assign", "blackout"]),
)
ALERTS = st.fixed_dictionaries(
    {"status": st.sampled_from(["open", "ack", "shelved", "closed", "expired", "assign", "blackout"]) | JSON_VALUES},
    optional={"history": st.lists(LINES | JSON_VALUES, max_size=3) | JSON_VALUES},
)
OKAY = st.fixed_dictionaries(
    {"status": st.just("ok")}, optional={"alert": ALERTS | JSON_VALUES, "message": JSON_VALUES}
)
ERRORS = st.fixed_dictionaries(
    {"status": st.just("error"), "message": st.sampled_from(["not found", "failed to update attributes"]) | JSON_VALUES}
)
ANSWERS = st.builds(
    Answer,
    st.sampled_from([200, 200, 200, 201, 409, 409, 202, 204, 302, 400, 401, 403, 404, 405, 408, 425, 429, 500, 503]),
    OKAY | ERRORS | JSON_VALUES,
    st.sampled_from(["", "jane.doe@example.org"]),
    st.sampled_from(["", "open", "ack", "shelved", "closed", "assign", "blackout", "?"]),
    st.none() | st.floats(min_value=0, max_value=1e9),
    st.floats(min_value=-1e6, max_value=1e6),
)
CIRCUMSTANCES = st.builds(
    AttemptContext,
    st.just(NOW_SECONDS),
    st.none() | st.just(NOW_SECONDS - 60),
    st.sets(st.sampled_from(["state", "owner", "priority", "tag:a"])).map(frozenset),
)


@st.composite
def changed_messages(draw: st.DrawFn) -> dict[str, Any]:
    """Take a real message, and change some of its fields into anything, or into another real one's."""
    body: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(min_value=0, max_value=3))):
        whole = draw(st.sampled_from([body, body.get("alert")]))
        if not isinstance(whole, dict) or not whole:
            continue
        name = draw(st.sampled_from(sorted(whole)) | TEXTS)
        if draw(st.booleans()):
            whole[name] = draw(JSON_VALUES)
        else:
            whole.pop(name, None)
    return body


def read(data: str | bytes) -> Message | None:
    """Parse; every error but `MessageError` goes through to the test."""
    try:
        return parse(data)
    except MessageError as caught:
        error = caught
    assert error.path.startswith("$")
    assert "\n" not in str(error)
    return None


def run(about: Message, answers: Iterator[Answer], wanted: Settings, context: AttemptContext) -> Outcome:
    """Run a relay, and check each call that it makes."""
    steps = relay(about, wanted, context)
    answer: Answer | None = None
    for _ in range(MOST_CALLS + 1):
        try:
            call = next(steps) if answer is None else steps.send(answer)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        assert ONE_ALERT.fullmatch(call.path), call.path
        assert call.method in {"GET", "PUT", "DELETE"}
        assert call.on_behalf_of == call.on_behalf_of.strip()
        assert len(call.on_behalf_of.splitlines()) == 1
        json.dumps(call.body, ensure_ascii=False).encode("utf-8")
        answer = next(answers)
    raise AssertionError(f"more than {MOST_CALLS} calls for one message")


def check(data: str | bytes, answers: list[Answer], wanted: Settings, context: AttemptContext) -> None:
    """Check that the message has a known ending, now and after it was kept."""
    about = read(data)
    if about is None:
        return
    outcome = run(about, iter([*answers, *[Answer(503)] * MOST_CALLS]), wanted, context)
    assert outcome.reason in REASONS[outcome.kind]
    assert "\n" not in outcome.detail
    assert 0 <= about.updated_ns < 2**63
    recalled = read_journal_body(journal_body(about), about.key)
    if gate(about, wanted) is None:
        assert recalled[:3] == about[:3]
        assert run(recalled, iter([*answers, *[Answer(503)] * MOST_CALLS]), wanted, context) == outcome


@given(st.binary(max_size=200))
@example(b"\x00\x00\x00{")
@example(b"\xff\xfe")
@example(b"[" * 100_000)
@example(b'{"action":' * 100_000)
def test_any_bytes_are_a_message_or_an_error_with_a_path(data: bytes) -> None:
    read(data)


@grows
@settings(max_examples=amount(500, 100_000))
@given(
    changed_messages(), st.lists(ANSWERS, max_size=MOST_CALLS), st.sampled_from([Settings(), EVERYTHING]), CIRCUMSTANCES
)
def test_any_change_of_a_real_message_has_a_known_ending(
    body: dict[str, Any], answers: list[Answer], wanted: Settings, context: AttemptContext
) -> None:
    check(json.dumps(body), answers, wanted, context)


@grows
@settings(max_examples=amount(300, 100_000))
@given(
    st.sampled_from(sorted({str(body.get("action")) for body in REAL if "action" in body})),
    st.lists(ANSWERS, min_size=MOST_CALLS, max_size=MOST_CALLS),
    CIRCUMSTANCES,
)
def test_each_action_has_a_known_outcome_for_any_answer_of_alerta(
    action: str, answers: list[Answer], context: AttemptContext
) -> None:
    body = envelope(action, note="x", owner="x", priority="P1", addedTags="a,b", removedTags="a", snoozedUntil=10**13)
    check(json.dumps(body), answers, EVERYTHING, context)


@grows
@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_a_real_message_with_any_byte_changed_or_cut_off_has_a_known_ending(path: Path) -> None:
    data = path.read_bytes()
    chance = random.Random(path.name)
    for _ in range(amount(60, 6_000)):
        spoilt = bytearray(data)
        spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        for variant in (bytes(spoilt), data[: chance.randrange(len(data))]):
            check(variant, [], EVERYTHING, AttemptContext(NOW_SECONDS))


@given(st.text(st.characters(codec=None), max_size=200))
@example("\ud800")
@example('{"action": "\ud800"}')
def test_any_text_is_a_message_or_an_error_with_a_path(text: str) -> None:
    read(text)


@given(JSON_VALUES, st.lists(ANSWERS, max_size=MOST_CALLS), CIRCUMSTANCES)
def test_any_json_has_a_known_ending(body: Any, answers: list[Answer], context: AttemptContext) -> None:
    check(json.dumps(body), answers, EVERYTHING, context)
