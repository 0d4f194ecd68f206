"""Test one action end to end: make an alert in Alerta, act on it as the connector would, check it, remove it."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any, Iterator

from alerta_opsgenie.agent import client, handover
from alerta_opsgenie.agent.options import UsageError
from alerta_opsgenie.core.outcome import Kind
from alerta_opsgenie.doctor.alerta_checks import fields_of, try_call
from alerta_opsgenie.doctor.finding import CheckEndedError, Finding, fail, findings_of, ok, warn
from alerta_opsgenie.doctor.http import OK
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.vendor.config import NATIVE
from alerta_opsgenie.vendor.runner import ScriptHost, run_message

ACTOR = "alerta-opsgenie-doctor"  # the user of the test's action
NAME = "send-test"
_LIMIT_SECONDS = 30.0
_UNREACHED = fail("the test was not finished: Alerta is not reached", "follow the advice of the check alerta")


def send_test(inst: Installation) -> Iterator[Finding]:
    """Do the test. The alert is informational, and removed also if the test fails."""
    if not inst.access.url or not inst.alerta_key[0]:
        advice = "follow the advice of the checks above"
        raise CheckEndedError(fail("the test needs a configuration with Alerta's URL and key", advice))
    try:
        made = try_call(inst, "POST", "/alert", _alert(inst))
    except CheckEndedError:
        raise CheckEndedError(_UNREACHED) from None
    alert_id = str(made.body.get("id") or "") if made.ok else ""
    if not alert_id:
        advice = "follow the advice of the check alerta-key; a plugin of Alerta's may also refuse the alert"
        raise CheckEndedError(fail(f"no alert could be made: HTTP {made.status} {made.message}".rstrip(), advice))
    try:
        yield from [*findings_of(_act(inst, alert_id))] or [_UNREACHED]
    finally:
        removed = _remove(inst, alert_id)
    yield removed


def _alert(inst: Installation) -> dict[str, Any]:
    allowed = fields_of(try_call(inst, "GET", "/config")).get("environments")
    names = [str(name) for name in allowed] if isinstance(allowed, list) else []
    return {
        "resource": "alerta-opsgenie-doctor",
        "event": f"DoctorTest{uuid.uuid4().hex[:12]}",
        "environment": "Development" if "Development" in names or not names else names[0],
        "service": ["alerta-opsgenie"],
        # By default the plugin sends no alert of this severity, so nobody is paged.
        "severity": "informational",
        "text": "a test by alerta-opsgenie doctor, removed in a moment",
        "timeout": 300,
    }


def _act(inst: Installation, alert_id: str) -> Iterator[Finding]:
    source = next((name for name in inst.access.sources if name != "*"), "Alerta")
    message = json.dumps(message_of("Acknowledge", alert_id, ACTOR, source))
    began = time.monotonic()
    line = _submit_to_connector(inst, message) if inst.edge == NATIVE else _run_script(inst, message)
    seconds = time.monotonic() - began
    found = fields_of(try_call(inst, "GET", f"/alert/{alert_id}")).get("alert")
    alert: dict[str, Any] = found if isinstance(found, dict) else {}
    if alert.get("status") != "ack":
        advice = "look at the executor's log, and at which other plugins of Alerta's handle actions"
        what = f"the executor reported {line!r}, but the alert is {alert.get('status')}, not ack"
        raise CheckEndedError(fail(what, advice))
    user = next((str(one.get("user")) for one in reversed(alert.get("history") or []) if one.get("type") == "ack"), "?")
    yield ok(f"acknowledged, as the connector would have done it, in {seconds:.2f} s; its history shows {user}")


def message_of(action: str, alert: str, user: str, source: str, **fields: Any) -> dict[str, Any]:
    """Return a message as the vendor would send it now; `fields` are more fields of the alert."""
    return {
        "action": action,
        "actionType": "custom",
        "requestId": str(uuid.uuid4()),
        "source": {"name": "alerta-opsgenie", "type": "cli"},
        "alert": {"alias": alert, "source": source, "username": user, "updatedAt": time.time_ns(), **fields},
    }


def _failed(why: str) -> CheckEndedError:
    return CheckEndedError(fail(f"the action failed: {why}", "correct that cause, or see the check that reports it"))


def _run_script(inst: Installation, message: str) -> str:
    host = ScriptHost(environment=inst.service_environment, working_directory="/", time_limit_seconds=_LIMIT_SECONDS)
    result = run_message(inst.config, message, host=host)
    if result.dropped_reason is not None:
        raise _failed(f"the connector would drop it: {result.dropped_reason}")
    if result.failure:
        raise _failed(": ".join([result.failure, *result.stderr.strip().splitlines()[-1:]])[:400])
    return (result.stdout.strip().splitlines() or [""])[-1]


def _submit_to_connector(inst: Installation, message: str) -> str:
    """Submit the message to our own connector with the mapping's settings; return the outcome as one line."""
    if client.ask_status(inst.state_directory) is None:
        raise _failed(f"no connector answers in {inst.state_directory}")
    try:
        outcome = client.submit(inst.access.options(spoolDir=inst.state_directory), message).outcome
    except (UsageError, handover.NoAgentError) as error:
        raise _failed(str(error)) from None
    line = f"{outcome.kind.value}: {outcome.reason.value} {outcome.detail}".rstrip()
    if outcome.kind not in {Kind.APPLIED, Kind.ALREADY}:
        raise _failed(line)
    return line


def _remove(inst: Installation, alert_id: str) -> Finding:
    try:
        if try_call(inst, "DELETE", f"/alert/{alert_id}").status == OK:
            return ok("the test's alert is removed")
        try_call(inst, "PUT", f"/alert/{alert_id}/action", {"action": "close", "text": ACTOR})
    except CheckEndedError:
        return warn(f"the test's alert {alert_id} could not be removed: Alerta is not reached", "remove it in Alerta")
    return warn(f"the key may not delete: the test's alert {alert_id} is closed", "it expires by itself, or delete it")
