"""Helpers for tests with a real Alerta: a bridge that applies actions, and alerts in each state."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.clients.connection import UnreachableError
from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.outcome import Answer, Kind, Outcome, Reason
from alerta_opsgenie.core.relay import relay
from alerta_opsgenie.core.task import AttemptContext, Call, Settings, run_relay
from tests.support.answers import envelope
from tests.support.console import Console

APPLIED = (Kind.APPLIED, Reason.DONE)
IN_STATE = (Kind.ALREADY, Reason.IN_STATE)
LIMIT_SECONDS = 20.0
DEFAULT = Settings()


def end(outcome: Outcome) -> tuple[Kind, Reason]:
    return outcome.kind, outcome.reason


def in_minutes(minutes: float) -> int:
    return int((time.time() + minutes * 60) * 1000)


def newest(console: Console, alert_id: str, kind: str) -> dict[str, Any]:
    """Return the newest line of history of that kind; Alerta lists the oldest first."""
    return [line for line in console.history(alert_id) if line["type"] == kind][-1]


class Bridge:
    """Applies actions as a connector does; `calls` is the number of calls of the last one.

    With `with_plugin` it adds to Alerta's answers what our plugin would: the name, and the status after the call.
    """

    def __init__(self, url: str, key: str, console: Console, *, with_plugin: bool = False) -> None:
        self.client = AlertaClient(url, key, environment={})
        self.console = console
        self.with_plugin = with_plugin
        self.calls = 0

    def do(
        self,
        action: str,
        alert_id: str,
        *,
        settings: Settings = DEFAULT,
        attempted_at: float | None = None,
        superseded: frozenset[str] = frozenset(),
        **alert: Any,
    ) -> Outcome:
        before = self.client.calls
        about = parse(json.dumps(envelope(action, alias=alert_id, **{"updatedAt": time.time_ns(), **alert})))
        try:
            outcome = run_relay(
                relay(about, settings, AttemptContext(time.time(), attempted_at, superseded)), self._send
            )
        except UnreachableError as error:
            outcome = Outcome(Kind.KEPT, Reason.TIMEOUT if error.timed_out else Reason.NETWORK, str(error))
        self.calls = self.client.calls - before
        return outcome

    def _send(self, call: Call) -> Answer:
        answer = self.client.send(call, time.monotonic() + LIMIT_SECONDS)
        if self.with_plugin and answer.ok and call.path.endswith(("/action", "/status")):
            status = self.console.status(call.path.split("/")[2])
            return answer._replace(on_behalf_of=call.on_behalf_of, alert_status=status)
        return answer


_ACTIONS = {"ack": ("ack",), "closed": ("close",), "shelved": ("shelve",), "shelved from ack": ("ack", "shelve")}
_STATUSES = ("expired", "blackout", "assign")


class Made:
    """Alerts in each state, made at the console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, state: str) -> str:
        if state == "raised then ack":
            return self._raised_then_ack()
        assert state in {"open", *_ACTIONS, *_STATUSES}
        alert_id = str(self.console.create_alert()["id"])
        for action in _ACTIONS.get(state, ()):
            self.console.action(alert_id, action, "by a person")
        if state in _STATUSES:
            self.console.set_status(alert_id, state)
        return alert_id

    def _raised_then_ack(self) -> str:
        """Acknowledged when its severity had risen: what Alerta's own `assign` re-opens."""
        unique = uuid.uuid4().hex
        alert_id = ""
        for severity in ("minor", "major"):
            alert_id = self.console.create_alert(resource=unique, event="E", severity=severity)["id"]
        self.console.action(alert_id, "ack", "by a person")
        return alert_id

    def beside_another(self, status: str, others_status: str) -> str:
        """Return an alert in one status whose newest line of history, for Alerta's state machine, has another.

        The lines of an alert that names this one's event in its `correlate` count as this one's.
        """
        unique = uuid.uuid4().hex
        alert_id = str(self.console.create_alert(resource=unique, event="Down")["id"])
        self._bring_to(alert_id, status)
        other = self.console.create_alert(resource=unique, event="Slow", correlate=["Slow", "Down"])
        self._bring_to(str(other["id"]), others_status)
        return alert_id

    def _bring_to(self, alert_id: str, status: str) -> None:
        if status != "open":
            self.console.action(alert_id, _ACTIONS[status][0], "by a person")
