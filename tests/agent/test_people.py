"""The people file: read again when it changes; its errors stop no action."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.intake import Request, read_request
from alerta_opsgenie.agent.options import Options, arguments_of, read_options, split
from alerta_opsgenie.agent.people import LARGEST_FILE_BYTES, PeopleFiles
from alerta_opsgenie.core.message import read_journal_body
from tests.support.answers import envelope

ID = "5b10ac8d82e05b22cc7d4ef5"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "people"
    made.write_text(f"{ID} = jane\n")
    return made


def test_a_file_is_read_again_when_it_has_changed(path: Path) -> None:
    files = PeopleFiles()
    assert files.of(str(path)) == {ID: "jane"}
    path.write_text(f"{ID} = jane.doe\n")
    assert files.of(str(path)) == {ID: "jane.doe"}


def test_a_file_that_has_not_changed_is_not_read(path: Path) -> None:
    files, stamp = PeopleFiles(), path.stat()
    files.of(str(path))
    path.write_text(f"{ID} = mary\n")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert files.of(str(path)) == {ID: "jane"}


def gone(path: Path) -> None:
    path.unlink()


def no_file(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (gone, "No such file"),
        (no_file, "directory"),
        (fifo, "it is no file"),
        (lambda path: path.write_text("x" * (LARGEST_FILE_BYTES + 1)), "at most 1048576 bytes"),
        (lambda path: path.write_bytes(b"\xff = jane"), "invalid start byte"),
        (lambda path: path.write_text("a secret"), "line 1 is not ID = LOGIN"),
    ],
)
def test_an_unusable_file_warns_once_counts_and_maps_no_id(
    path: Path, damage: Callable[[Path], Any], why: str
) -> None:
    warnings: list[str] = []
    files = PeopleFiles(warnings.append)
    damage(path)
    assert [files.of(str(path)), files.of(str(path))] == [{}, {}]
    assert files.failures == 2
    assert why in warnings[0]
    assert [files.problem()] == warnings
    assert "secret" not in warnings[0]


@pytest.mark.parametrize("damage", [no_file, fifo])
def test_an_unusable_file_leaves_no_descriptor_open(path: Path, damage: Callable[[Path], Any]) -> None:
    damage(path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    PeopleFiles().of(str(path))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_row_in_the_journal_has_the_name_and_the_message_s_own_key(path: Path) -> None:
    payload = json.dumps(envelope("Acknowledge", username=ID))
    options = Options("http://localhost", "key", people_file=str(path), spool_directory="/nowhere")
    ticket, new = Deliverer("/nowhere").read(Request(payload, options))
    _, plain, _ = read_request(Request(payload, options._replace(people_file="")))
    assert new is not None
    assert plain is not None
    assert new.key == plain.key
    assert read_journal_body(new.body, new.key).people == {ID: "jane"}
    assert ticket.message is not None


def test_the_path_travels_and_is_below_the_caller_s_directory() -> None:
    given = ["--alertaApiUrl=https://a.example.com", "--alertaApiKey=k", "--people", "who"]
    found, notes = split(given)
    options = read_options(found, notes, {}, "/etc/oec")
    again, _ = arguments_of(options)
    assert options.people_file == "/etc/oec/who"
    assert "--people=/etc/oec/who" in again


def test_a_corrected_file_is_no_problem_any_more(path: Path) -> None:
    files = PeopleFiles()
    text = path.read_text()
    path.write_text("nonsense")
    files.of(str(path))
    path.write_text(text)
    assert (files.of(str(path)), files.problem()) == ({ID: "jane"}, "")


def test_where_no_file_is_named_no_mapping_is_in_use() -> None:
    assert PeopleFiles().of("") is None
