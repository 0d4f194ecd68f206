"""Captures for the tests: nothing of a person's is left in them, and all that the program reads by is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.core.message import parse
from alerta_opsgenie.vendor.placeholders import Placeholders
from alerta_opsgenie.vendor.redaction import map_texts

PAYLOADS = sorted((Path(__file__).parents[1] / "payloads").glob("*.json"))


def shape(value: Any) -> Any:
    """What a value is made of: its kinds, and its keys in order."""
    if isinstance(value, dict):
        return {str(number): shape(item) for number, item in enumerate(value.values())}
    return [shape(item) for item in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_structure_and_types_stay(path: Path) -> None:
    value = json.loads(path.read_text())
    assert shape(Placeholders().replace(value)) == shape(value)


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_no_text_that_a_person_could_have_chosen_is_left(path: Path) -> None:
    """Each text of each example becomes a secret of its own; none is found again."""
    planted: list[str] = []

    def plant(_text: str) -> str:
        planted.append(f"Zz-secret-{len(planted)}-zZ")
        return planted[-1]

    value = map_texts(json.loads(path.read_text()), plant)
    shown = json.dumps(Placeholders().replace(value))
    assert not [text for text in planted if text in shown]


def test_a_message_with_placeholders_is_read_the_same_except_for_names() -> None:
    text = (PAYLOADS[0].parent / "Acknowledge.oec.json").read_text()
    was, now = parse(text), parse(json.dumps(Placeholders().replace(json.loads(text))))
    assert (now.action, now.updated_ns) == (was.action, was.updated_ns)
    assert now.alert is not None
    assert now.alert["source"] == "Alerta"
    assert now.alert["alertId"].endswith("-1751623200123")
    assert str(now.alert["username"]).startswith("person")


@pytest.mark.parametrize(
    ("field", "value", "placeholder"),
    [
        ("snoozedUntil", "1751630400000", "1751630400000"),
        ("username", "System", "System"),
        ("username", "jane.doe@example.org", "person1@example.com"),
        ("username", "712020:9f8c1f3e-1111-4222-8333-444455556666", "712020:00000000-0000-4000-8000-000000000001"),
        ("note", "call 2025 at web01", "text 1"),
        ("note", "web01 9f8c1f3e-1111-4222-8333-444455556666", "text 1"),
        ("action", "Rotate the key of web01", "text 1"),
        ("tinyId", "4711", "0000"),
        ("queueUrl", "https://sqs.eu-west-1.amazonaws.com/1234/q", "https://example.com/1"),
        ("sessionToken", "abc", "***"),
        ("details", {"host": "web01", "n": 5}, {"key1": "text 2", "key3": 0}),
    ],
)
def test_each_kind_has_its_placeholder(field: str, value: Any, placeholder: Any) -> None:
    assert Placeholders().replace({field: value}) == {field: placeholder}


def test_equal_texts_have_equal_placeholders() -> None:
    shown = Placeholders().replace({"owner": "bob@example.org", "username": "bob@example.org", "note": "x"})
    assert shown["owner"] == shown["username"] != shown["note"]
