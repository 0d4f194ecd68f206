"""What differs between Alerta and the vendor, who changed it, and what to do: the rules of a sweep, without I/O.

Both sides are compared with what they last agreed on. Per field the first line that applies decides who is right:

| what is known | right is |
|---|---|
| the vendor's alert was last changed before something that is known of it: an old copy, restored | Alerta |
| one side's state is what the bridge told it, the other's is not | the other: it has moved on |
| the times prove that one state is newer than all that happened on the other side | that one |
| one side still is as both agreed | the other |
| nothing of that | by the field's policy: `alerta`, `opsgenie`, or nobody (`report`) |

An end is different: it ends the outage on both sides, unless the other side was opened after it. So

| Alerta | the vendor | |
|---|---|---|
| open | ended after Alerta's alert was opened | close it in Alerta |
| open | ended before that, and nobody is known to have had this outage | create it |
| open, to be sent | knows no such alert; never had it, and that is certain | create it |
| open | had it, and shows it no more | report: people may have deleted it, and nobody is to be paged again |
| ended, or deleted | open | close it there |
| ended | opened clearly later (Alerta is an old copy) | open it in Alerta |

Nothing is done to what is younger than the grace period, is on its way, or was seen in one sweep alone; nothing at all
where either answer was incomplete or more repairs are due than a real fault would need.
"""

import json
from collections import Counter
from typing import Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

from .agreed import Agreed
from .newer import ACK, ALERTA, DOUBT_SECONDS, ENDED, OPEN, OPSGENIE, SAME, SNOOZED, is_same_state, newer, state_of
from .people import is_account_id
from .sides import Seen, Snapshot

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
"""What is compared, and who is right where nothing shows who changed it."""

INTERVAL_SECONDS = 300.0
GRACE_SECONDS = 120.0
MOST_APART_SECONDS = 60.0
"""Clocks that are further apart prove no order."""
SWEEPS = 2
MOST_ATTEMPTS = 2
LIMIT = 25
"""Creates, and closes, that one sweep may do. Of anything else it is `_OTHERS` times as many."""
_OTHERS = 4
MOST_LOOKS = 100
_LONGEST_SECONDS = 86400.0
_FAR = 1e11  # a snooze without an end, as a number for the database


Suspects = Mapping[str, Tuple[str, int]]
"""What the sweeps before found: `ID FIELD` to what it was, and in how many sweeps running."""


def read_interval(value: object) -> float:
    """Read the seconds between two sweeps; 0: none. Raises ValueError."""
    if value is False or str(value).strip().lower() in ("off", "no", "false", "0"):
        return 0.0
    seconds = float(str(value))
    if not 1.0 <= seconds <= _LONGEST_SECONDS:
        raise ValueError(f"{value!r} is neither off nor from 1 to {_LONGEST_SECONDS:.0f} seconds")
    return seconds


def read_policies(wanted: Mapping[str, object]) -> Mapping[str, str]:
    """Read who is right about each field; those that are not named stay as they are. Raises ValueError."""
    for field, policy in wanted.items():
        if field not in FIELDS or policy not in POLICIES:
            fields, words = ", ".join(FIELDS), ", ".join(POLICIES)
            raise ValueError(f"{field}: {policy}: the fields are {fields}, and each is one of {words}")
    return {**FIELDS, **{field: str(policy) for field, policy in wanted.items()}}


class Known(NamedTuple):
    """What is known beside the snapshots.

    `since_seconds`: from when on each alert that the vendor got is in `agreed`; None: never, so that nothing proves
    that an alert was not sent. `busy` are the alerts of which something is on its way. `vendor_takes` are the steps
    that each route's key can do. More repairs than `limit` stop the sweep.
    """

    agreed: Mapping[str, Agreed] = {}
    suspects: Mapping[str, Tuple[str, int]] = {}
    busy: FrozenSet[str] = frozenset()
    since_seconds: Optional[float] = None
    policies: Mapping[str, str] = FIELDS
    vendor_takes: Mapping[str, FrozenSet[str]] = {}
    grace_seconds: float = GRACE_SECONDS
    limit: int = LIMIT


class Repair(NamedTuple):
    """What to do on one side (`side`): `steps` in their order. `seen` is the side that is right, as it is."""

    alert: str
    field: str
    side: str
    steps: Tuple[str, ...]
    seen: Seen
    reason: str


class Finding(NamedTuple):
    """What differs and is left to a person."""

    alert: str
    field: str
    text: str


class Sweep(NamedTuple):
    """What one comparison came to.

    `waiting` are the repairs that wait for the next sweep; `stopped` says why nothing is done; `agreed` and `forget`
    are for the memory.
    """

    repairs: Tuple[Repair, ...] = ()
    waiting: Tuple[Repair, ...] = ()
    findings: Tuple[Finding, ...] = ()
    stopped: str = ""
    suspects: Mapping[str, Tuple[str, int]] = {}
    agreed: Mapping[str, Agreed] = {}
    forget: Tuple[str, ...] = ()


_Drift = Union[Repair, Finding]


def to_look_up(one: Snapshot, other: Snapshot, suspects: Iterable[str] = (), turn: int = 0) -> List[str]:
    """Name the alerts that are open and wanted on one side and were not in the other's list: each needs a look.

    Those that the last sweep suspects come first. The others follow from another place in each `turn`, so that each has
    its look although one sweep makes `MOST_LOOKS` at most.
    """
    lacking = (name for name, seen in one.alerts.items() if seen.is_open and seen.wanted and name not in other.alerts)
    names = sorted(name for name in lacking if name not in other.gone)
    suspected = {key.partition(" ")[0] for key in suspects}
    rest = [name for name in names if name not in suspected]
    first = [name for name in names if name in suspected]
    start = turn * max(1, MOST_LOOKS - len(first)) % len(rest) if rest else 0
    return [*first, *rest[start:], *rest[:start]]


def read_suspects(text: str) -> Suspects:
    """Read what JSON made of the suspects; nothing of what is none."""
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
    """Say what shows that a list is not what it claims to be."""
    apart = abs(vendor.clock_ahead_seconds - alerta.clock_ahead_seconds)
    if apart > MOST_APART_SECONDS:
        return f"the clocks of both sides are {apart:.0f} s apart"
    settled = min(alerta.at_seconds, vendor.at_seconds) - known.grace_seconds
    for name in sorted(vendor.looked_up):
        seen = vendor.alerts.get(name)
        if seen and seen.is_open and max(seen.changed, seen.opened) < settled:
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
"""From the state of the side that is wrong to that of the side that is right. In Alerta, to create is to open again."""
_OF_VALUES: Mapping[str, Tuple[str, ...]] = {"owner": ("assign",), "priority": ("prioritise",)}


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
        agreed: Dict[str, Agreed] = {}
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

    def _is_unsettled(self, name: str, *sides: Optional[Seen]) -> bool:
        young, base = self.now - self.known.grace_seconds, self.known.agreed.get(name)
        if name in self.known.busy or (base and young < base.at_seconds < self.now + MOST_APART_SECONDS):
            return True
        ends = [abs((seen.snoozed_until or 0.0) - self.now) for seen in sides if seen]
        recent = any(max(seen.changed, seen.since, seen.opened) > young for seen in sides if seen)
        return recent or any(end < self.known.grace_seconds for end in ends)

    def _compare(self, name: str, a: Optional[Seen], v: Optional[Seen], blind: Set[str]) -> Iterator[_Drift]:
        base = self.known.agreed.get(name)
        if a and v:
            yield from self._compare_states(name, base, a, v)
            if a.is_open and v.is_open:
                yield from self._compare_values(name, base, a, v)
        elif v and v.is_open and base and name in self.alerta.gone:
            ended = Seen(is_open=False, route=v.route)
            yield from self._repair(name, "presence", OPSGENIE, ("close",), ended, "it was deleted in Alerta")
        elif a and a.is_open and a.wanted and name in self.vendor.gone:
            yield from self._absent(name, base, a, blind)

    def _absent(self, name: str, base: Optional[Agreed], a: Seen, blind: Set[str]) -> Iterator[_Drift]:
        if base and base.confirmed and base.is_open:
            yield from self._report(name, "presence", "the vendor had it and shows it to this key no more")
        elif a.route in blind:
            yield from self._report(name, "presence", "this key sees none of the alerts that the vendor had")
        elif not self._is_since_memory(a):
            yield from self._report(name, "presence", "the vendor does not know it; nothing proves it was never sent")
        else:
            steps = _STEPS[ENDED, state_of(a)]
            yield from self._repair(name, "presence", OPSGENIE, steps, a, "the vendor never had it")

    def _is_since_memory(self, a: Seen) -> bool:
        """Whether the memory would know if the vendor had ever had this outage."""
        since = self.known.since_seconds
        return since is not None and a.opened > since + DOUBT_SECONDS

    def _compare_states(self, name: str, base: Optional[Agreed], a: Seen, v: Seen) -> Iterator[_Drift]:
        if is_same_state(a, v):
            return
        states = {state_of(a), state_of(v)}
        if ENDED in states:
            yield from self._end(name, base, a, v)
            return
        field = "snoozed" if SNOOZED in states else "acknowledged"
        yield from self._settle(name, field, newer("state", base, a, v, self.doubt), a, v)

    def _end(self, name: str, base: Optional[Agreed], a: Seen, v: Seen) -> Iterator[_Drift]:
        """One side has ended: the other ends too, unless it was opened after that end."""
        ended, open_, side, other = (v, a, OPSGENIE, ALERTA) if a.is_open else (a, v, ALERTA, OPSGENIE)
        ended = ended._replace(route=v.route)
        doubt = self.doubt if side == OPSGENIE else self.known.grace_seconds  # a create may be taken late
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

    def _compare_values(self, name: str, base: Optional[Agreed], a: Seen, v: Seen) -> Iterator[_Drift]:
        if v.owner and not is_account_id(v.owner) and not SAME["owner"](a, v):
            yield from self._owner(name, base if base and base.is_open else None, a, v)
        if a.priority and v.priority and a.priority != v.priority:
            yield from self._settle(name, "priority", newer("priority", base, a, v, self.doubt), a, v)

    def _owner(self, name: str, base: Optional[Agreed], a: Seen, v: Seen) -> Iterator[_Drift]:
        """Where the vendor names nobody nothing is done: Alerta's owner may be that of an earlier outage."""
        if a.owner:
            yield from self._settle(name, "owner", newer("owner", base, a, v, self.doubt), a, v)
        elif base is None or not SAME["owner"](base, v):  # else it was taken out in Alerta
            yield from self._settle(name, "owner", OPSGENIE, a, v)

    def _settle(self, name: str, field: str, right: Optional[str], a: Seen, v: Seen) -> Iterator[_Drift]:
        reason = "it was changed there last" if right else "by the policy: nothing shows where it was changed last"
        right = right or self.known.policies[field]
        if right == ALERTA:
            steps = _OF_VALUES.get(field) or _STEPS[state_of(v), state_of(a)]
            yield from self._repair(name, field, OPSGENIE, steps, a._replace(route=v.route), reason)
        elif right == OPSGENIE:
            steps = _OF_VALUES.get(field) or _STEPS[state_of(a), state_of(v)]
            yield from self._repair(name, field, ALERTA, steps, v, reason)
        else:
            yield from self._report(name, field, "both sides differ, and nothing shows where it was changed last")

    def _repair(
        self, name: str, field: str, side: str, steps: Tuple[str, ...], seen: Seen, reason: str
    ) -> Iterator[_Drift]:
        takes = self.known.vendor_takes.get(seen.route)
        if field == "presence" and self.known.policies[field] == REPORT:
            yield from self._report(name, field, reason)
        elif side == OPSGENIE and takes is not None and not takes.issuperset(steps):
            yield from self._report(name, field, f"the vendor's key cannot do this: {', '.join(steps)}")
        elif self.known.policies[field] != OFF:
            yield Repair(name, field, side, steps, seen, reason)

    def _report(self, name: str, field: str, text: str) -> Iterator[_Drift]:
        if self.known.policies[field] != OFF:
            yield Finding(name, field, text)

    def _blind_routes(self) -> Set[str]:
        """Name the routes whose key sees none of the alerts that the vendor is known to have had."""
        had = {name for name, base in self.known.agreed.items() if base.confirmed and base.is_open}
        routes = {name: a.route for name, a in self.alerta.alerts.items() if a.is_open and name in had}
        return set(routes.values()) - {route for name, route in routes.items() if name in self.vendor.alerts}

    # -- Memory, two sweeps, limits

    def _agreement(self, name: str, a: Seen, v: Seen) -> Mapping[str, Agreed]:
        owner = a.owner or v.owner
        until = None if a.snoozed_until is None else min(a.snoozed_until, v.snoozed_until or _FAR, _FAR)
        acknowledged = state_of(a) == ACK
        new = Agreed(True, acknowledged, until, owner, a.priority or v.priority or "P3", True, self.now)
        base = self.known.agreed.get(name)
        return {} if base and base._replace(at_seconds=self.now) == new else {name: new}

    def _decide(self, drifts: Sequence[_Drift], agreed: Mapping[str, Agreed]) -> Sweep:
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

    def _has_ended(self, name: str, base: Agreed) -> bool:
        sides = (self.alerta.alerts.get(name), self.vendor.alerts.get(name))
        is_settled = name not in self.known.busy and base.at_seconds < self.now - self.known.grace_seconds
        return is_settled and not any(seen and seen.is_open for seen in sides)


def _too_many(due: Sequence[Repair], limit: int) -> str:
    counts = sorted(Counter(repair.steps[0] for repair in due).items())
    allowed = {"create": limit, "close": limit}
    over = [f"{many} to {step}" for step, many in counts if many > allowed.get(step, _OTHERS * limit)]
    return f"more repairs are due than a sweep may do: {', '.join(over)}" if over else ""
