"""The rules of a reconcile sweep, without I/O: compare Alerta with the vendor, and list the repairs.

Both sides are compared with the state on which they last agreed. For each field the first row that applies decides
which side is right:

| known fact | right side |
|---|---|
| the vendor's alert is older than a known change of it: an old copy was restored | Alerta |
| the bridge set the state of one side, but not that of the other | the other: it was changed since |
| the times prove that one state is newer than any change of the other side | the newer one |
| one side still is as both agreed | the other |
| none of these | by the field's policy: `alerta`, `opsgenie`, or none (`report`) |

An end closes the outage on both sides, unless the other side was opened after it:

| Alerta | the vendor | |
|---|---|---|
| open | ended after Alerta's alert was opened | close it in Alerta |
| open | ended before that, and the vendor never had this outage | create it |
| open, to be sent | certainly never had it | create it |
| open | had it, and does not show it any more | report: people may have deleted it, and must not be paged again |
| ended, or deleted | open | close it at the vendor |
| ended | opened clearly later (Alerta is an old copy) | open it in Alerta |

A difference is not repaired if it is younger than the grace period, if an action of the alert is in flight, or if only
one sweep has seen it. The sweep stops if a side is incomplete or if more repairs are due than the limit.
"""

import json
from collections import Counter
from typing import Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

from .agreed import AgreedState
from .last_change import (
    ACK,
    ALERTA,
    DOUBT_SECONDS,
    ENDED,
    IS_SAME,
    OPEN,
    OPSGENIE,
    SNOOZED,
    is_same_state,
    last_changed_side,
    state_of,
)
from .people import is_account_id
from .snapshot import AlertState, Snapshot

REPORT, OFF = "report", "off"
POLICIES = (ALERTA, OPSGENIE, REPORT, OFF)
FIELDS: Mapping[str, str] = {
    "presence": ALERTA,
    "open": ALERTA,
    "acknowledged": OPSGENIE,
    "snoozed": OPSGENIE,
    "owner": OPSGENIE,
    "priority": REPORT,
}
"""The compared fields, and the right side of each if nothing shows which side changed it."""

INTERVAL_SECONDS = 300.0
GRACE_SECONDS = 120.0
MOST_APART_SECONDS = 60.0
"""If the clocks differ by more, times prove no order."""
SWEEPS = 2
MOST_ATTEMPTS = 2
LIMIT = 25
"""The maximum of creates, and of closes, in one sweep. For other steps it is `_OTHER_STEPS` times as many."""
_OTHER_STEPS = 4
MOST_LOOKS = 100
_LONGEST_SECONDS = 86400.0
_FAR_FUTURE = 1e11  # a snooze without an end, as a number for the database

Suspects = Mapping[str, Tuple[str, int]]
"""The findings of the sweeps before: `ID FIELD` to the repair, and in how many consecutive sweeps it was due."""


def read_interval(value: object) -> float:
    """Read the seconds between two sweeps; 0: no sweeps. Raises ValueError."""
    if value is False or str(value).strip().lower() in ("off", "no", "false", "0"):
        return 0.0
    seconds = float(str(value))
    if not 1.0 <= seconds <= _LONGEST_SECONDS:
        raise ValueError(f"{value!r} is neither off nor from 1 to {_LONGEST_SECONDS:.0f} seconds")
    return seconds


def read_policies(wanted: Mapping[str, object]) -> Mapping[str, str]:
    """Return the policy of each field: `wanted` over the defaults. Raises ValueError."""
    for field, policy in wanted.items():
        if field not in FIELDS or policy not in POLICIES:
            fields, words = ", ".join(FIELDS), ", ".join(POLICIES)
            raise ValueError(f"{field}: {policy}: the fields are {fields}, and each is one of {words}")
    return {**FIELDS, **{field: str(policy) for field, policy in wanted.items()}}


class Known(NamedTuple):
    """What is known in addition to the snapshots.

    `since_seconds`: from then on `agreed` has each alert that the vendor received; None: it is not complete, so nothing
    proves that an alert was not sent. `busy`: the alerts with waiting requests or actions. `vendor_takes`: the steps
    that the key of each route can do. More repairs than `limit` stop the sweep.
    """

    agreed: Mapping[str, AgreedState] = {}
    suspects: Mapping[str, Tuple[str, int]] = {}
    busy: FrozenSet[str] = frozenset()
    since_seconds: Optional[float] = None
    policies: Mapping[str, str] = FIELDS
    vendor_takes: Mapping[str, FrozenSet[str]] = {}
    grace_seconds: float = GRACE_SECONDS
    limit: int = LIMIT


class Repair(NamedTuple):
    """The `steps` to do on one side (`side`), in order. `right` is the state of the alert on the right side."""

    alert: str
    field: str
    side: str
    steps: Tuple[str, ...]
    right: AlertState
    reason: str


class Finding(NamedTuple):
    """A difference that a person has to resolve."""

    alert: str
    field: str
    text: str


class Sweep(NamedTuple):
    """The result of one comparison.

    `waiting`: the repairs that wait for the next sweep. `stopped`: why nothing is repaired. `agreed`: the new states on
    which both sides agree. `forget`: the alerts whose agreed state is to be deleted.
    """

    repairs: Tuple[Repair, ...] = ()
    waiting: Tuple[Repair, ...] = ()
    findings: Tuple[Finding, ...] = ()
    stopped: str = ""
    suspects: Mapping[str, Tuple[str, int]] = {}
    agreed: Mapping[str, AgreedState] = {}
    forget: Tuple[str, ...] = ()


_Drift = Union[Repair, Finding]


def to_look_up(one: Snapshot, other: Snapshot, suspects: Iterable[str] = (), turn: int = 0) -> List[str]:
    """Return the alerts that are open and wanted on one side and not in the other's list: each needs a lookup.

    Those that the last sweep found come first. The others start at another place in each `turn`, so that each is looked
    up although one sweep makes at most `MOST_LOOKS` lookups.
    """
    wanted = (name for name, state in one.alerts.items() if state.is_open and state.wanted)
    names = sorted(name for name in wanted if name not in other.alerts and name not in other.gone)
    suspected = {key.partition(" ")[0] for key in suspects}
    rest = [name for name in names if name not in suspected]
    first = [name for name in names if name in suspected]
    start = turn * max(1, MOST_LOOKS - len(first)) % len(rest) if rest else 0
    return [*first, *rest[start:], *rest[:start]]


def read_suspects(text: str) -> Suspects:
    """Read suspects from JSON; empty if it is invalid."""
    try:
        return {str(key): (str(what), int(times)) for key, (what, times) in json.loads(text or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def reconcile(alerta: Snapshot, vendor: Snapshot, known: Known) -> Sweep:
    """Compare both sides."""
    stopped = alerta.problem or vendor.problem or _contradiction(alerta, vendor, known)
    if stopped:
        return Sweep(stopped=stopped, suspects=known.suspects)
    return _Comparison(alerta, vendor, known).sweep()


def _contradiction(alerta: Snapshot, vendor: Snapshot, known: Known) -> str:
    """Return why the snapshots cannot both be right; empty if they can."""
    apart = abs(vendor.clock_ahead_seconds - alerta.clock_ahead_seconds)
    if apart > MOST_APART_SECONDS:
        return f"the clocks of both sides are {apart:.0f} s apart"
    settled = min(alerta.at_seconds, vendor.at_seconds) - known.grace_seconds
    for name in sorted(vendor.looked_up):
        state = vendor.alerts.get(name)
        if state and state.is_open and max(state.changed, state.opened) < settled:
            return f"the vendor's list lacks the alert {name}, which is open there"
    return ""


# -- What to do

_STEPS: Mapping[Tuple[str, str], Tuple[str, ...]] = {
    (OPEN, ACK): ("acknowledge",),
    (OPEN, SNOOZED): ("snooze",),
    (ACK, OPEN): ("unacknowledge",),
    (ACK, SNOOZED): ("snooze",),
    (SNOOZED, OPEN): ("unsnooze",),
    (SNOOZED, ACK): ("acknowledge",),
    (SNOOZED, SNOOZED): ("snooze",),
    (ENDED, OPEN): ("create",),
    (ENDED, ACK): ("create", "acknowledge"),
    (ENDED, SNOOZED): ("create", "snooze"),
    **{(state, ENDED): ("close",) for state in (OPEN, ACK, SNOOZED)},
}
"""The steps from the state of the wrong side to that of the right side. In Alerta, `create` re-opens the alert."""
_STEPS_OF_FIELDS: Mapping[str, Tuple[str, ...]] = {"owner": ("assign",), "priority": ("prioritise",)}


class _Comparison(NamedTuple):
    alerta: Snapshot
    vendor: Snapshot
    known: Known

    @property
    def now(self) -> float:
        return min(self.alerta.at_seconds, self.vendor.at_seconds)

    @property
    def doubt(self) -> float:
        return DOUBT_SECONDS + abs(self.vendor.clock_ahead_seconds - self.alerta.clock_ahead_seconds)

    def sweep(self) -> Sweep:
        drifts: List[_Drift] = []
        agreed: Dict[str, AgreedState] = {}
        blind = self._blind_routes()
        for name in sorted({*self.alerta.alerts, *self.vendor.alerts}):
            a, v = self.alerta.alerts.get(name), self.vendor.alerts.get(name)
            if self._is_unsettled(name, a, v):
                continue
            found = list(self._compare(name, a, v, blind))
            drifts += found
            if a and v and not found and a.is_open and v.is_open:
                agreed.update(self._agreement(name, a, v))
        return self._decide(drifts, agreed)

    def _is_unsettled(self, name: str, *sides: Optional[AlertState]) -> bool:
        young, base = self.now - self.known.grace_seconds, self.known.agreed.get(name)
        if name in self.known.busy or (base and young < base.at_seconds < self.now + MOST_APART_SECONDS):
            return True
        ends = [abs((state.snoozed_until or 0.0) - self.now) for state in sides if state]
        recent = any(max(state.changed, state.since, state.opened) > young for state in sides if state)
        return recent or any(end < self.known.grace_seconds for end in ends)

    def _compare(
        self, name: str, a: Optional[AlertState], v: Optional[AlertState], blind: Set[str]
    ) -> Iterator[_Drift]:
        base = self.known.agreed.get(name)
        if a and v:
            yield from self._compare_states(name, base, a, v)
            if a.is_open and v.is_open:
                yield from self._compare_values(name, base, a, v)
        elif v and v.is_open and base and name in self.alerta.gone:
            ended = AlertState(is_open=False, route=v.route)
            yield from self._repair(name, "presence", OPSGENIE, ("close",), ended, "it was deleted in Alerta")
        elif a and a.is_open and a.wanted and name in self.vendor.gone:
            yield from self._absent(name, base, a, blind)

    def _absent(self, name: str, base: Optional[AgreedState], a: AlertState, blind: Set[str]) -> Iterator[_Drift]:
        if base and base.confirmed and base.is_open:
            yield from self._report(name, "presence", "the vendor had it and shows it to this key no more")
        elif a.route in blind:
            yield from self._report(name, "presence", "this key sees none of the alerts that the vendor had")
        elif not self._is_since_memory(a):
            yield from self._report(name, "presence", "the vendor does not know it; nothing proves it was never sent")
        else:
            steps = _STEPS[ENDED, state_of(a)]
            yield from self._repair(name, "presence", OPSGENIE, steps, a, "the vendor never had it")

    def _is_since_memory(self, a: AlertState) -> bool:
        """Whether `agreed` would have the alert if the vendor had received this outage."""
        since = self.known.since_seconds
        return since is not None and a.opened > since + DOUBT_SECONDS

    def _compare_states(self, name: str, base: Optional[AgreedState], a: AlertState, v: AlertState) -> Iterator[_Drift]:
        if is_same_state(a, v):
            return
        states = {state_of(a), state_of(v)}
        if ENDED in states:
            yield from self._end(name, base, a, v)
            return
        field = "snoozed" if SNOOZED in states else "acknowledged"
        yield from self._settle(name, field, last_changed_side("state", base, a, v, self.doubt), a, v)

    def _end(self, name: str, base: Optional[AgreedState], a: AlertState, v: AlertState) -> Iterator[_Drift]:
        """Compare an ended alert with an open one: close the open one, unless it was opened after that end."""
        ended, open_, side, other = (v, a, OPSGENIE, ALERTA) if a.is_open else (a, v, ALERTA, OPSGENIE)
        ended = ended._replace(route=v.route)
        doubt = self.doubt if side == OPSGENIE else self.known.grace_seconds  # the vendor may process a create late
        steps = _STEPS[ENDED, state_of(open_)]
        if not (0 < ended.changed < open_.opened - doubt):
            proven = 0 < open_.opened <= ended.since or bool(base and base.is_open)
            rule = self.known.policies["open"]
            if proven or rule == side:
                yield from self._repair(name, "open", other, ("close",), ended, "it has ended on the other side")
            else:
                yield from self._report(name, "open", f"it has ended in {side}; nothing proves when {other} opened it")
        elif side == ALERTA:
            yield from self._repair(name, "open", ALERTA, steps, v, "the vendor's alert is newer than Alerta's end")
        elif base and base.is_open and base.confirmed:
            yield from self._report(name, "presence", "the vendor had this outage and shows an older one only")
        elif a.wanted and self._is_since_memory(a):
            yield from self._repair(name, "presence", OPSGENIE, steps, a, "it came again, and the vendor never had it")
        elif a.wanted:
            yield from self._report(name, "presence", "it came again; nothing proves that the vendor never had it")

    def _compare_values(self, name: str, base: Optional[AgreedState], a: AlertState, v: AlertState) -> Iterator[_Drift]:
        if v.owner and not is_account_id(v.owner) and not IS_SAME["owner"](a, v):
            yield from self._owner(name, base if base and base.is_open else None, a, v)
        if a.priority and v.priority and a.priority != v.priority:
            yield from self._settle(name, "priority", last_changed_side("priority", base, a, v, self.doubt), a, v)

    def _owner(self, name: str, base: Optional[AgreedState], a: AlertState, v: AlertState) -> Iterator[_Drift]:
        """Compare the owners; the vendor has one. Alerta's owner may be that of an earlier outage."""
        if a.owner:
            yield from self._settle(name, "owner", last_changed_side("owner", base, a, v, self.doubt), a, v)
        elif base is None or not IS_SAME["owner"](base, v):  # else it was removed in Alerta
            yield from self._settle(name, "owner", OPSGENIE, a, v)

    def _settle(self, name: str, field: str, right: Optional[str], a: AlertState, v: AlertState) -> Iterator[_Drift]:
        reason = "it was changed there last" if right else "by the policy: nothing shows where it was changed last"
        right = right or self.known.policies[field]
        if right == ALERTA:
            steps = _STEPS_OF_FIELDS.get(field) or _STEPS[state_of(v), state_of(a)]
            yield from self._repair(name, field, OPSGENIE, steps, a._replace(route=v.route), reason)
        elif right == OPSGENIE:
            steps = _STEPS_OF_FIELDS.get(field) or _STEPS[state_of(a), state_of(v)]
            yield from self._repair(name, field, ALERTA, steps, v, reason)
        else:
            yield from self._report(name, field, "both sides differ, and nothing shows where it was changed last")

    def _repair(
        self, name: str, field: str, side: str, steps: Tuple[str, ...], right: AlertState, reason: str
    ) -> Iterator[_Drift]:
        takes = self.known.vendor_takes.get(right.route)
        if field == "presence" and self.known.policies[field] == REPORT:
            yield from self._report(name, field, reason)
        elif side == OPSGENIE and takes is not None and not takes.issuperset(steps):
            yield from self._report(name, field, f"the vendor's key cannot do this: {', '.join(steps)}")
        elif self.known.policies[field] != OFF:
            yield Repair(name, field, side, steps, right, reason)

    def _report(self, name: str, field: str, text: str) -> Iterator[_Drift]:
        if self.known.policies[field] != OFF:
            yield Finding(name, field, text)

    def _blind_routes(self) -> Set[str]:
        """Return the routes whose key shows none of the alerts that the vendor has received."""
        had = {name for name, base in self.known.agreed.items() if base.confirmed and base.is_open}
        routes = {name: a.route for name, a in self.alerta.alerts.items() if a.is_open and name in had}
        return set(routes.values()) - {route for name, route in routes.items() if name in self.vendor.alerts}

    # -- The agreed state, two sweeps, limits

    def _agreement(self, name: str, a: AlertState, v: AlertState) -> Mapping[str, AgreedState]:
        owner = a.owner or v.owner
        until = None if a.snoozed_until is None else min(a.snoozed_until, v.snoozed_until or _FAR_FUTURE, _FAR_FUTURE)
        acknowledged = state_of(a) == ACK
        new = AgreedState(True, acknowledged, until, owner, a.priority or v.priority or "P3", True, self.now)
        base = self.known.agreed.get(name)
        return {} if base and base._replace(at_seconds=self.now) == new else {name: new}

    def _decide(self, drifts: Sequence[_Drift], agreed: Mapping[str, AgreedState]) -> Sweep:
        suspects: Dict[str, Tuple[str, int]] = {}
        due: List[Repair] = []
        waiting: List[Repair] = []
        findings = [drift for drift in drifts if isinstance(drift, Finding)]
        for repair in (drift for drift in drifts if isinstance(drift, Repair)):
            key, what = f"{repair.alert} {repair.field}", f"{repair.side} {' '.join(repair.steps)}"
            before, times = self.known.suspects.get(key, ("", 0))
            times = times + 1 if before == what else 1
            suspects[key] = (what, times)
            if times > SWEEPS * MOST_ATTEMPTS:
                findings.append(Finding(repair.alert, repair.field, f"{what}: was done {MOST_ATTEMPTS} times in vain"))
            else:
                (due if times % SWEEPS == 0 else waiting).append(repair)
        stopped = _too_many(due, self.known.limit)
        if stopped:
            return Sweep((), tuple(waiting), tuple(findings), stopped, self.known.suspects)
        ended = sorted(name for name, base in self.known.agreed.items() if self._has_ended(name, base))
        return Sweep(tuple(due), tuple(waiting), tuple(findings), "", suspects, agreed, tuple(ended))

    def _has_ended(self, name: str, base: AgreedState) -> bool:
        sides = (self.alerta.alerts.get(name), self.vendor.alerts.get(name))
        is_settled = name not in self.known.busy and base.at_seconds < self.now - self.known.grace_seconds
        return is_settled and not any(state and state.is_open for state in sides)


def _too_many(due: Sequence[Repair], limit: int) -> str:
    counts = sorted(Counter(repair.steps[0] for repair in due).items())
    allowed = {"create": limit, "close": limit}
    over = [f"{many} to {step}" for step, many in counts if many > allowed.get(step, _OTHER_STEPS * limit)]
    return f"more repairs are due than a sweep may do: {', '.join(over)}" if over else ""
