"""YAML as yaml.v2 reads it into the connectors' configuration."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from alerta_opsgenie.vendor.yaml_nodes import NodeReader


def read(text: str, **limits: int) -> tuple[Any, NodeReader]:
    reader = NodeReader(**{"deepest": 10, "most_nodes": 100, **limits})
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None
    return reader.read(root), reader


def test_an_anchor_serves_several_mappings() -> None:
    value, _ = read("Ack: &same {filepath: /a, env: []}\nClose: *same\n")
    assert value["Close"] == {"filepath": "/a", "env": []}


def test_a_merge_gives_what_the_object_itself_does_not_say() -> None:
    value, reader = read("base: &b {x: 1, y: 1}\na: {<<: *b, y: 2}\nb: {y: 3, <<: *b}\n")
    assert value["a"] == {"x": 1, "y": 2}
    assert value["b"] == {"x": 1, "y": 3}
    assert reader.repeated == []


def test_the_first_of_several_merges_goes_before_the_later_ones() -> None:
    value, _ = read("p: &p {x: 1}\nq: &q {x: 2, y: 2}\na: {<<: [*p, *q]}\n")
    assert value["a"] == {"x": 1, "y": 2}


def test_keys_are_texts_whatever_they_look_like() -> None:
    value, _ = read("1: a\nyes: b\nnull: c\n2026-01-02: d\n")
    assert value == {"1": "a", "yes": "b", "null": "c", "2026-01-02": "d"}


def test_dates_and_own_tags_stay_texts() -> None:
    value, _ = read("a: 2026-01-02\nb: !mine x\n")
    assert value == {"a": "2026-01-02", "b": "x"}


def test_keys_that_stand_twice_are_remembered_with_their_place() -> None:
    value, reader = read("a: {b: 1, b: 2}\n")
    assert value == {"a": {"b": 2}}
    assert reader.repeated == [("a", "b")]


@pytest.mark.parametrize(
    ("text", "limits"),
    [("a: [1, 2, 3]\n", {"most_nodes": 4}), ("a: {b: {c: 1}}\n", {"deepest": 2})],
)
def test_limits_are_kept(text: str, limits: dict[str, int]) -> None:
    with pytest.raises(yaml.MarkedYAMLError):
        read(text, **limits)
    read(text, **{name: limit + 1 for name, limit in limits.items()})
