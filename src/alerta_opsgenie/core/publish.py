"""Build the requests to Opsgenie or JSM for an event in Alerta, within the vendor's limits. Nothing is sent here.

`REQUESTS` has the requests of each event for each dialect; docs/reference/requests.md is generated from it. JSM
documents four calls for an integration's key: create, acknowledge, close, add note
(https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v1/api-group-integration-events). For any other event
it gets a note, unless by the settings the other calls are available.
"""

from enum import Enum
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import quote

from . import limits, routing, wording
from .echo import MARK
from .events import Event, before_receipt, is_known
from .history import ENDED
from .limits import Fitting
from .people import is_account_id
from .wording import AlertValues, Templates


class Dialect(str, Enum):
    """The product whose API is called."""

    OPSGENIE = "opsgenie"
    JSM = "jsm"


class Policy(NamedTuple):
    """The team's settings. `environments` are in Alerta's spelling; with an empty tuple all are sent.

    `normal` are severities, in lower case. `extra_calls`: the JSM account accepts Opsgenie's other calls too.
    """

    dialect: Dialect = Dialect.OPSGENIE
    extra_calls: bool = False
    source: str = "Alerta"
    teams: Tuple[str, ...] = ()
    priorities: Mapping[str, str] = {}
    default_priority: str = "P3"
    send_warn: bool = False
    environments: Tuple[str, ...] = ()
    normal: Tuple[str, ...] = ("normal", "ok", "cleared")
    on_delete: str = "close"
    update_repeats: bool = False
    dashboard_url: str = ""
    templates: Templates = Templates()
    attributes: Tuple[str, ...] = ()
    actions: Tuple[str, ...] = ()
    routes: Tuple[routing.Route, ...] = ()


class AlertEvent(NamedTuple):
    """One event with its actor (a login, or empty), the operator's text, and the end of a shelve, if it has one.

    `priority` is one that somebody set, in place of the severity's.
    """

    event: Event
    actor: str = ""
    text: str = ""
    until_seconds: Optional[float] = None
    priority: str = ""


class Request(NamedTuple):
    """One request; `path` is relative to the API's base URL. `operation` is its label in logs and lists."""

    operation: str
    method: str
    path: str
    body: Mapping[str, Any]


class Dispatch(NamedTuple):
    """The requests for one alert, in order, with their route and the names of the fields that were cut."""

    route: str
    requests: Tuple[Request, ...] = ()
    cut: Tuple[str, ...] = ()


LONGEST_SNOOZE_SECONDS = 7 * 86400
"""For a shelve without an end: a week, the longest that the vendor's web interface offers."""

_WARNINGS = frozenset({"warning", "informational"})


# -- What is sent


def publish(
    alert: AlertValues, events: Sequence[AlertEvent], policy: Policy, *, known: Optional[bool] = None
) -> Dispatch:
    """Return the requests for the events of an alert; none if by the settings it is not sent.

    `known`: whether the vendor has the alert; None: derive it from the history, and in doubt the vendor has it.
    """
    route, goes_out = destination(alert, policy)
    if not goes_out:
        return Dispatch(route.name)
    if known is None:
        known = known_by_history(alert, policy) is not False
    dialect = Dialect.OPSGENIE if policy.extra_calls else policy.dialect
    fitting = Fitting()
    requests: List[Request] = []
    for event in events:
        wanted = _event_to_send(event, alert, policy, known=known)
        if wanted is not None:
            known = True
            builder = _RequestBuilder(alert, wanted, policy, route, fitting)
            requests.extend(build(builder) for build in REQUESTS[dialect][wanted.event])
    return Dispatch(route.name, tuple(requests), fitting.names)


def destination(alert: AlertValues, policy: Policy) -> Tuple[routing.Route, bool]:
    """Return the route of an alert, and whether its route and environment are sent."""
    route = routing.choose(policy.routes, wording.values(alert))
    return route, route.send and not (policy.environments and alert.environment not in policy.environments)


def known_by_history(alert: AlertValues, policy: Policy) -> Optional[bool]:
    """Whether the vendor has the alert, by the history before the last receipt; None: unknown."""
    return is_known(before_receipt(alert), lambda severity: is_wanted(severity, policy))


def _event_to_send(happened: AlertEvent, alert: AlertValues, policy: Policy, *, known: bool) -> Optional[AlertEvent]:
    """Return the event to send, by the settings and by what the vendor has; None: send nothing."""
    wanted = is_wanted(alert.severity, policy)
    if happened.event is Event.RAISED:
        return happened if wanted else None
    if happened.event is Event.CHANGED:
        if wanted:
            return happened if known else happened._replace(event=Event.RAISED)
        return happened._replace(event=Event.LOWERED) if known else None
    if happened.event is Event.REPEATED and not (policy.update_repeats and wanted):
        return None
    if happened.event is Event.DELETED and (policy.on_delete == "ignore" or alert.status in ENDED):
        return None
    return happened if known else None


def is_wanted(severity: str, policy: Policy) -> bool:
    """Whether alerts of that severity are sent. Alerta takes a severity in any case (`Critical`)."""
    return not is_normal(severity, policy) and (policy.send_warn or severity.lower() not in _WARNINGS)


def is_normal(severity: str, policy: Policy) -> bool:
    """Whether a severity means that there is no problem."""
    return severity.lower() in policy.normal


def priority_of(alert: AlertValues, policy: Policy) -> str:
    """Return the alert's priority at the vendor."""
    return _priority(alert, policy, routing.choose(policy.routes, wording.values(alert)))


def _priority(alert: AlertValues, policy: Policy, route: routing.Route) -> str:
    return route.priority or policy.priorities.get(alert.severity.lower(), policy.default_priority)


class _RequestBuilder(NamedTuple):
    alert: AlertValues
    event: AlertEvent
    policy: Policy
    route: routing.Route
    fitting: Fitting

    def request(self, operation: str, verb: str, method: str = "POST", **fields: Any) -> Request:
        """Return a request about the alert, with the actor unless the vendor's call has no field for it."""
        path = f"/v2/alerts/{quote(self.alias, safe='')}{'/' + verb if verb else ''}?identifierType=alias"
        body = fields if method == "PUT" else {**self.signature, **fields}
        if method == "DELETE":  # its fields go into the query, and it has no body
            return Request(operation, method, path + "".join(f"&{name}={quote(body[name])}" for name in body), {})
        return Request(operation, method, path, body)

    @property
    def signature(self) -> Dict[str, str]:
        """The actor, with the mark by which an echo is recognised."""
        actor = self.event.actor or self.policy.source
        return {
            "user": self.fitting.ending("user", actor, MARK, limits.USER),
            "source": self.fitting.text("source", self.policy.source, limits.SOURCE),
        }

    @property
    def alias(self) -> str:
        return limits.shorten(self.alert.id, limits.ALIAS)

    @property
    def operator_note(self) -> Dict[str, str]:
        """The operator's text as a note; nothing for a default text of Alerta or its web interface."""
        text = "" if self.event.text in wording.STOCK_TEXTS else self.event.text.strip()
        return {"note": self.note(text)} if text else {}

    def note(self, text: str) -> str:
        return self.fitting.text("note", text, limits.NOTE)

    @property
    def priority(self) -> str:
        return self.event.priority or _priority(self.alert, self.policy, self.route)

    @property
    def message(self) -> str:
        return self.fitting.text("message", wording.message(self.alert, self.policy.templates), limits.MESSAGE)

    @property
    def description(self) -> str:
        text = wording.description(self.alert, self.policy.templates)
        return self.fitting.text("description", text, limits.DESCRIPTION)


# -- One request each


def _create(builder: _RequestBuilder) -> Request:
    alert, policy, fit = builder.alert, builder.policy, builder.fitting
    teams = policy.teams if builder.route.teams is None else builder.route.teams
    body = {
        "alias": builder.alias,
        "message": builder.message,
        "description": builder.description,
        "responders": fit.responders(teams),
        "tags": fit.tags(wording.tags(alert, policy.templates)),
        "details": fit.details(wording.details(alert, policy.dashboard_url, policy.attributes)),
        "entity": fit.text("entity", wording.entity(alert, policy.templates), limits.ENTITY),
        "priority": builder.priority,
        "actions": fit.actions(policy.actions),
        **builder.signature,
    }
    return Request("create", "POST", "/v2/alerts", {name: value for name, value in body.items() if value})


def _acknowledge(builder: _RequestBuilder) -> Request:
    return builder.request("acknowledge", "acknowledge", **builder.operator_note)


def _unacknowledge(builder: _RequestBuilder) -> Request:
    note = builder.operator_note if builder.event.event is Event.UNACKED else {}  # else it is in the acknowledge before
    return builder.request("unacknowledge", "unacknowledge", **note)


def _close(builder: _RequestBuilder) -> Request:
    note = builder.operator_note
    if builder.event.event in (Event.EXPIRED, Event.DELETED):
        note = {"note": builder.note(wording.note_text(builder.event.event.value, builder.alert, builder.event.text))}
    return builder.request("close", "close", **note)


def _snooze(builder: _RequestBuilder) -> Request:
    end = wording.iso_utc(builder.event.until_seconds or 0.0)
    return builder.request("snooze", "snooze", endTime=end, **builder.operator_note)


def _assign(builder: _RequestBuilder) -> Request:
    """Assign to the owner. Alerta's own action has no owner: without an address or an id send a note."""
    names = (builder.alert.account, builder.alert.owner, builder.event.actor)
    owner = next((name for name in names if "@" in name or is_account_id(name)), "")
    if not owner:
        return _note_event(builder)
    person = {"username" if "@" in owner else "id": owner}
    return builder.request("assign", "assign", owner=person, **builder.operator_note)


def _set_priority(builder: _RequestBuilder) -> Request:
    return builder.request("priority", "priority", "PUT", priority=builder.priority)


def _set_message(builder: _RequestBuilder) -> Request:
    return builder.request("message", "message", "PUT", message=builder.message)


def _set_description(builder: _RequestBuilder) -> Request:
    return builder.request("description", "description", "PUT", description=builder.description or builder.message)


def _add_note(builder: _RequestBuilder) -> Request:
    return builder.request("note", "notes", note=builder.note(builder.event.text) or "-")


def _note_event(builder: _RequestBuilder) -> Request:
    event, operator_text = builder.event, builder.operator_note.get("note", "")
    text = wording.note_text(event.event.value, builder.alert, operator_text, event.until_seconds)
    return builder.request("note", "notes", note=builder.note(text))


def _delete(builder: _RequestBuilder) -> Request:
    return builder.request("delete", "", "DELETE") if builder.policy.on_delete == "delete" else _close(builder)


_Builders = Tuple[Callable[[_RequestBuilder], Request], ...]

REQUESTS: Mapping[Dialect, Mapping[Event, _Builders]] = {
    Dialect.OPSGENIE: {
        Event.RAISED: (_create,),
        Event.CHANGED: (_create, _set_priority, _set_message),
        Event.LOWERED: (_set_priority, _set_message),
        Event.REPEATED: (_set_description,),
        Event.ACKED: (_acknowledge,),
        Event.UNACKED: (_unacknowledge,),
        Event.SHELVED: (_snooze,),
        # There is no call that ends a snooze; an acknowledge does (contracts: semantics of a snooze).
        Event.UNSHELVED: (_acknowledge, _unacknowledge),
        Event.UNSHELVED_TO_ACK: (_acknowledge,),
        Event.SHELVE_OVER: (),
        Event.SHELVE_OVER_TO_ACK: (_acknowledge,),
        Event.CLOSED: (_close,),
        Event.EXPIRED: (_close,),
        Event.DELETED: (_delete,),
        Event.ASSIGNED: (_assign,),
        Event.NOTED: (_add_note,),
    },
    Dialect.JSM: {
        **dict.fromkeys(Event, (_note_event,)),
        Event.RAISED: (_create,),
        Event.CHANGED: (_create, _note_event),
        Event.REPEATED: (),
        Event.ACKED: (_acknowledge,),
        **dict.fromkeys((Event.CLOSED, Event.EXPIRED, Event.DELETED), (_close,)),
        Event.NOTED: (_add_note,),
    },
}
"""The requests of each event, in order. The settings and the alert's history decide whether the event is sent."""
