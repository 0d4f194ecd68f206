"""The envelope as the connectors read it, the callback as they write it, and JEC's named pipe from both ends."""

from __future__ import annotations

import json
import os
import stat
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.callback import (
    LARGEST_CONTEXT_BYTES,
    Envelope,
    UnreadableMessageError,
    callback_body,
    callback_pipe,
    read_envelope,
)
from alerta_opsgenie.vendor.config import JEC, OEC, ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.runner import ScriptHost, run_message
from tests.support.edge_messages import ENTITY_ID, REQUEST_ID, edge_message, write_script
from tests.vendor.test_document import JSON_VALUES

_PAYLOADS = Path(__file__).parents[1] / "payloads"
ENVELOPE = Envelope("Close", "custom", REQUEST_ID, ENTITY_ID, "alert")


def test_an_envelope_is_read_from_values_and_from_text() -> None:
    message = edge_message("Close")
    assert read_envelope(message) == read_envelope(json.dumps(message)) == ENVELOPE


ENVELOPES = st.dictionaries(st.sampled_from(["action", "entity", "mappedActionV2", "actionType"]), JSON_VALUES)


@given(JSON_VALUES | ENVELOPES)
def test_any_json_is_an_envelope_or_an_unreadable_message(value: Any) -> None:
    messages: list[Any] = [json.dumps(value), *([value] if isinstance(value, dict) else [])]
    for message in messages:
        with suppress(UnreadableMessageError):
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


def context_of(directory: Path, script: str) -> str:
    """Run a shell script that writes to `$pipe`; gives what JEC would pass on."""
    path = write_script(directory / "script", f"#!/bin/sh\nfor pipe; do :; done\n{script}\n")
    config = EdgeConfig(JEC, Secret("k"), "https://x", {"Close": ActionMapping("Close", str(path))})
    result = run_message(config, edge_message("Close"), host=ScriptHost({"PATH": "/usr/bin:/bin"}, str(directory)))
    assert result.callback is not None
    assert list(directory.iterdir()) == [path]
    return str(result.callback["callbackContext"])


@pytest.mark.parametrize(
    ("script", "context"),
    [
        ("exit 0", "Execution Finished!"),
        ("printf first, > $pipe; printf second > $pipe", "first,second"),
        ("printf '\\377' > $pipe", "\N{REPLACEMENT CHARACTER}"),
        ("head -c 400000 /dev/zero | tr '\\0' x > $pipe", "x" * LARGEST_CONTEXT_BYTES),
    ],
)
def test_the_context_is_what_a_script_writes_into_the_pipe(tmp_path: Path, script: str, context: str) -> None:
    assert context_of(tmp_path, script) == context


def test_the_pipe_has_mode_0600(tmp_path: Path) -> None:
    with callback_pipe(str(tmp_path)) as (path, reader):
        mode = Path(path).stat().st_mode
        assert (reader is not None, stat.S_ISFIFO(mode), mode & 0o777) == (True, True, 0o600)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_an_existing_file_or_link_of_the_pipes_name_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: "x")
    path = tmp_path / "jecCallbackPipe-x"
    os.mkfifo(tmp_path / "other")
    path.touch() if kind == "file" else path.symlink_to(tmp_path / "other")
    before = path.lstat()
    with callback_pipe(str(tmp_path)) as (_, reader):
        assert reader is None
    assert path.lstat().st_ino == before.st_ino
