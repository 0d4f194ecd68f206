"""What Opsgenie or JSM is told about an event in Alerta: the table, and the requests within the vendor's limits.

Nothing is sent here. `REQUESTS` has the requests of an event for each dialect; docs/reference/requests.md is made of
it. JSM documents four calls for an integration's key: create, acknowledge, close, add note
(https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v1/api-group-integration-events); there, whatever
else happened is told by a note, unless the settings say that the other calls are available.
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
    """Whose API it is."""

    OPSGENIE = "opsgenie"
    JSM = "jsm"


class Policy(NamedTuple):
    """How a team wants it. `environments` and `normal` severities in Alerta's spelling; an empty tuple lets all out.

    `extra_calls` tells that the JSM account takes Opsgenie's other calls from an integration's key.
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
    """One event: who did it (a login, or empty), and with which words; of a shelve also when it ends, if it does.

    `priority` is one that somebody set, in place of the severity's.
    """

    event: Event
    actor: str = ""
    text: str = ""
    until_seconds: Optional[float] = None
    priority: str = ""


class Request(NamedTuple):
    """One request; `path` begins behind the API's base URL. `operation` is the label for logs and lists."""

    operation: str
    method: str
    path: str
    body: Mapping[str, Any]


class Dispatch(NamedTuple):
    """What goes out for one event: by which route, which requests in which order, and which fields were cut."""

    route: str
    requests: Tuple[Request, ...] = ()
    cut: Tuple[str, ...] = ()


ON_DELETE = frozenset({"close", "delete", "ignore"})
LONGEST_SNOOZE_SECONDS = 7 * 86400
"""For a shelve without end: a week, the most that the vendor's own interface offers."""

_WARNINGS = frozenset({"warning", "informational"})


# -- What is sent


def publish(
    alert: AlertValues, acts: Sequence[AlertEvent], policy: Policy, *, known: Optional[bool] = None
) -> Dispatch:
    """Give the requests for what happened to an alert; none where the settings keep it here.

    `known` tells whether the vendor has the alert; None: its history tells, and in doubt it has.
    """
    route, goes_out = destination(alert, policy)
    if not goes_out:
        return Dispatch(route.name)
    if known is None:
        known = known_by_history(alert, policy) is not False
    fitting = Fitting()
    requests: List[Request] = []
    for act in acts:
        wanted = _to_send(act, alert, policy, known=known)
        if wanted is not None:
            known = True
            work = _Work(alert, wanted, policy, route, fitting)
            requests.extend(build(work) for build in REQUESTS[_effective(policy)][wanted.event])
    return Dispatch(route.name, tuple(requests), fitting.names)


def destination(alert: AlertValues, policy: Policy) -> Tuple[routing.Route, bool]:
    """Give the way out of an alert, and whether any of its kind goes out."""
    route = routing.choose(policy.routes, wording.values(alert))
    return route, route.send and not (policy.environments and alert.environment not in policy.environments)


def known_by_history(alert: AlertValues, policy: Policy) -> Optional[bool]:
    """Whether the vendor has the alert, by the alert's history before it was received; None: in doubt."""
    return is_known(before_receipt(alert), lambda severity: is_wanted(severity, policy))


def _effective(policy: Policy) -> Dialect:
    return Dialect.OPSGENIE if policy.extra_calls else policy.dialect


def _to_send(act: AlertEvent, alert: AlertValues, policy: Policy, *, known: bool) -> Optional[AlertEvent]:
    """Decide by what is wanted over there and what is known there; None: nothing is to be told."""
    wanted = is_wanted(alert.severity, policy)
    if act.event is Event.RAISED:
        return act if wanted else None
    if act.event is Event.CHANGED:
        if wanted:
            return act if known else act._replace(event=Event.RAISED)
        return act._replace(event=Event.LOWERED) if known else None
    if act.event is Event.REPEATED and not (policy.update_repeats and wanted):
        return None
    if act.event is Event.DELETED and (policy.on_delete == "ignore" or alert.status in ENDED):
        return None
    return act if known else None


def is_wanted(severity: str, policy: Policy) -> bool:
    """Whether an alert of that severity is sent at all; Alerta takes it in any case (`Critical`)."""
    return not is_normal(severity, policy) and (policy.send_warn or severity.lower() not in _WARNINGS)


def is_normal(severity: str, policy: Policy) -> bool:
    """Whether a severity says that all is well."""
    return severity.lower() in policy.normal


def priority_of(alert: AlertValues, policy: Policy) -> str:
    """Tell which priority the alert has over there."""
    return _priority(alert, policy, routing.choose(policy.routes, wording.values(alert)))


def _priority(alert: AlertValues, policy: Policy, route: routing.Route) -> str:
    return route.priority or policy.priorities.get(alert.severity.lower(), policy.default_priority)


class _Work(NamedTuple):
    """One event on its way out."""

    alert: AlertValues
    act: AlertEvent
    policy: Policy
    route: routing.Route
    fitting: Fitting

    def request(self, operation: str, verb: str, method: str = "POST", **fields: Any) -> Request:
        """A request about the alert; it names the actor, unless the vendor's call has no field for that."""
        path = f"/v2/alerts/{quote(self.alias, safe='')}{'/' + verb if verb else ''}?identifierType=alias"
        body = fields if method == "PUT" else {**self.signature, **fields}
        if method == "DELETE":  # its fields go into the query, and it has no body
            return Request(operation, method, path + "".join(f"&{name}={quote(body[name])}" for name in body), {})
        return Request(operation, method, path, body)

    @property
    def signature(self) -> Dict[str, str]:
        """Who it was, with the mark by which it is known when it comes back."""
        actor = self.act.actor or self.policy.source
        return {
            "user": self.fitting.ending("user", actor, MARK, limits.USER),
            "source": self.fitting.text("source", self.policy.source, limits.SOURCE),
        }

    @property
    def alias(self) -> str:
        return limits.shorten(self.alert.id, limits.ALIAS)

    @property
    def remark(self) -> Dict[str, str]:
        """The operator's own words as a note; not those that Alerta or its web interface put there."""
        text = "" if self.act.text in wording.STOCK_TEXTS else self.act.text.strip()
        return {"note": self.note(text)} if text else {}

    def note(self, text: str) -> str:
        return self.fitting.text("note", text, limits.NOTE)

    @property
    def priority(self) -> str:
        return self.act.priority or _priority(self.alert, self.policy, self.route)

    @property
    def message(self) -> str:
        return self.fitting.text("message", wording.message(self.alert, self.policy.templates), limits.MESSAGE)

    @property
    def description(self) -> str:
        text = wording.description(self.alert, self.policy.templates)
        return self.fitting.text("description", text, limits.DESCRIPTION)


# -- One request each


def _create(work: _Work) -> Request:
    alert, policy, fit = work.alert, work.policy, work.fitting
    teams = policy.teams if work.route.teams is None else work.route.teams
    body = {
        "alias": work.alias,
        "message": work.message,
        "description": work.description,
        "responders": fit.responders(teams),
        "tags": fit.tags(wording.tags(alert, policy.templates)),
        "details": fit.details(wording.details(alert, policy.dashboard_url, policy.attributes)),
        "entity": fit.text("entity", wording.entity(alert, policy.templates), limits.ENTITY),
        "priority": work.priority,
        "actions": fit.actions(policy.actions),
        **work.signature,
    }
    return Request("create", "POST", "/v2/alerts", {name: value for name, value in body.items() if value})


def _acknowledge(work: _Work) -> Request:
    return work.request("acknowledge", "acknowledge", **work.remark)


def _unacknowledge(work: _Work) -> Request:
    remark = work.remark if work.act.event is Event.UNACKED else {}  # else the acknowledge before it has it
    return work.request("unacknowledge", "unacknowledge", **remark)


def _close(work: _Work) -> Request:
    remark = work.remark
    if work.act.event in (Event.EXPIRED, Event.DELETED):
        remark = {"note": work.note(wording.note_text(work.act.event.value, work.alert, work.act.text))}
    return work.request("close", "close", **remark)


def _snooze(work: _Work) -> Request:
    return work.request("snooze", "snooze", endTime=wording.iso_utc(work.act.until_seconds or 0.0), **work.remark)


def _assign(work: _Work) -> Request:
    """Assign to the owner; Alerta's own action names none, so without an address or an id it is told by a note."""
    names = (work.alert.account, work.alert.owner, work.act.actor)
    owner = next((name for name in names if "@" in name or is_account_id(name)), "")
    if not owner:
        return _tell(work)
    return work.request("assign", "assign", owner={"username" if "@" in owner else "id": owner}, **work.remark)


def _set_priority(work: _Work) -> Request:
    return work.request("priority", "priority", "PUT", priority=work.priority)


def _set_message(work: _Work) -> Request:
    return work.request("message", "message", "PUT", message=work.message)


def _set_description(work: _Work) -> Request:
    return work.request("description", "description", "PUT", description=work.description or work.message)


def _add_note(work: _Work) -> Request:
    return work.request("note", "notes", note=work.note(work.act.text) or "-")


def _tell(work: _Work) -> Request:
    """Say in a note what the vendor has no call for."""
    text = wording.note_text(work.act.event.value, work.alert, work.remark.get("note", ""), work.act.until_seconds)
    return work.request("note", "notes", note=work.note(text))


def _delete(work: _Work) -> Request:
    return work.request("delete", "", "DELETE") if work.policy.on_delete == "delete" else _close(work)


_Builders = Tuple[Callable[[_Work], Request], ...]

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
        **dict.fromkeys(Event, (_tell,)),
        Event.RAISED: (_create,),
        Event.CHANGED: (_create, _tell),
        Event.REPEATED: (),
        Event.ACKED: (_acknowledge,),
        **dict.fromkeys((Event.CLOSED, Event.EXPIRED, Event.DELETED), (_close,)),
        Event.NOTED: (_add_note,),
    },
}
"""The requests of each event, in order; sent only where the settings and the alert's history do not keep it here."""
