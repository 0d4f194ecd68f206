"""Answers of Alerta, messages of Opsgenie, and a function that runs a relay with both without a socket."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from alerta_opsgenie.core.message import Message, parse
from alerta_opsgenie.core.outcome import Answer, Kind, Outcome, Reason
from alerta_opsgenie.core.relay import relay
from alerta_opsgenie.core.task import AttemptContext, Call, Settings

ALIAS = "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"
JANE = "jane.doe@example.org"
BOB = "ops.bob@example.org"

UPDATED_NS = 1_751_623_260_456_000_789
"""`updatedAt` of each message here, and of the example messages."""

NOW_SECONDS = 1_751_623_261.0
"""A moment after that."""

OK = Answer(200, {"status": "ok"})
NOTED = Answer(201, {"status": "ok", "id": "0", "note": {}})


def ok_with_plugin(alert_status: str = "", who: str = JANE) -> Answer:
    """Return the answer of an Alerta with our plugin: it has the person's name and the alert's new status."""
    return Answer(200, {"status": "ok"}, on_behalf_of=who, alert_status=alert_status)


def error(status: int, text: str = "no") -> Answer:
    """Return an error in the shape of Alerta's own."""
    return Answer(status, {"status": "error", "code": status, "message": text, "errors": None, "requestId": "0"})


CONFLICT = error(409, "invalid action for current status")
STALE = error(409, "stale: something newer has happened to the alert")
NOT_FOUND = error(404, "not found")
WRONG_URL = error(404, "404 Not Found: The requested URL was not found on the server.")
HTML = Answer(200, None)


def seen(status: str, *history: dict[str, Any], clock_ahead_seconds: float = 0.0) -> Answer:
    """Return the answer to GET alert."""
    alert = {"id": ALIAS, "status": status, "history": list(history)}
    return Answer(200, {"status": "ok", "total": 1, "alert": alert}, clock_ahead_seconds=clock_ahead_seconds)


def line(text: str, at_seconds: float, status: str = "open", kind: str = "ack") -> dict[str, Any]:
    """Return a line of an alert's history."""
    moment = dt.datetime.fromtimestamp(at_seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return {"id": ALIAS, "text": text, "status": status, "type": kind, "updateTime": moment, "user": "bridge"}


def envelope(action: str, /, **alert: Any) -> dict[str, Any]:
    """Return an edge message; `alert` is laid over the usual fields, and a value of None takes a field away."""
    usual = {
        "alertId": "3f1c7a52-8d0e-4b6a-9c41-5e2b7f90d1aa-1751623200123",
        "alias": ALIAS,
        "source": "Alerta",
        "username": JANE,
        "updatedAt": UPDATED_NS,
    }
    fields = {name: value for name, value in {**usual, **alert}.items() if value is not None}
    return {"action": action, "source": {"name": "", "type": "web"}, "alert": fields, "integrationType": "OEC"}


def message(action: str, /, **alert: Any) -> Message:
    """Return the same, parsed."""
    return parse(json.dumps(envelope(action, **alert)))


def at(
    attempted_seconds_ago: float | None = None, superseded: Iterable[str] = (), now: float = NOW_SECONDS
) -> AttemptContext:
    """Return the context of a first attempt, or of one after an attempt of unknown end."""
    since = None if attempted_seconds_ago is None else now - attempted_seconds_ago
    return AttemptContext(now, since, frozenset(superseded))


class Played(NamedTuple):
    """The calls of a relay, and its outcome."""

    calls: list[Call]
    outcome: Outcome

    @property
    def ending(self) -> tuple[Kind, Reason]:
        """The outcome without its detail."""
        return self.outcome.kind, self.outcome.reason

    @property
    def asked(self) -> list[tuple[Any, ...]]:
        """The calls as (method, path behind the alert's, body without `bridge`)."""
        return [asked(call) for call in self.calls]


def asked(call: Call) -> tuple[Any, ...]:
    """Return a call as (method, path behind the alert's, body without `bridge`); the body only where there is one."""
    assert call.path.startswith(f"/alert/{ALIAS}"), call.path
    short = (call.method, call.path[len(f"/alert/{ALIAS}") :])
    if call.body is None:
        return short
    return (*short, {name: value for name, value in call.body.items() if name != "bridge"})


def play(
    about: Message,
    *answers: Answer,
    settings: Settings | None = None,
    context: AttemptContext | None = None,
) -> Played:
    """Run a relay with these answers; AssertionError if it makes more or fewer calls."""
    steps = relay(about, settings or Settings(), context or at())
    calls: list[Call] = []
    left = list(answers)
    try:
        call = next(steps)
        while True:
            calls.append(call)
            assert left, f"one call too many: {call}"
            call = steps.send(left.pop(0))
    except StopIteration as stop:
        assert not left, f"{len(left)} calls fewer than expected, after {calls}"
        return Played(calls, stop.value)


# -- Calls as shown in tables of expectations, and common outcomes


APPLIED = (Kind.APPLIED, Reason.DONE)
IGNORED_STALE = (Kind.IGNORED, Reason.STALE)


def act(action: str, text: str, **more: Any) -> tuple[Any, ...]:
    return ("PUT", "/action", {"action": action, "text": text, **more})


def attributes(**values: str | None) -> tuple[Any, ...]:
    """Return the call that sets attributes; with underscores for dashes."""
    return ("PUT", "/attributes", {"attributes": {name.replace("_", "-"): value for name, value in values.items()}})


def note(text: str) -> tuple[Any, ...]:
    return ("PUT", "/note", {"text": text})


def shelve(at_seconds: float, timeout: object = 3600) -> dict[str, Any]:
    """Return the line of history of a shelve."""
    return {**line("by somebody", at_seconds, "shelved", "shelve"), "timeout": timeout}
