"""The whole way once: an alert made in Alerta, acted on as the connector would, looked at, and removed again."""

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

ACTOR = "alerta-opsgenie-doctor"  # who acts in the test
NAME = "send-test"
_LIMIT_SECONDS = 30.0
_UNREACHED = fail("the test did not come to its end: Alerta is not reached", "follow what the check alerta advises")


def send_test(inst: Installation) -> Iterator[Finding]:
    """Do the test. The alert is informational and removed whatever happens."""
    if not inst.access.url or not inst.alerta_key[0]:
        advice = "follow what the checks above advise"
        raise CheckEndedError(fail("the test needs a configuration with Alerta's URL and key", advice))
    try:
        made = try_call(inst, "POST", "/alert", _alert(inst))
    except CheckEndedError:
        raise CheckEndedError(_UNREACHED) from None
    alert_id = str(made.body.get("id") or "") if made.ok else ""
    if not alert_id:
        advice = "follow what the check alerta-key advises; a plugin of Alerta's may also refuse the alert"
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
        # The plugin passes nothing of this severity on unless it is told to, so that nobody's phone rings.
        "severity": "informational",
        "text": "a test by alerta-opsgenie doctor, removed in a moment",
        "timeout": 300,
    }


def _act(inst: Installation, alert_id: str) -> Iterator[Finding]:
    source = next((name for name in inst.access.sources if name != "*"), "Alerta")
    message = json.dumps(message_of("Acknowledge", alert_id, ACTOR, source))
    began = time.monotonic()
    line = _hand_over(inst, message) if inst.edge == NATIVE else _start(inst, message)
    seconds = time.monotonic() - began
    found = fields_of(try_call(inst, "GET", f"/alert/{alert_id}")).get("alert")
    alert: dict[str, Any] = found if isinstance(found, dict) else {}
    if alert.get("status") != "ack":
        advice = "look at the executor's log, and at which other plugins of Alerta's handle actions"
        what = f"the executor said {line!r}, but the alert is {alert.get('status')}, not ack"
        raise CheckEndedError(fail(what, advice))
    user = next((str(one.get("user")) for one in reversed(alert.get("history") or []) if one.get("type") == "ack"), "?")
    yield ok(f"acknowledged, as the connector would have done it, in {seconds:.2f} s; its history shows {user}")


def message_of(action: str, alert: str, user: str, source: str, **fields: Any) -> dict[str, Any]:
    """Make a message as the vendor would send it now; `fields` are more of the alert's."""
    return {
        "action": action,
        "actionType": "custom",
        "requestId": str(uuid.uuid4()),
        "source": {"name": "alerta-opsgenie", "type": "cli"},
        "alert": {"alias": alert, "source": source, "username": user, "updatedAt": time.time_ns(), **fields},
    }


def _failed(why: str) -> CheckEndedError:
    return CheckEndedError(fail(f"the action failed: {why}", "follow what the line says, or the check that names it"))


def _start(inst: Installation, message: str) -> str:
    host = ScriptHost(environment=inst.service_environment, working_directory="/", time_limit_seconds=_LIMIT_SECONDS)
    result = run_message(inst.config, message, host=host)
    if result.dropped_reason is not None:
        raise _failed(f"the connector would drop it: {result.dropped_reason}")
    if result.failure:
        raise _failed(": ".join([result.failure, *result.stderr.strip().splitlines()[-1:]])[:400])
    return (result.stdout.strip().splitlines() or [""])[-1]


def _hand_over(inst: Installation, message: str) -> str:
    """Hand it to our own connector, by the settings of the mapping; gives the outcome as the executor prints it."""
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
