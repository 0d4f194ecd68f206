"""The whole way once: an alert made in Alerta, acted on as the connector would, looked at, and removed again."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any, Iterator, NamedTuple

from alerta_opsgenie.agent import client, handover
from alerta_opsgenie.agent.options import UsageError
from alerta_opsgenie.core.outcome import Answer, Kind
from alerta_opsgenie.core.relay import Call
from alerta_opsgenie.doctor.alerta_checks import try_call
from alerta_opsgenie.doctor.finding import Finding, fail, ok, warn
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.vendor.config import NATIVE
from alerta_opsgenie.vendor.runner import Host, run_message

ACTOR = "alerta-opsgenie-doctor"
"""Who acts in the test."""

NAME = "send-test"
_LIMIT_SECONDS = 30.0
_OK, _CREATED = 200, 201


class Ran(NamedTuple):
    """How the action ended for the connector: `error` is empty where it was done, `line` is the executor's own."""

    error: str
    line: str


def send_test(inst: Installation) -> Iterator[Finding]:
    """Do the test. The alert is informational and removed whatever happens."""
    if inst.config is None or not inst.access.url or not inst.alerta_key[0]:
        yield fail("the test needs a configuration with Alerta's URL and key", "follow what the checks above advise")
        return
    made = try_call(inst, Call("POST", "/alert", _alert(inst), ""))
    if made is None:
        yield fail("no alert could be made: Alerta is not reached", "follow what the check alerta advises")
        return
    alert_id = str(made.body.get("id") or "") if isinstance(made.body, dict) else ""
    if made.status not in {_OK, _CREATED} or not alert_id:
        said = f", {made.message}" if made.message else ""
        advice = "follow what the check alerta-key advises; a plugin of Alerta's may also refuse the alert"
        yield fail(f"no alert could be made: HTTP {made.status}{said}", advice)
        return
    try:
        yield from _act(inst, alert_id)
    finally:
        removed = _remove(inst, alert_id)
    yield removed


def _alert(inst: Installation) -> dict[str, Any]:
    return {
        "resource": "alerta-opsgenie-doctor",
        "event": f"DoctorTest{uuid.uuid4().hex[:12]}",
        "environment": _environment(inst),
        "service": ["alerta-opsgenie"],
        # The plugin passes nothing of this severity on unless it is told to, so that nobody's phone rings.
        "severity": "informational",
        "text": "a test by alerta-opsgenie doctor, removed in a moment",
        "timeout": 300,
    }


def _environment(inst: Installation) -> str:
    """Choose an environment that this Alerta allows."""
    answer = try_call(inst, Call("GET", "/config", None, ""))
    allowed = answer.body.get("environments") if answer and isinstance(answer.body, dict) else None
    names = [str(name) for name in allowed] if isinstance(allowed, list) else []
    return "Development" if "Development" in names or not names else names[0]


def _act(inst: Installation, alert_id: str) -> Iterator[Finding]:
    message, began = json.dumps(_message(inst, alert_id)), time.monotonic()
    ran = _hand_over(inst, message) if inst.edge == NATIVE else _start(inst, message)
    seconds = time.monotonic() - began
    if ran.error:
        yield fail(f"the action failed: {ran.error}", "follow what the line says, or the check above that names it")
        return
    yield from _judge_alert(try_call(inst, Call("GET", f"/alert/{alert_id}", None, "")), ran, seconds)


def _judge_alert(answer: Answer | None, ran: Ran, seconds: float) -> Iterator[Finding]:
    if answer is None:
        yield fail("the alert could not be looked at: Alerta is not reached", "follow what the check alerta advises")
        return
    found = answer.body.get("alert") if isinstance(answer.body, dict) else None
    alert: dict[str, Any] = found if isinstance(found, dict) else {}
    status = alert.get("status")
    if status != "ack":
        advice = "look at the executor's log, and at which other plugins of Alerta's handle actions"
        yield fail(f"the executor said {ran.line!r}, but the alert is {status}, not ack", advice)
        return
    yield ok(f"acknowledged, as the connector would have done it, in {seconds:.2f} s")
    acts = [entry for entry in alert.get("history") or [] if entry.get("type") == "ack" or entry.get("status") == "ack"]
    user = str(acts[-1].get("user")) if acts else ""
    if user == ACTOR:
        yield ok("Alerta's history shows the person who acted")
    elif user:
        yield ok(f"the key is {user}'s: without our plugin Alerta's history shows that user for everybody")


def _message(inst: Installation, alert_id: str) -> dict[str, Any]:
    return {
        "action": "Acknowledge",
        "actionType": "custom",
        "requestId": str(uuid.uuid4()),
        "source": {"name": "", "type": "web"},
        "entity": {"id": f"{uuid.uuid4()}-0", "type": "alert"},
        "alert": {
            "alertId": f"{uuid.uuid4()}-0",
            "alias": alert_id,
            "source": next((name for name in inst.access.sources if name != "*"), "Alerta"),
            "username": ACTOR,
            "updatedAt": time.time_ns(),
        },
    }


def _start(inst: Installation, message: str) -> Ran:
    """Start the script as OEC and JEC do."""
    assert inst.config is not None  # noqa: S101 - looked at before
    host = Host(environment=inst.service_environment, working_directory="/", time_limit_seconds=_LIMIT_SECONDS)
    result = run_message(inst.config, message, host=host)
    line = (result.stdout.strip().splitlines() or [""])[-1]
    if result.dropped_reason is not None:
        return Ran(f"the connector would drop it: {result.dropped_reason}", line)
    said = result.stderr.strip().splitlines()[-1:]
    return Ran(": ".join([result.failure, *said])[:400] if result.failure else "", line)


def _hand_over(inst: Installation, message: str) -> Ran:
    """Hand it to our own connector, by the settings of the mapping."""
    if client.ask_status(inst.state_directory) is None:
        return Ran(f"no connector answers in {inst.state_directory}", "")
    try:
        reply = client.submit(inst.access.options(spoolDir=inst.state_directory), message)
    except (UsageError, handover.NoAgentError) as error:
        return Ran(str(error), "")
    outcome = reply.outcome
    line = f"{outcome.kind.value}: {outcome.reason.value}{', ' + outcome.detail if outcome.detail else ''}"
    return Ran("" if outcome.kind in {Kind.APPLIED, Kind.ALREADY} else line, line)


def _remove(inst: Installation, alert_id: str) -> Finding:
    removed = try_call(inst, Call("DELETE", f"/alert/{alert_id}", None, ""))
    if removed and removed.status == _OK:
        return ok("the test's alert is removed")
    close = Call("PUT", f"/alert/{alert_id}/action", {"action": "close", "text": ACTOR}, "")
    if removed is None or try_call(inst, close) is None:
        return warn(f"the test's alert {alert_id} could not be removed: Alerta is not reached", "remove it in Alerta")
    return warn(f"the key may not delete: the test's alert {alert_id} is closed", "it expires by itself, or delete it")
