"""The plugin `opsgenie`: what happens in Alerta is told to Opsgenie or JSM, under the names of those who did it.

- `post_receive`: alerts that come in. `post_action`: what people and the housekeeping job do, once it is written.
- `status_change` comes before the writing, and for some ways (PUT /status, chat webhooks, bulk actions, everything up
  to alerta 9.0.3) it is the last hook. So it only notes what is about to happen; if no other hook follows, that is
  sent at the end of the request, if the alert then is in that state; outside of a request at once.
- `take_note` and `delete` come before as well, and are sent once the request has succeeded.

Nothing of what the bridge itself does is sent: it came from there.
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
from alerta_opsgenie.core.events import Event, changes, may_have_earlier_outage, receipt
from alerta_opsgenie.core.history import ENDED
from alerta_opsgenie.core.publish import LONGEST_SNOOZE_SECONDS, AlertEvent
from alerta_opsgenie.core.wording import AlertValues
from alerta_opsgenie.plugin import (
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
    way_back,
)
from alerta_opsgenie.plugin.alert_values import end_of, values_of, word_of
from alerta_opsgenie.plugin.guard import guarded
from alerta_opsgenie.plugin.people import account_of, address_of, name_person

_LATE_SECONDS = 300.0
_BELIEVED_SECONDS = 30 * 86400.0


def _look(app: Flask) -> None:
    with app.app_context():
        guard.attempt("uWSGI's timer", lambda: state.process().start())


def _nothing(_alert: Alert) -> None:
    """What a hook answers that has nothing to change."""


class OpsgeniePlugin(PluginBase):  # type: ignore[misc]
    """Tell Opsgenie or JSM Operations what happens to alerts; let the bridge act under people's own names."""

    def __init__(self, name: Optional[str] = None) -> None:
        super().__init__(name)
        host.check_version(__version__)
        state.enable()
        attribution.install()
        callers.install()
        housekeeping.install()
        lease.install()
        uwsgi.install(_look)
        for module in (reconcile, figures, heartbeat):
            state.add_duty(module.duty)

    @guarded(lambda alert: alert)
    def pre_receive(self, alert: Alert, **_: Any) -> Alert:
        """Take out what nobody but the plugin writes."""
        alert.attributes.pop(order.ATTRIBUTE, None)
        return alert

    @guarded(_nothing)
    def post_receive(self, alert: Alert, **_: Any) -> None:
        """Tell of a new alert, of another severity, of the end of an alert."""
        _present().forget(alert.id)
        values = values_of(alert)
        events = receipt(values)
        if events == (Event.REPEATED,) and state.process().was_missed(values):
            events = changes("closed", values.status, "")
        _send(values, events, "")

    @guarded(_nothing)
    def take_action(self, alert: Alert, action: str, text: str, **kwargs: Any) -> Any:
        """Before an action: refuse what is too early or too late, and give the person's own words."""
        _present().acting[alert.id] = action
        if action == "timeout" and housekeeping.is_too_early(alert, time.time()):
            raise RejectException(f"the time of alert {alert.id} is not over")
        call = attribution.bridge_call()
        if call is None:
            return None
        if call.integration:  # one that leaves a line each time: a custom action
            order.check_not_recorded(alert, order.act_of(ACTION, call))
        order.check_state(alert, call, may_be_no_op=True)
        asked = call.timeout_seconds
        return alert, action, call.text or text, kwargs.get("timeout") if asked is None else asked

    @guarded(_nothing)
    def post_action(self, alert: Alert, action: str, text: Any, **_: Any) -> None:
        """After an action: tell of it."""
        status = word_of(alert.status)
        noted = _present().forget(alert.id)
        attribution.note_status(status)
        attribution.note_timeout(alert)
        _send(values_of(alert), changes(noted.before if noted else status, status, action), text)

    @guarded(_nothing)
    def status_change(self, alert: Alert, status: str, text: Any, **_: Any) -> Any:
        """Before a status is written: note what it is about to be."""
        before, after = word_of(alert.status), word_of(status)
        attribution.note_status(after)
        comes_again = before in ENDED and after not in ENDED and may_have_earlier_outage(values_of(alert))
        if comes_again:
            order.note_opened(alert)
        call = attribution.bridge_call()
        if call is not None and request.endpoint == "api.set_status":
            order.check_state(alert, call)
            return alert, status, call.text or text
        action = _present().acting.pop(alert.id, "")
        if action:
            _note_person(alert, action, call)
        if action or before != after:
            _present().expect(Change(alert.id, before, after, _words(text), action), alert)
        return (alert, status, text) if comes_again else None  # only with an answer Alerta writes the attributes

    @guarded(_nothing)
    def take_note(self, alert: Alert, text: Any, **_: Any) -> Any:
        """Before a note: give the person's own words, or stop one that is there already; else tell of it."""
        call = attribution.bridge_call()
        if call is not None:
            return _take_note_for(call, alert, _words(text))
        if text and not (has_request_context() and request.endpoint == "api.update_note"):
            values = values_of(alert)
            guard.after_success("telling of a note", lambda: _send(values, (Event.NOTED,), text))
        return None

    @guarded(lambda _alert: True)
    def delete(self, alert: Alert, **_: Any) -> bool:
        """Before an alert is deleted: refuse what is too late; tell of it once it is."""
        call = attribution.bridge_call()
        if call is not None:
            order.check_state(alert, call)
        values = values_of(alert)
        guard.after_success("telling of a delete", lambda: _send(values, (Event.DELETED,), ""))
        return True


# -- What is on its way in the present request


class Change(NamedTuple):
    """A change of status that is about to be written."""

    alert_id: str
    before: str
    after: str
    text: str
    action: str


class Present:
    """What the hooks of one request know of each other; `acting` has the action that each alert is about to have."""

    def __init__(self) -> None:
        self.acting: Dict[str, str] = {}
        self.expected: Dict[str, Change] = {}

    def expect(self, change: Change, alert: Alert) -> None:
        """Note a change, to be told by a later hook, or at the end of the request."""
        if not has_request_context():
            values = values_of(alert)._replace(status=change.after)
            _send(values, changes(change.before, change.after, change.action), change.text)
            return
        if not self.expected:
            guard.after_request("telling of a change of status", self._send_rest)
        first = self.expected.get(change.alert_id, change)
        self.expected[change.alert_id] = change._replace(before=first.before)

    def forget(self, alert_id: str) -> Optional[Change]:
        """Take a change out: another hook tells of it."""
        return self.expected.pop(alert_id, None)

    def _send_rest(self, _response: Response) -> None:
        """Tell of the changes that no other hook came for, if they did come about."""
        for change in list(self.expected.values()):
            alert = Alert.find_by_id(change.alert_id)
            if alert and word_of(alert.status) == change.after:
                _send(values_of(alert), changes(change.before, change.after, change.action), change.text)
        self.expected.clear()


def _present() -> Present:
    found: Optional[Present] = g.get("opsgenie_present")
    if found is None:
        found = g.opsgenie_present = Present()
    return found


def _note_person(alert: Alert, action: str, call: Optional[attribution.BridgeCall]) -> None:
    """Note on an alert who has done what, now that Alerta's state machine has a way for it; Alerta writes it."""
    if action == "unack":
        alert.attributes.update(dict.fromkeys(("acked-by", "acked-by-id")))  # removes them, on MongoDB too
    if call is None:
        return
    if action == "ack":
        name_person(alert, alert.attributes, "acked-by", call.person, call.person_id)
    if call.is_ahead:
        order.note_state(alert, call)


# -- Telling


def _send(values: AlertValues, events: Tuple[Event, ...], text: Any) -> None:
    """Put the requests for some events into the outbox; nothing that the bridge did, unless there are two products."""
    process = state.process()
    if not process.sends:
        return
    by_bridge = attribution.by_bridge()
    if by_bridge and not g.get("opsgenie_reconcile"):
        way_back.arrivals.note(process)
    if by_bridge and not process.also:
        if events != (Event.NOTED,):
            _note_lateness(process, values, events)
            there = values._replace(status="closed") if Event.DELETED in events else values
            process.note_agreed(values.id, lambda agreed: expected_state(there, process.settings.policy, agreed))
        return
    if Event.ASSIGNED in events:
        values = values._replace(account=account_of(values.owner or _login()))
    acts = [_console_act(event, values, "" if by_bridge else _words(text)) for event in events]
    for one in process.destinations if acts else ():
        one.tell(values, acts, is_crossing=by_bridge)


def _note_lateness(process: state.Process, values: AlertValues, events: Tuple[Event, ...]) -> None:
    """Say on the vendor's alert that what somebody did there came here late: it was kept on the way."""
    call = attribution.bridge_call()
    if call is None or not call.updated_ns or not events or g.get("opsgenie_reconcile"):
        return
    late_seconds = time.time() - call.updated_ns / 1e9
    if not _LATE_SECONDS <= late_seconds < _BELIEVED_SECONDS:
        return
    text = f"{events[0].value} by {call.person} came to Alerta {late_seconds / 60:.0f} minutes late"
    process.note(values, text)


def _words(text: Any) -> str:
    """Give what a person wrote; Alerta takes nothing and numbers for a text too, and they say nothing."""
    return text if isinstance(text, str) else ""


def _login() -> str:
    return str(g.get("login") or "") if has_app_context() else ""


def _console_act(event: Event, values: AlertValues, text: str) -> AlertEvent:
    actor = address_of(_login())
    until = None
    if event is Event.SHELVED:
        until = end_of(values, "shelve") or time.time() + LONGEST_SNOOZE_SECONDS
    return AlertEvent(event, actor, text, until)


# -- Notes of the bridge


def _take_note_for(call: attribution.BridgeCall, alert: Alert, text: str) -> Tuple[Alert, str]:
    way_back.arrivals.note(state.process())
    act = order.act_of(NOTE, call if call.words else call._replace(words=text))
    why = order.skip_reason(alert, act)
    if why:
        guard.after_request("answering that a note is there", partial(_answer_done, why))
        raise ForwardingLoop(why)
    guard.after_success("noting a note", partial(order.remember, str(alert.id), act))
    return alert, call.text or text


def _answer_done(why: str, response: Response) -> Response:
    """Make a success of Alerta's answer: the note is there, which is what was asked for."""
    said: Response = jsonify(status="ok", message=why)
    said.headers.extend(
        [(name, value) for name, value in response.headers if name.lower().startswith(("x-", "access-control-"))]
    )
    return said
