"""The relay's calls, made in Alerta's own process: the same functions that Alerta's views call, in the same order.

So plugins, state machine, history and audit trail work as they do for a call by HTTP
(alerta 9.1.0, views/alerts.py). The database's own errors come back as a 500, which keeps the message for another try.
"""

from typing import Any, Callable, Dict, Mapping, Optional

from alerta.exceptions import AlertaException, ApiError, ForwardingLoop, InvalidAction, RejectException
from alerta.models.alert import Alert
from alerta.plugins import PluginBase
from alerta.utils.api import process_action, process_delete, process_note, process_status
from alerta.utils.audit import write_audit_trail
from flask import g, json, request

from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.core.relay import Call
from alerta_opsgenie.core.same_act import NOTE
from alerta_opsgenie.plugin import LOG, alarm, attribution, lease, order, state
from alerta_opsgenie.plugin.alert_values import newest_timeout_seconds, word_of
from alerta_opsgenie.plugin.people import name_owner

HAS_POST_ACTION = hasattr(PluginBase, "post_action")
"""Alerta has the hook since 9.0.4."""

_OK: Mapping[str, str] = {"status": "ok"}
_Handler = Callable[[Alert, Mapping[str, Any], attribution.Behalf], Answer]


def perform(call: Call, *, lend_name: bool) -> Answer:
    """Do one call of the relay's. `lend_name`: it is done under the person's name, and Opsgenie is not told of it."""
    _, _, alert_id, *rest = call.path.split("/")
    handler = _HANDLERS.get((call.method, rest[0] if rest else ""))
    body = dict(call.body or {})
    said = body.pop("bridge", None)
    # Only the bridge's own times put actions in order; nobody else's make others stale.
    behalf = attribution.read_behalf(call.on_behalf_of, said if lend_name else None, body.get("timeout"))
    if handler is None:
        return _refused(405, f"no such call: {call.method}")
    if lend_name:
        attribution.act_for(behalf)
    return _run(handler, alert_id, body, behalf)._replace(on_behalf_of=behalf.person if lend_name else "")


def _run(handler: _Handler, alert_id: str, body: Dict[str, Any], behalf: attribution.Behalf) -> Answer:
    try:
        lease.take(alert_id)
        alert = Alert.find_by_id(alert_id, g.get("customers"))
        if alert is None or alert.id.lower() != alert_id.lower():
            return _refused(404, "not found")
        alarm.translate(alert, body)
        return handler(alert, body, behalf)
    except InvalidAction as error:
        return _refused(409, str(error))
    except RejectException as error:
        return _refused(400, str(error))
    except ForwardingLoop as error:
        said = {**_OK, "message": str(error)}
        return Answer(200 if str(error) in (order.REDELIVERED, order.MERGED) else 202, said)
    except (AlertaException, ApiError) as error:
        return _refused(error.code, error.message)
    except Exception as error:  # noqa: BLE001 - as Alerta's views do, and logged
        LOG.exception("opsgenie: Alerta failed at what the webhook asked for")
        return _refused(500, str(error))


def _refused(status: int, message: str) -> Answer:
    return Answer(status, {"status": "error", "message": message})


def _look(alert: Alert, _body: Mapping[str, Any], _behalf: attribution.Behalf) -> Answer:
    return _said(alert, {"alert": alert.serialize})


def _notes(alert: Alert, _body: Mapping[str, Any], _behalf: attribution.Behalf) -> Answer:
    return _said(alert, {"notes": [note.serialize for note in alert.get_alert_notes()]})


def _act(alert: Alert, body: Mapping[str, Any], _behalf: attribution.Behalf) -> Answer:
    text, timeout = str(body.get("text", "")), body.get("timeout")
    alert, action, text, timeout = process_action(alert, body["action"], text, timeout)
    alert = alert.from_action(action, text, timeout)
    if HAS_POST_ACTION:
        alert, action, text, timeout = process_action(alert, action, text, timeout, post_action=True)
    _audit("alert-actioned", text, alert.id)
    return _said(alert)


def _set_status(alert: Alert, body: Mapping[str, Any], behalf: attribution.Behalf) -> Answer:
    order.check_state(alert, behalf)
    alert, status, text = process_status(alert, body["status"], behalf.text or str(body.get("text", "")))
    alert = alert.from_status(status, text, None)
    _audit("alert-status-changed", text, alert.id)
    return _said(alert)


def _note(alert: Alert, body: Mapping[str, Any], behalf: attribution.Behalf) -> Answer:
    alert, text = process_note(alert, str(body["text"]))
    note = alert.add_note(text)
    if attribution.by_bridge():
        order.remember(alert.id, order.act_of(NOTE, behalf))
    _audit("alert-note-added", "", note.id, kind="note")
    return _said(alert)


def _tag(alert: Alert, body: Mapping[str, Any], behalf: attribution.Behalf) -> Answer:
    return _change_tags(alert, body, behalf, "alert-tagged", alert.tag)


def _untag(alert: Alert, body: Mapping[str, Any], behalf: attribution.Behalf) -> Answer:
    return _change_tags(alert, body, behalf, "alert-untagged", alert.untag)


def _change_tags(
    alert: Alert, body: Mapping[str, Any], behalf: attribution.Behalf, event: str, change: Callable[[Any], object]
) -> Answer:
    tags = order.fresh_tags(alert, body["tags"], behalf.updated_ns)
    _audit(event, "", alert.id)
    change(tags)
    order.write_tags(alert.id, tags, behalf.updated_ns)
    return _said(alert)


def _set_attributes(alert: Alert, body: Mapping[str, Any], behalf: attribution.Behalf) -> Answer:
    attributes: Dict[str, Any] = dict(body["attributes"])
    if attribution.by_bridge():
        name_owner(alert, attributes)
    order.claim_attributes(alert, attributes, behalf.updated_ns)
    _audit("alert-attributes-updated", "", alert.id)
    alert.update_attributes(attributes)
    return _said(alert)


def _delete(alert: Alert, _body: Mapping[str, Any], _behalf: attribution.Behalf) -> Answer:
    if not process_delete(alert):
        return _refused(500, "failed to delete alert")
    _audit("alert-deleted", "", alert.id)
    return Answer(200, _OK)


_HANDLERS: Mapping["tuple[str, str]", _Handler] = {
    ("GET", ""): _look,
    ("GET", "notes"): _notes,
    ("PUT", "action"): _act,
    ("PUT", "status"): _set_status,
    ("PUT", "note"): _note,
    ("PUT", "tag"): _tag,
    ("PUT", "untag"): _untag,
    ("PUT", "attributes"): _set_attributes,
    ("DELETE", ""): _delete,
}


def _said(alert: Alert, content: Mapping[str, Any] = {}) -> Answer:
    """Answer as Alerta's API would, instants as texts."""
    body: Any = json.loads(json.dumps({**_OK, **content}))
    timeout_seconds = newest_timeout_seconds(alert)
    return Answer(200, body, alert_status=word_of(alert.status), alert_timeout_seconds=timeout_seconds)


def _audit(event: str, message: str, resource_id: Optional[str], *, kind: str = "alert") -> None:
    write_audit_trail.send(
        state.application(),
        event=event,
        message=message,
        user=g.get("login"),
        customers=g.get("customers"),
        scopes=g.get("scopes"),
        resource_id=resource_id,
        type=kind,
        request=request,
    )
