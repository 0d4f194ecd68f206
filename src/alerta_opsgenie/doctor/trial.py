"""The whole way once: an alert made in Alerta, acted on as the connector would, looked at, and removed again."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any, Iterator

from alerta_opsgenie.agent.options import read_options, split
from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.clients.connection import AddressError, UnreachableError
from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.outcome import Answer, Kind
from alerta_opsgenie.core.relay import Call
from alerta_opsgenie.doctor.alerta_checks import call
from alerta_opsgenie.doctor.finding import Finding, fail, ok, warn
from alerta_opsgenie.doctor.subject import Subject
from alerta_opsgenie.executor.delivery import Courier
from alerta_opsgenie.setup.as_user import CannotBecomeError, run_as
from alerta_opsgenie.vendor.config import NATIVE
from alerta_opsgenie.vendor.runner import Host, run_message

ACTOR = "alerta-opsgenie-doctor"
"""Who acts in the trial."""

NAME = "send-test"
_LIMIT_SECONDS = 60.0
_CREATED = 201
_OK, _FORBIDDEN = 200, 403


@dataclass(frozen=True)
class Ran:
    """How the action ended for the connector: `trouble` is empty where it was done, `line` is the executor's own."""

    trouble: str
    line: str
    seconds: float


def try_whole_way(subject: Subject) -> Iterator[Finding]:
    """Do the trial. The alert is informational, has the source of a test, and is removed whatever happens."""
    if subject.config is None or not subject.told.url or not subject.alerta_key[0]:
        yield fail("the trial needs a configuration with Alerta's URL and key", "mend what the checks above name")
        return
    try:
        made = call(subject, subject.told.url, Call("POST", "/alert", _alert(subject), ""))
    except (UnreachableError, AddressError) as error:
        yield fail(f"no alert could be made: {error}", "mend what the check alerta names")
        return
    alert_id = str(made.body.get("id") or "") if isinstance(made.body, dict) else ""
    if made.status not in {_OK, _CREATED} or not alert_id:
        mend = "mend what the check alerta-key names; a plugin of Alerta's may also refuse it"
        yield fail(f"no alert could be made: HTTP {made.status}{_said(made)}", mend)
        return
    try:
        yield from _act(subject, alert_id)
    finally:
        removed = _remove(subject, alert_id)
    yield removed


def _said(answer: Answer) -> str:
    text = answer.body.get("message") if isinstance(answer.body, dict) else None
    return f", {' '.join(str(text).split())[:200]}" if text else ""


def _alert(subject: Subject) -> dict[str, Any]:
    return {
        "resource": "alerta-opsgenie-doctor",
        "event": f"DoctorTest{uuid.uuid4().hex[:12]}",
        "environment": _environment(subject),
        "service": ["alerta-opsgenie"],
        # The plugin passes nothing of this severity on unless it is told to, so that nobody's phone rings.
        "severity": "informational",
        "text": "a test by alerta-opsgenie doctor, removed in a moment",
        "timeout": 300,
    }


def _environment(subject: Subject) -> str:
    """Choose an environment that this Alerta allows."""
    try:
        answer = call(subject, subject.told.url, Call("GET", "/config", None, ""))
    except (UnreachableError, AddressError):
        return "Development"
    allowed = answer.body.get("environments") if isinstance(answer.body, dict) else None
    names = [str(name) for name in allowed] if isinstance(allowed, list) else []
    return "Development" if "Development" in names or not names else names[0]


def _act(subject: Subject, alert_id: str) -> Iterator[Finding]:
    ran = run_action(subject, alert_id)
    if ran.trouble:
        yield fail(f"the action failed: {ran.trouble}", "mend what the line says, or the check above that names it")
        return
    try:
        answer = call(subject, subject.told.url, Call("GET", f"/alert/{alert_id}", None, ""))
    except (UnreachableError, AddressError) as error:
        yield fail(f"the alert could not be looked at: {error}", "mend what the check alerta names")
        return
    alert = answer.body.get("alert") if isinstance(answer.body, dict) else None
    yield from _judge_alert(alert if isinstance(alert, dict) else {}, ran)


def _judge_alert(alert: dict[str, Any], ran: Ran) -> Iterator[Finding]:
    status = alert.get("status")
    if status != "ack":
        mend = "look at the executor's log, and at which other plugins of Alerta's handle actions"
        yield fail(f"the executor said {ran.line!r}, but the alert is {status}, not ack", mend)
        return
    yield ok(f"acknowledged, as the connector would have done it, in {ran.seconds:.2f} s")
    acts = [entry for entry in alert.get("history") or [] if entry.get("type") == "ack" or entry.get("status") == "ack"]
    user = str(acts[-1].get("user")) if acts else ""
    if user == ACTOR:
        yield ok("Alerta's history shows the person who acted")
    elif user:
        yield ok(f"the key is {user}'s: without our plugin Alerta's history shows that user for everybody")


def run_action(subject: Subject, alert_id: str) -> Ran:
    """Do an Acknowledge as the connector: its user, its environment, its way to start scripts."""
    message = json.dumps(_message(subject, alert_id))
    person = subject.person
    if person is None:
        return Ran("nobody knows as whom the connector runs (--user NAME)", "", 0.0)
    work = _relay if subject.edge == NATIVE else _start
    began = time.monotonic()
    try:
        ended = run_as(person.uid, person.gid, lambda: work(subject, message), limit_seconds=_LIMIT_SECONDS)
    except CannotBecomeError as error:
        return Ran(f"it could not be done as {person.name}: {error}", "", 0.0)
    return Ran(ended["trouble"], ended["line"], time.monotonic() - began)


def _message(subject: Subject, alert_id: str) -> dict[str, Any]:
    source = next((name for name in subject.told.sources if name != "*"), "Alerta")
    return {
        "action": "Acknowledge",
        "actionType": "custom",
        "requestId": str(uuid.uuid4()),
        "source": {"name": "", "type": "web"},
        "entity": {"id": f"{uuid.uuid4()}-0", "type": "alert"},
        "alert": {
            "alertId": f"{uuid.uuid4()}-0",
            "alias": alert_id,
            "source": source,
            "username": ACTOR,
            "updatedAt": time.time_ns(),
        },
    }


def _start(subject: Subject, message: str) -> dict[str, str]:
    assert subject.config is not None  # noqa: S101 - looked at before
    host = Host(environment=subject.service_environment, working_directory="/", time_limit_seconds=_LIMIT_SECONDS / 2)
    result = run_message(subject.config, message, host=host)
    line = (result.stdout.strip().splitlines() or [""])[-1]
    if result.dropped_reason is not None:
        return {"trouble": f"the connector would drop it: {result.dropped_reason}", "line": line}
    if result.failure:
        said = result.stderr.strip().splitlines()
        return {"trouble": f"{result.failure}{': ' + said[-1][:300] if said else ''}", "line": line}
    return {"trouble": "", "line": line}


def _relay(subject: Subject, message: str) -> dict[str, str]:
    """Deliver it as the native connector does: in this process, by the settings of the mapping."""
    assert subject.config is not None  # noqa: S101 - looked at before
    found, _ = split([*subject.config.global_args, *(subject.mapping.args if subject.mapping else ())])
    variables = {
        **subject.service_environment,
        **subject.told.variables,
        "ALERTA_API_KEY": subject.alerta_key[0].reveal(),
    }
    options = read_options({**found, "drain": [], "alertaApiKeyFile": []}, (), variables)
    client = AlertaClient(options.alerta_url, options.alerta_key, ca_file=options.ca_file)
    courier = Courier(client, options.settings, subject.spool_directory)
    delivery = courier.deliver(parse(message), time.monotonic() + options.limit_seconds)
    outcome = delivery.outcome
    line = f"{outcome.kind.value}: {outcome.reason.value}{', ' + outcome.detail if outcome.detail else ''}"
    return {"trouble": "" if outcome.kind in {Kind.APPLIED, Kind.ALREADY} else line, "line": line}


def _remove(subject: Subject, alert_id: str) -> Finding:
    try:
        answer = call(subject, subject.told.url, Call("DELETE", f"/alert/{alert_id}", None, ""))
        if answer.status == _OK:
            return ok("the test's alert is removed")
        call(
            subject, subject.told.url, Call("PUT", f"/alert/{alert_id}/action", {"action": "close", "text": ACTOR}, "")
        )
    except (UnreachableError, AddressError) as error:
        return warn(f"the test's alert {alert_id} could not be removed: {error}", "remove it in Alerta")
    return warn(f"the key may not delete: the test's alert {alert_id} is closed", "it expires by itself, or delete it")
