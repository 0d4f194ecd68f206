"""The plugin `opsgenie`: sends what happens in Alerta to Opsgenie or JSM, under the names of the people who act.

- `post_receive`: new and repeated alerts. `post_action`: actions of people and of housekeeping, once written.
- `status_change` runs before Alerta writes the status. For PUT /status, chat webhooks, bulk actions, and all actions up
  to alerta 9.0.3 no later hook follows. So the change is kept as pending. If no later hook sends it, it is sent at the
  end of the request if the alert then has that status. Outside of a request it is sent at once.
- `take_note` and `delete` run before the change too. They are sent once the request has succeeded.

With one product, actions of the bridge are not sent. With two, they are sent to both, also to the one that they came
from, where they change nothing.
"""

import time
from functools import partial
from typing import Any, Dict, NamedTuple, Optional, Tuple

from alerta.exceptions import ForwardingLoop, RejectException
from alerta.models.alert import Alert
from alerta.plugins import PluginBase
from alerta.version import __version__
from flask import Flask, Response, g, has_app_context, has_request_context, jsonify, request

from alerta_opsgenie.core.agreed import expected_state
from alerta_opsgenie.core.duplicates import ACTION, NOTE
from alerta_opsgenie.core.events import Event, changes, end_of, may_have_earlier_outage, receipt
from alerta_opsgenie.core.history import ENDED
from alerta_opsgenie.core.publish import LONGEST_SNOOZE_SECONDS, AlertEvent
from alerta_opsgenie.core.wording import AlertValues
from alerta_opsgenie.plugin import (
    arrivals,
    attribution,
    callers,
    figures,
    guard,
    heartbeat,
    host,
    housekeeping,
    lease,
    order,
    reconcile,
    state,
    uwsgi,
)
from alerta_opsgenie.plugin.alert_values import usual_status, values_of
from alerta_opsgenie.plugin.guard import guarded
from alerta_opsgenie.plugin.people import account_of, address_of, name_person

_LATE_SECONDS = 300.0
_LONGEST_DELAY_SECONDS = 30 * 86400.0  # a longer delay is taken as a wrong clock


def _start_sending(app: Flask) -> None:
    with app.app_context():
        guard.attempt("uWSGI's timer", lambda: state.process().start())


class OpsgeniePlugin(PluginBase):  # type: ignore[misc]
    """Send alerts and actions to Opsgenie or JSM Operations; let the bridge act under people's names."""

    def __init__(self, name: Optional[str] = None) -> None:
        super().__init__(name)
        host.check_version(__version__)
        state.enable()
        attribution.install()
        callers.install()
        housekeeping.install()
        lease.install()
        uwsgi.install(_start_sending)
        for module in (reconcile, figures, heartbeat):
            state.add_duty(module.duty)

    @guarded(lambda alert: alert)
    def pre_receive(self, alert: Alert, **_: Any) -> Alert:
        """Remove the attribute that only the plugin may write."""
        alert.attributes.pop(order.ATTRIBUTE, None)
        return alert

    @guarded(lambda _alert: None)
    def post_receive(self, alert: Alert, **_: Any) -> None:
        """Send a new alert, a new severity, or the end of an alert."""
        _pending().pop(alert.id)
        values = values_of(alert)
        events = receipt(values)
        if events == (Event.REPEATED,) and state.process().was_never_sent(values):
            events = changes("closed", values.status, "")
        _send(values, events, "")

    @guarded(lambda _alert: None)
    def take_action(self, alert: Alert, action: str, text: str, **kwargs: Any) -> Any:
        """Before an action: refuse it if too early, stale or a duplicate; set the person's text and timeout."""
        _pending().actions[alert.id] = action
        if action == "timeout" and housekeeping.is_too_early(alert, time.time()):
            raise RejectException(f"the time of alert {alert.id} is not over")
        call = attribution.bridge_call()
        if call is None:
            return None
        if call.integration:  # a custom action, which adds a line to the history each time
            order.refuse_duplicate(alert, order.act_of(ACTION, call))
        order.refuse_stale(alert, call, may_be_no_op=True)
        timeout = kwargs.get("timeout") if call.timeout_seconds is None else call.timeout_seconds
        return alert, action, call.text or text, timeout

    @guarded(lambda _alert: None)
    def post_action(self, alert: Alert, action: str, text: Any, **_: Any) -> None:
        """After an action: send it."""
        status = usual_status(alert.status)
        pending = _pending().pop(alert.id)
        attribution.note_status(status)
        attribution.note_timeout(alert)
        _send(values_of(alert), changes(pending.before if pending else status, status, action), text)

    @guarded(lambda _alert: None)
    def status_change(self, alert: Alert, status: str, text: Any, **_: Any) -> Any:
        """Before a status is written: keep the change as pending."""
        before, after = usual_status(alert.status), usual_status(status)
        attribution.note_status(after)
        comes_again = before in ENDED and after not in ENDED and may_have_earlier_outage(values_of(alert))
        if comes_again:
            order.record_opened(alert)
        call = attribution.bridge_call()
        if call is not None and request.endpoint == "api.set_status":
            order.refuse_stale(alert, call)
            return alert, status, call.text or text
        action = _pending().actions.pop(alert.id, "")
        if action:
            _set_person(alert, action, call)
        if action or before != after:
            _pending().add(StatusChange(alert.id, before, after, _text_or_empty(text), action), alert)
        return (alert, status, text) if comes_again else None  # Alerta writes the attributes only if this returns them

    @guarded(lambda _alert: None)
    def take_note(self, alert: Alert, text: Any, **_: Any) -> Any:
        """Before a note: of the bridge, set the person's text or refuse a duplicate; else send it."""
        call = attribution.bridge_call()
        if call is not None:
            return _take_bridge_note(call, alert, _text_or_empty(text))
        if text and not (has_request_context() and request.endpoint == "api.update_note"):
            values = values_of(alert)
            guard.after_success("sending a note", lambda: _send(values, (Event.NOTED,), text))
        return None

    @guarded(lambda _alert: True)
    def delete(self, alert: Alert, **_: Any) -> bool:
        """Before an alert is deleted: refuse a stale request; send the delete once it is done."""
        call = attribution.bridge_call()
        if call is not None:
            order.refuse_stale(alert, call)
        values = values_of(alert)
        guard.after_success("sending a delete", lambda: _send(values, (Event.DELETED,), ""))
        return True


# -- Changes that no hook has sent yet


class StatusChange(NamedTuple):
    """A change of status that Alerta is about to write."""

    alert_id: str
    before: str
    after: str
    text: str
    action: str


class PendingChanges:
    """What the hooks of one request pass on: per alert its action, and its change of status until it is sent."""

    def __init__(self) -> None:
        self.actions: Dict[str, str] = {}
        self._changes: Dict[str, StatusChange] = {}

    def add(self, change: StatusChange, alert: Alert) -> None:
        """Keep a change, which a later hook or the end of the request sends."""
        if not has_request_context():
            values = values_of(alert)._replace(status=change.after)
            _send(values, changes(change.before, change.after, change.action), change.text)
            return
        if not self._changes:
            guard.after_request("sending a change of status", self._send_rest)
        first = self._changes.get(change.alert_id, change)
        self._changes[change.alert_id] = change._replace(before=first.before)

    def pop(self, alert_id: str) -> Optional[StatusChange]:
        """Remove and return the change of an alert: the calling hook sends it."""
        return self._changes.pop(alert_id, None)

    def _send_rest(self, _response: Response) -> None:
        """Send the changes that no other hook sent, if Alerta wrote them."""
        for change in list(self._changes.values()):
            alert = Alert.find_by_id(change.alert_id)
            if alert and usual_status(alert.status) == change.after:
                _send(values_of(alert), changes(change.before, change.after, change.action), change.text)
        self._changes.clear()


def _pending() -> PendingChanges:
    found: Optional[PendingChanges] = g.get("opsgenie_pending")
    if found is None:
        found = g.opsgenie_pending = PendingChanges()
    return found


def _set_person(alert: Alert, action: str, call: Optional[attribution.BridgeCall]) -> None:
    """Set the attributes with the person's name. Alerta's state machine has accepted the action, and writes them."""
    if action == "unack":
        alert.attributes.update(dict.fromkeys(("acked-by", "acked-by-id")))  # removes them, on MongoDB too
    if call is None:
        return
    if action == "ack":
        name_person(alert, alert.attributes, "acked-by", call.person, call.person_id)
    if call.is_ahead:
        order.record_state(alert, call)


# -- Sending


def _send(values: AlertValues, events: Tuple[Event, ...], text: Any) -> None:
    """Put the requests for some events into the outbox.

    Actions of the bridge are sent only while two products run side by side.
    """
    process = state.process()
    if not process.sends:
        return
    by_bridge = attribution.by_bridge()
    if by_bridge and not g.get("opsgenie_reconcile"):
        arrivals.note_message(process)
    if by_bridge and not process.also:
        if events != (Event.NOTED,):
            _send_delay_note(process, values, events)
            at_vendor = values._replace(status="closed") if Event.DELETED in events else values
            process.note_agreed(values.id, lambda agreed: expected_state(at_vendor, process.settings.policy, agreed))
        return
    if Event.ASSIGNED in events:
        values = values._replace(account=account_of(values.owner or _login()))
    acts = [_alert_event(event, values, "" if by_bridge else _text_or_empty(text)) for event in events]
    for one in process.destinations if acts else ():
        one.send(values, acts, is_crossing=by_bridge)


def _send_delay_note(process: state.Process, values: AlertValues, events: Tuple[Event, ...]) -> None:
    """Send a note for the vendor's alert if an action of a person at the vendor arrived in Alerta late."""
    call = attribution.bridge_call()
    if call is None or not call.updated_ns or not events or g.get("opsgenie_reconcile"):
        return
    delay_seconds = time.time() - call.updated_ns / 1e9
    if _LATE_SECONDS <= delay_seconds < _LONGEST_DELAY_SECONDS:
        text = f"{events[0].value} by {call.person} came to Alerta {delay_seconds / 60:.0f} minutes late"
        process.note(values, text)


def _text_or_empty(text: Any) -> str:
    """Return a person's text; empty for None and numbers, which Alerta accepts as a text too."""
    return text if isinstance(text, str) else ""


def _login() -> str:
    return str(g.get("login") or "") if has_app_context() else ""


def _alert_event(event: Event, values: AlertValues, text: str) -> AlertEvent:
    actor = address_of(_login())
    until = None
    if event is Event.SHELVED:
        until = end_of(values, "shelve") or time.time() + LONGEST_SNOOZE_SECONDS
    return AlertEvent(event, actor, text, until)


# -- Notes of the bridge


def _take_bridge_note(call: attribution.BridgeCall, alert: Alert, text: str) -> Tuple[Alert, str]:
    arrivals.note_message(state.process())
    act = order.act_of(NOTE, call if call.words else call._replace(words=text))
    reason = order.skip_reason(alert, act)
    if reason:
        guard.after_request("the response for a duplicate note", partial(_success, reason))
        raise ForwardingLoop(reason)
    guard.after_success("recording a note", partial(order.record_act, str(alert.id), act))
    return alert, call.text or text


def _success(message: str, response: Response) -> Response:
    """Replace Alerta's refusal of a duplicate note by a success: the alert has the note."""
    success: Response = jsonify(status="ok", message=message)
    success.headers.extend(
        [(name, value) for name, value in response.headers if name.lower().startswith(("x-", "access-control-"))]
    )
    return success
