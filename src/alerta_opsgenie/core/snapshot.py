"""Read an alert of each side into the same values, so that both sides can be compared (`reconcile`)."""

import re
from typing import Any, Dict, FrozenSet, Iterable, Mapping, NamedTuple, Optional, Tuple

from .echo import MARK
from .events import end_of
from .history import ENDED, KINDS_WITHOUT_STATUS
from .instants import iso_seconds
from .message import PRIORITIES, is_uuid, text_of
from .people import harmless_name
from .publish import Policy, destination, is_wanted, priority_of
from .wording import AlertValues

ENDLESS = float("inf")

# The entries whose time Alerta sets. Other entries have the time of the sender.
_DATED_BY_ALERTA = frozenset({"open", "ack", "unack", "shelve", "unshelve", "close", "timeout", "expired"})
_FROM_BRIDGE = re.compile(r"[A-Z][a-z]+( ended)?( by .+)? in (Opsgenie|Jira Service Management)(:|$)")
_OPEN_STATES = frozenset({"open", "acked", "snoozed"})
_CLOSED_STATES = frozenset({"closed", "resolved"})


class AlertState(NamedTuple):
    """The state of an alert on one side. Instants are in seconds since the epoch, by that side's clock; 0: unknown.

    `since`: the earliest start of the present state. `changed`: the last change. `opened`: the start of the outage.
    `from_bridge`: the bridge set the state on this side. `from_bridge_at`: for each register of `core.order`, the time
    of the vendor's newest action that was applied in Alerta. `snoozed_until` is infinite for a snooze without an end.
    `route` names the key. `wanted`: by the settings the alert is sent. `id` is that side's id.
    """

    is_open: bool
    acknowledged: bool = False
    snoozed_until: Optional[float] = None
    owner: str = ""
    priority: str = ""
    since: float = 0.0
    changed: float = 0.0
    opened: float = 0.0
    from_bridge: bool = False
    from_bridge_at: Mapping[str, float] = {}
    route: str = ""
    wanted: bool = True
    id: str = ""


class Snapshot(NamedTuple):
    """The alerts of one side: the open ones, and those that were looked up one by one (`gone`: not found).

    `problem`: why it is incomplete.
    """

    alerts: Mapping[str, AlertState]
    at_seconds: float
    gone: FrozenSet[str] = frozenset()
    looked_up: FrozenSet[str] = frozenset()
    problem: str = ""
    clock_ahead_seconds: float = 0.0


def read_alerta_alert(alert: AlertValues, changed: float, newest_ns: Mapping[str, int], policy: Policy) -> AlertState:
    """Read an alert of Alerta. `changed`: its last change of status; `newest_ns`: its registers (`order`)."""
    status, begun, started = alert.status, None, 0.0
    lines = [entry for entry in alert.history if entry.status and entry.change not in KINDS_WITHOUT_STATUS]
    for entry in lines:
        if entry.status != status:
            break
        begun = entry
    for entry in lines:
        if entry.status in ENDED and status not in ENDED:
            break
        started = entry.at_seconds
    from_bridge = bool(begun and _FROM_BRIDGE.match(begun.text))
    until = end_of(alert, "shelve") or ENDLESS if status == "shelved" else None
    route, wanted = destination(alert, policy)
    own = alert.attributes.get("opsgenie-priority")
    return AlertState(
        is_open=status not in ENDED,
        acknowledged=status == "ack",
        snoozed_until=until,
        owner=harmless_name(alert.owner),
        priority=own if own in PRIORITIES else priority_of(alert, policy),
        since=min(begun.at_seconds, changed) if begun and begun.change in _DATED_BY_ALERTA and not from_bridge else 0.0,
        changed=changed,
        opened=newest_ns.get("opened", 0) / 1e9 or (min(started, changed) if changed else started),
        from_bridge=from_bridge,
        from_bridge_at={register: at_ns / 1e9 for register, at_ns in newest_ns.items()},
        route=route.name,
        wanted=wanted and is_wanted(alert.severity, policy),
        id=alert.id,
    )


def own_alias(data: Mapping[str, Any], source: str) -> str:
    """Return the alias of an alert of ours at the vendor; an empty text for any other alert."""
    alias = data.get("alias")
    ours = data.get("source") == source and isinstance(alias, str) and is_uuid(alias) and alias == alias.lower()
    return str(alias) if ours else ""


def read_vendor_alert(data: Mapping[str, Any], route: str) -> Optional[AlertState]:
    """Read an alert of Opsgenie or JSM, as shown to the key of `route`; None if its status is unknown.

    https://docs.opsgenie.com/docs/alert-api; the full API of JSM has more states and fewer instants.
    """
    status = str(data.get("status")).lower()
    if status not in _OPEN_STATES | _CLOSED_STATES:
        return None
    is_open = status in _OPEN_STATES
    snoozed = status == "snoozed" or data.get("snoozed") is True
    acknowledged = status == "acked" or data.get("acknowledged") is True
    created, changed, until = (
        iso_seconds(text_of(data, name)) or 0.0 for name in ("createdAt", "updatedAt", "snoozedUntil")
    )
    is_done = acknowledged or not is_open
    report = data["report"] if is_done and isinstance(data.get("report"), dict) else {}
    what, who = ("ackTime", "acknowledgedBy") if is_open else ("closeTime", "closedBy")
    from_bridge = text_of(report, who).endswith(MARK)
    took: Any = None if snoozed else report.get(what)
    is_dated = isinstance(took, int) and 0 <= took < 10**12 and created > 0 and not (from_bridge and is_open)
    priority = text_of(data, "priority")
    return AlertState(
        is_open=is_open,
        acknowledged=is_open and acknowledged,
        snoozed_until=(until or ENDLESS) if is_open and snoozed else None,
        owner=harmless_name(text_of(data, "owner")),
        priority=priority if priority in PRIORITIES else "",
        since=created + took / 1000 if is_dated else 0.0,
        changed=changed,
        opened=created,
        from_bridge=from_bridge,
        route=route,
        id=str(data.get("id", ""))[:100],
    )


def own_open_alerts(found: Iterable[Tuple[str, Mapping[str, Any]]], source: str) -> Dict[str, AlertState]:
    """Read a list of the vendor's alerts, each with the route of its key. Return those that are ours and open."""
    alerts: Dict[str, AlertState] = {}
    for route, data in found:
        alias = own_alias(data, source)
        state = read_vendor_alert(data, route) if alias else None
        if state is not None and state.is_open:
            alerts.setdefault(alias, state)
    return alerts


def with_lookups(vendor: Snapshot, lookups: Mapping[str, Tuple[str, Mapping[str, Any]]], source: str) -> Snapshot:
    """Add the results of single lookups: the route of each alert, and its data (empty: not found)."""
    alerts = dict(vendor.alerts)
    for name, (route, data) in lookups.items():
        state = read_vendor_alert(data, route) if own_alias(data, source) == name else None
        if state is not None:
            alerts[name] = state
    gone = frozenset(name for name, (_, data) in lookups.items() if not data)
    return vendor._replace(alerts=alerts, gone=gone, looked_up=frozenset(lookups))
