"""An alert as each side shows it, read into the same few values, so that both can be compared (`reconcile`)."""

import re
from typing import Any, Dict, FrozenSet, Iterable, Mapping, NamedTuple, Optional, Tuple

from .echo import MARK
from .events import end_of
from .history import ENDED, OF_NO_STATUS
from .instants import iso_seconds
from .message import PRIORITIES, is_uuid, text_of
from .people import harmless_name
from .publish import Policy, destination, is_wanted, priority_of
from .wording import AlertValues

ENDLESS = float("inf")

# Dated by Alerta itself; what comes in bears its sender's time.
_DATED = frozenset({"open", "ack", "unack", "shelve", "unshelve", "close", "timeout", "expired"})
_TOLD = re.compile(r"[A-Z][a-z]+( ended)?( by .+)? in (Opsgenie|Jira Service Management)(:|$)")
_OPEN_STATES = frozenset({"open", "acked", "snoozed"})
_CLOSED_STATES = frozenset({"closed", "resolved"})


class Seen(NamedTuple):
    """An alert as one side has it. Instants are in seconds since the epoch, by its clock; 0: unknown.

    `since`: the present state is not older. `changed`: nothing was changed later. `opened`: when the outage began.
    `from_bridge`: the bridge set the state on this side; `from_bridge_at`: when the vendor's newest action that is done
    in Alerta was made, for each register of `core.order`. `snoozed_until` is infinite for a snooze without an end.
    `route` names the key; `wanted` tells of Alerta's that the settings let it out; `id` is the vendor's own.
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
    """One side at an instant: what is open, and what was looked up singly (`gone`: asked for, and not there).

    `problem` tells why it is incomplete.
    """

    alerts: Mapping[str, Seen]
    at_seconds: float
    gone: FrozenSet[str] = frozenset()
    looked_up: FrozenSet[str] = frozenset()
    problem: str = ""
    clock_ahead_seconds: float = 0.0


def alerta_side(alert: AlertValues, changed: float, newest_ns: Mapping[str, int], policy: Policy) -> Seen:
    """Read Alerta's side. `changed`: its last change of status; `newest_ns`: what the plugin keeps on it (`order`)."""
    status, begun, started = alert.status, None, 0.0
    lines = [past for past in alert.history if past.status and past.change not in OF_NO_STATUS]
    for past in lines:
        if past.status != status:
            break
        begun = past
    for past in lines:
        if past.status in ENDED and status not in ENDED:
            break
        started = past.at_seconds
    from_bridge = bool(begun and _TOLD.match(begun.text))
    until = end_of(alert, "shelve") or ENDLESS if status == "shelved" else None
    route, wanted = destination(alert, policy)
    own = alert.attributes.get("opsgenie-priority")
    return Seen(
        is_open=status not in ENDED,
        acknowledged=status == "ack",
        snoozed_until=until,
        owner=harmless_name(alert.owner),
        priority=own if own in PRIORITIES else priority_of(alert, policy),
        since=min(begun.at_seconds, changed) if begun and begun.change in _DATED and not from_bridge else 0.0,
        changed=changed,
        opened=newest_ns.get("opened", 0) / 1e9 or (min(started, changed) if changed else started),
        from_bridge=from_bridge,
        from_bridge_at={register: at_ns / 1e9 for register, at_ns in newest_ns.items()},
        route=route.name,
        wanted=wanted and is_wanted(alert.severity, policy),
        id=alert.id,
    )


def alias_of(data: Mapping[str, Any], source: str) -> str:
    """Give the alias of one of our alerts over there; an empty text for everybody else's."""
    alias = data.get("alias")
    ours = data.get("source") == source and isinstance(alias, str) and is_uuid(alias) and alias == alias.lower()
    return str(alias) if ours else ""


def vendor_side(data: Mapping[str, Any], route: str) -> Optional[Seen]:
    """Read an alert of Opsgenie's or JSM's, as the key of `route` shows it; None where it cannot be read.

    https://docs.opsgenie.com/docs/alert-api; the full API of JSM has more states, and names fewer instants.
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
    took = None if snoozed else report.get(what)
    dated = isinstance(took, int) and 0 <= took < 10**12 and created > 0
    priority = text_of(data, "priority")
    return Seen(
        is_open=is_open,
        acknowledged=is_open and acknowledged,
        snoozed_until=(until or ENDLESS) if is_open and snoozed else None,
        owner=harmless_name(text_of(data, "owner")),
        priority=priority if priority in PRIORITIES else "",
        since=created + took / 1000 if isinstance(took, int) and dated and not (from_bridge and is_open) else 0.0,
        changed=changed,
        opened=created,
        from_bridge=from_bridge,
        route=route,
        id=str(data.get("id", ""))[:100],
    )


def listed(found: Iterable[Tuple[str, Mapping[str, Any]]], source: str) -> Dict[str, Seen]:
    """Read a list of the vendor's alerts, each with the route whose key showed it: those that are ours, and open."""
    alerts: Dict[str, Seen] = {}
    for route, data in found:
        alias = alias_of(data, source)
        seen = vendor_side(data, route) if alias else None
        if seen is not None and seen.is_open:
            alerts.setdefault(alias, seen)
    return alerts


def with_looks(vendor: Snapshot, looks: Mapping[str, Tuple[str, Mapping[str, Any]]], source: str) -> Snapshot:
    """Add what single looks showed: the route of each alert, and its data (empty: the vendor has none)."""
    alerts = dict(vendor.alerts)
    for name, (route, data) in looks.items():
        seen = vendor_side(data, route) if alias_of(data, source) == name else None
        if seen is not None:
            alerts[name] = seen
    gone = frozenset(name for name, (_, data) in looks.items() if not data)
    return vendor._replace(alerts=alerts, gone=gone, looked_up=frozenset(looks))
