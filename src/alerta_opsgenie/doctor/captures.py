"""Real messages and answers for the project's tests: the newest of each action, with placeholders for what is yours.

Whole messages are in the log that OEC and JEC keep of them (`oecQueueMessages-REGION-PID.log`, queue/poller.go of
opsgenie/oec and atlassian/jec); our own journal holds only what is needed of them. Answers are asked for here. The
channel of JEC's version 2 is not polled: what is taken there would be missed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Iterator

from alerta_opsgenie.connector.channel import AUTHENTICATE_PATH
from alerta_opsgenie.connector.credentials import credentials_path
from alerta_opsgenie.core.relay import PLANS
from alerta_opsgenie.doctor.http import NO_ANSWER, ask_vendor
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.logs import read_tail
from alerta_opsgenie.doctor.vendor_checks import ALERTS
from alerta_opsgenie.vendor.config import JEC
from alerta_opsgenie.vendor.placeholders import Placeholders

_MARK = "Message body: "
_MOST_FILES, _TAIL_BYTES = 5, 3 * 1024 * 1024
_KNOWN = {*PLANS, "Create"}


def capture(inst: Installation) -> dict[str, str]:
    """Give the captures by their names in `tests/payloads/`."""
    placeholders, found = Placeholders(), {}
    for message in _messages(inst):
        action = message.get("action")
        name = f"{action if action in _KNOWN else 'CustomAction'}.{inst.dialect}-captured.json"
        if name not in found:
            found[name] = _json(placeholders.replace(message))
    paths = {"credentials": credentials_path(inst.dialect, {}), "list": f"{ALERTS[inst.dialect]}?limit=1"}
    paths.update({"authenticate": AUTHENTICATE_PATH} if inst.dialect == JEC else {})
    for what, path in paths.items():
        answer = _answer(inst, path)
        if answer is not None:
            found[f"api.{what}.{inst.dialect}-captured.json"] = _json(placeholders.replace(answer))
    return found


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _messages(inst: Installation) -> Iterator[dict[str, Any]]:
    """Give the messages of the connector's logs, the newest first."""
    try:
        logs = [
            path for path in Path(inst.log_directory).iterdir() if re.match(rf"{inst.edge}QueueMessages-", path.name)
        ]
        logs.sort(key=lambda path: -path.lstat().st_mtime)
    except OSError:
        return
    for log in logs[:_MOST_FILES]:
        for line in reversed(read_tail(str(log), most_bytes=_TAIL_BYTES)):
            _before, mark, text = line.partition(_MARK)
            message = _read(text) if mark else None
            if message is not None:
                yield message


def _read(text: str) -> dict[str, Any] | None:
    """Read the JSON that a text begins with. Behind it are logrus's fields, which may have put it into quotes."""
    decoder = json.JSONDecoder()
    try:
        if text.startswith('{\\"'):
            text, _end = decoder.raw_decode(f'"{text}')
        value, _end = decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _answer(inst: Installation, path: str) -> dict[str, Any] | None:
    try:
        response = ask_vendor(inst, path)
    except NO_ANSWER:
        return None
    token, body = _read(response.headers.get("token", "")), _read(response.body.decode("utf-8", "replace"))
    return {"status": response.status, **({"Token": token} if token else {}), "body": body}
