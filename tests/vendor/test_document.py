"""Reading the file: what the Go connectors would refuse is one clear error with its position, never anything else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from alerta_opsgenie.vendor.document import (
    DEEPEST_NESTING,
    LARGEST_FILE_BYTES,
    Document,
    load_document,
    parse_document,
    syntax_of,
)
from alerta_opsgenie.vendor.problems import ConfigError

JSON_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_a_json_document_becomes_plain_values() -> None:
    document = parse_document(b'{"a": {"b": [1, "x", null, true]}}', where="x.json")
    assert document == Document({"a": {"b": [1, "x", None, True]}}, "json", "x.json")
    assert type(document.value["a"]) is dict


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is not JSON"),
        (b'{\n  "a" 1\n}', "line 2 column 7"),
        (b"[]", "holds a list"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{\n"a": "\xff"}', "is not UTF-8 at line 2 (byte 8)"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b"[" * 100_000, f"nested more than {DEEPEST_NESTING} levels deep"),
        (b" " * (LARGEST_FILE_BYTES + 1), "is larger than 256 KiB"),
    ],
)
def test_an_invalid_document_is_refused_with_its_position(data: bytes, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_document(data, where="x.json")
    assert what in caught.value.what
    assert caught.value.where == "x.json"
    assert caught.value.advice


def test_of_repeated_keys_the_last_one_counts() -> None:
    document = parse_document(b'{"a": 1, "b": [{"c": 1, "c": 2}], "a": 3}')
    assert document.value == {"a": 3, "b": [{"c": 2}]}


def test_lone_surrogates_are_replaced_as_go_does() -> None:
    document = parse_document(rb'{"\ud800k": "a\udfffb", "fine": "\ud83d\ude00"}')
    assert document.value == {"\N{REPLACEMENT CHARACTER}k": "a\N{REPLACEMENT CHARACTER}b", "fine": "\N{GRINNING FACE}"}


class TestYaml:
    def parse(self, text: str) -> Document:
        return parse_document(text.encode(), syntax="yaml", where="x.yml")

    def test_numbers_are_numbers_in_sections_with_numbers_and_texts_elsewhere(self) -> None:
        text = "apiKey: 0123\nglobalArgs: [1.50, yes, '5']\npoolConf: {a: 5, c: 1.5, d: yes, e: '5'}\n"
        assert self.parse(text).value == {
            "apiKey": "0123",
            "globalArgs": ["1.50", "yes", "5"],
            "poolConf": {"a": 5, "c": 1.5, "d": True, "e": "5"},
        }

    def test_own_keys_and_earlier_sources_override_merged_keys(self) -> None:
        text = "x: &x {a: 1, b: 1}\ny: &y {a: 2, c: 2}\nz: {<<: [*x, *y], b: 3}\n"
        assert self.parse(text).value["z"] == {"a": "1", "b": "3", "c": "2"}

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("a: [1\nb: 2\n", "line 2, column 2"),
            ("- a\n- b\n", "holds a list"),
            ("a: " + "[" * 100 + "]" * 100, "nested more than"),
            ("a: &a [*a]\n", "recursive"),
            ("? [x]\n: y\n", "unhashable key"),
            ("a: \x01\n", "is not YAML"),
            ("<<: 5\n", "for merging"),
        ],
    )
    def test_invalid_yaml_is_refused(self, text: str, what: str) -> None:
        with pytest.raises(ConfigError) as caught:
            self.parse(text)
        assert what in caught.value.what
        assert "\n" not in caught.value.what


class TestFiles:
    @pytest.mark.parametrize(("name", "syntax"), [("A.JSON", "json"), ("a.yml", "yaml"), ("a.yaml", "yaml")])
    def test_the_ending_decides_the_syntax_as_in_go(self, name: str, syntax: str) -> None:
        assert syntax_of(name) == syntax

    @pytest.mark.parametrize("name", ["config", ".json.bak"])
    def test_other_endings_are_refused(self, name: str) -> None:
        with pytest.raises(ConfigError, match="has the ending"):
            syntax_of(name)

    def test_an_unreadable_file_is_wrong_usage_and_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        (tmp_path / "dir.json").mkdir()
        os.mkfifo(tmp_path / "fifo.json")
        (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
        for name, what in [
            ("gone.json", "No such file"),
            ("dir.json", "irectory"),
            ("fifo.json", "is not a plain file"),
            ("loop.json", "cannot be read"),
            ("nul\0.json", "null byte"),
        ]:
            with pytest.raises(ConfigError) as caught:
                load_document(tmp_path / name)
            assert what in caught.value.what
            assert caught.value.usage
