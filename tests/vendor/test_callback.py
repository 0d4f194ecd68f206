"""The envelope as the connectors read it, the callback as they write it, and JEC's named pipe from both ends."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.vendor.callback import (
    LARGEST_CONTEXT_BYTES,
    CallbackPipe,
    Envelope,
    NotUnderstood,
    callback_body,
    http_response,
    read_envelope,
)
from alerta_opsgenie.vendor.config import JEC, OEC
from tests.support.edge_messages import ENTITY_ID, REQUEST_ID, edge_message
from tests.vendor.test_document import JSON_VALUES

_PAYLOADS = Path(__file__).parents[1] / "payloads"
ENVELOPE = Envelope("Close", "custom", REQUEST_ID, ENTITY_ID, "alert", discard_response=False)


def test_the_fields_that_the_connectors_look_at_are_read_from_values_and_from_text() -> None:
    message = edge_message("Close")
    assert read_envelope(message) == read_envelope(json.dumps(message)) == ENVELOPE


def test_keys_match_whatever_their_case_as_in_go() -> None:
    assert read_envelope({"ACTION": "Close", "Entity": {"ID": "x"}}).entity_id == "x"


def test_null_is_as_good_as_absent() -> None:
    message = {"action": "Close", "entity": None, "mappedActionV2": None, "discardScriptResponse": None}
    assert read_envelope(message) == Envelope("Close", "", "", "", "", discard_response=False)


@pytest.mark.parametrize("path", sorted(_PAYLOADS.glob("*.?ec.json")), ids=lambda path: path.name)
def test_each_message_of_the_collection_has_an_action(path: Path) -> None:
    assert read_envelope(path.read_text()).action


ENVELOPES = st.dictionaries(st.sampled_from(["action", "entity", "mappedActionV2", "actionType"]), JSON_VALUES)


@given(JSON_VALUES | ENVELOPES)
def test_any_json_is_an_envelope_or_not_understood(value: Any) -> None:
    messages: list[Any] = [json.dumps(value), *([value] if isinstance(value, dict) else [])]
    for message in messages:
        with suppress(NotUnderstood):
            assert read_envelope(message).action


def test_a_success_of_oec_and_of_jec() -> None:
    common = {
        "requestId": REQUEST_ID,
        "isSuccessful": True,
        "entityId": ENTITY_ID,
        "entityType": "alert",
        "action": "Close",
        "actionType": "custom",
    }
    assert callback_body(OEC, ENVELOPE, context="lost") == common
    assert callback_body(JEC, ENVELOPE, context="x") == {**common, "callbackContext": "x"}
    assert callback_body(JEC, ENVELOPE)["callbackContext"] == ""
    assert "requestId" not in callback_body(OEC, replace(ENVELOPE, request_id=""))


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ('{"headers":{"A":"b"},"body":"x","statusCode":200}', {"headers": {"A": "b"}, "body": "x", "statusCode": 200}),
        ("{}", {"headers": None, "body": "", "statusCode": 0}),
        ('{"HEADERS":null,"StatusCode":1}', {"headers": None, "body": "", "statusCode": 1}),
        ('{"headers":{"A":1}}', None),
        ('{"headers":[]}', None),
        ('{"body":5}', None),
        ('{"statusCode":true}', None),
        ('{"statusCode":"1"}', None),
        ('{"statusCode":0.5}', None),
        ("[]", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_the_answer_of_an_http_script_is_read_by_its_types(text: str, response: Any) -> None:
    assert http_response(text) == response


def context_of(directory: Path, *written: bytes) -> str:
    """Let a script write each text by an open pipe of its own; gives what JEC would pass on."""
    with CallbackPipe(str(directory)) as pipe:
        for data in written:
            with Path(pipe.path).open("wb", buffering=0) as file:
                file.write(data)
    return pipe.context


def test_the_pipe_is_its_users_alone_and_is_gone_afterwards(tmp_path: Path) -> None:
    with CallbackPipe(str(tmp_path)) as pipe:
        mode = Path(pipe.path).stat().st_mode
        assert (stat.S_ISFIFO(mode), mode & 0o777) == (True, 0o600)
        os.close(os.open(pipe.path, os.O_WRONLY | os.O_NONBLOCK))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("written", "context"),
    [
        ((), "Execution Finished!"),
        ((b"",), "Execution Finished!"),
        ((b"done",), "done"),
        ((b"first, ", b"second"), "first, second"),
        ((b"\0\0a\0",), "a"),
        ((b"\xff",), "\N{REPLACEMENT CHARACTER}"),
        ((b"x" * (LARGEST_CONTEXT_BYTES * 20),), "x" * LARGEST_CONTEXT_BYTES),
    ],
)
def test_what_is_written_is_the_context(tmp_path: Path, written: tuple[bytes, ...], context: str) -> None:
    assert context_of(tmp_path, *written) == context


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_there_under_its_name_is_left_alone(tmp_path: Path, kind: str) -> None:
    pipe = CallbackPipe(str(tmp_path))
    os.mkfifo(tmp_path / "other")
    Path(pipe.path).touch() if kind == "file" else Path(pipe.path).symlink_to(tmp_path / "other")
    before = Path(pipe.path).lstat()
    with pipe:
        pass
    assert (pipe.context, Path(pipe.path).lstat().st_ino) == ("", before.st_ino)
