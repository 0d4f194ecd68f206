"""A model of both sides: actions of people, lost messages, restored backups, and the sweep that repairs the difference.

The model of each side is an `AlertState`, and who did what when. One in five messages to the other side is lost. A
backup of Alerta includes the agreed states, which are in the same database.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerta_opsgenie.core import reconcile as rules
from alerta_opsgenie.core.agreed import AgreedState
from alerta_opsgenie.core.last_change import ALERTA, DOUBT_SECONDS, OPSGENIE, is_same_state
from alerta_opsgenie.core.reconcile import Known, Repair, Sweep, reconcile, to_look_up
from alerta_opsgenie.core.snapshot import AlertState, Snapshot
from tests.support.tiers import amount, grows

NAMES = ("a", "b")
FOREIGN = "x"
POLICIES = {**rules.FIELDS, "priority": OPSGENIE}
DAY = 86400.0
names, lost = st.sampled_from(NAMES), st.sampled_from([True, False, False, False, False])
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("raise_alert", ()),
    *(("operate", (what,)) for what in ("acknowledge", "unacknowledge", "snooze", "unsnooze", "close")),
    *(("assign_in_alerta", (owner,)) for owner in ("dora@example.com", "emil@example.com")),
    ("delete", ()),
    *(("act", (what,)) for what in ("acknowledge", "unacknowledge", "snooze", "close")),
    *(("take", (owner,)) for owner in ("alice@example.com", "bob@example.com")),
    *(("prioritise", (priority,)) for priority in ("P1", "P4")),
    ("write_note", ()),
)


@dataclass
class Alert:
    """An alert on one side; `acted_at` is when a person last changed its state there, `outage` which one it is of."""

    seen: AlertState
    outage: int
    acted_at: float = 0.0


@dataclass
class World:
    """Both sides, and which outages people have closed at the vendor, which only the test knows."""

    alerta: dict[str, Alert] = field(default_factory=dict)
    vendor: dict[str, Alert] = field(default_factory=dict)
    memory: dict[str, AgreedState] = field(default_factory=dict)
    closed_by_people: set[tuple[str, int]] = field(default_factory=set)


class Sides(RuleBasedStateMachine):
    """Ten kinds of action, and sweeps in between."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.outages = 0
        self.world = World(vendor={FOREIGN: Alert(AlertState(is_open=True, changed=self.now, opened=self.now), 0)})
        self.copies: dict[str, Any] = {}
        self.suspects: rules.Suspects = {}
        self.last = Sweep()

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.raise_alert(name, is_lost=False)
        self.keep_copy(ALERTA)
        self.keep_copy(OPSGENIE)

    @rule(kind=st.sampled_from(range(len(KINDS))), name=names, is_lost=lost)
    def happen(self, kind: int, name: str, is_lost: bool) -> None:
        method, values = KINDS[kind]
        getattr(self, method)(name, *values, is_lost)

    # -- What happens in Alerta

    def raise_alert(self, name: str, is_lost: bool) -> None:
        self.now += 60
        known = self.world.alerta.get(name)
        if known and known.seen.is_open:
            return
        self.outages += 1
        owner = known.seen.owner if known else ""
        seen = AlertState(is_open=True, owner=owner, priority="P2", changed=self.now, opened=self.now, id=name)
        self.world.alerta[name] = Alert(seen, self.outages, self.now)
        if not is_lost:
            self.create(name)

    def operate(self, name: str, what: str, is_lost: bool) -> None:
        self.now += 60
        alert = self.world.alerta.get(name)
        if alert is None or not self.change(alert.seen, what):
            return
        alert.seen = self.change(alert.seen, what)._replace(since=self.now, changed=self.now, from_bridge=False)  # type: ignore[union-attr]
        alert.acted_at = self.now
        if not is_lost:
            self.tell_vendor(name, what, alert.seen)

    def assign_in_alerta(self, name: str, owner: str, is_lost: bool) -> None:
        self.now += 60
        alert = self.world.alerta.get(name)
        if alert and alert.seen.is_open:
            alert.seen = alert.seen._replace(owner=owner)
            if not is_lost:
                self.tell_vendor(name, "assign", alert.seen)

    def delete(self, name: str, is_lost: bool) -> None:
        self.now += 60
        if self.world.alerta.pop(name, None) and not is_lost:
            self.tell_vendor(name, "close", AlertState(is_open=False))

    # -- Actions at the vendor

    def act(self, name: str, what: str, is_lost: bool) -> None:
        self.now += 60
        alert = self.world.vendor.get(name)
        changed = alert and self.change(alert.seen, what)
        if alert is None or not changed:
            return
        since = self.now if what in ("acknowledge", "close") else 0.0
        alert.seen, alert.acted_at = changed._replace(changed=self.now, since=since, from_bridge=False), self.now
        if what == "close":
            self.world.closed_by_people.add((name, alert.outage))
        if not is_lost:
            self.tell_alerta(name, what, alert.seen)

    def take(self, name: str, owner: str, is_lost: bool) -> None:
        self.change_value(name, "assign", is_lost, owner=owner)

    def prioritise(self, name: str, priority: str, is_lost: bool) -> None:
        self.change_value(name, "prioritise", is_lost, priority=priority)

    def write_note(self, name: str, is_lost: bool) -> None:
        self.now += 60
        alert = self.world.vendor.get(name)
        if alert and not is_lost:
            alert.seen = alert.seen._replace(changed=self.now)

    # -- Copies

    @rule(side=st.sampled_from([ALERTA, OPSGENIE]))
    def keep_copy(self, side: str) -> None:
        world = self.world
        self.copies[side] = copy.deepcopy((world.alerta, world.memory) if side == ALERTA else world.vendor)

    @rule(side=st.sampled_from([ALERTA, OPSGENIE]))
    def put_copy_back(self, side: str) -> None:
        self.now += 60
        if side == ALERTA:
            self.world.alerta, self.world.memory = copy.deepcopy(self.copies[side])
        else:
            self.world.vendor = copy.deepcopy(self.copies[side])

    # -- The sweep

    @rule()
    def agree(self) -> None:
        self.suspects = {}
        for _ in range(rules.SWEEPS):
            self.now += 300
            self.sweep()
        self.now += 300
        self.suspects = {}
        excused = {finding.alert for finding in self.sweep().findings if finding.field == "presence"}
        assert not self.last.waiting, self.last.waiting
        for name in set(self.world.alerta) & set(self.world.vendor) - excused:
            a, v = self.world.alerta[name].seen, self.world.vendor[name].seen
            assert is_same_state(a, v), (name, a, v)
            if a.is_open:
                assert a.priority == v.priority
                assert not v.owner or a.owner == v.owner

    @invariant()
    def nothing_foreign_is_touched(self) -> None:
        assert self.world.vendor[FOREIGN].seen.is_open
        assert FOREIGN not in self.world.memory

    def sweep(self) -> Sweep:
        world = self.world
        vendor = {name: alert.seen for name, alert in world.vendor.items() if alert.seen.is_open}
        alerta = {name: alert.seen for name, alert in world.alerta.items() if alert.seen.is_open or name in vendor}
        there = Snapshot(vendor, self.now)
        here = Snapshot(alerta, self.now, gone=frozenset(set(vendor) - set(alerta)))
        asked = to_look_up(here, there)
        vendor.update({name: world.vendor[name].seen for name in asked if name in world.vendor})
        there = there._replace(looked_up=frozenset(asked), gone=frozenset(set(asked) - set(vendor)))
        known = Known(dict(world.memory), self.suspects, since_seconds=1.0, policies=POLICIES)
        self.last = found = reconcile(here, there, known)
        assert not found.stopped
        self.suspects = found.suspects
        world.memory.update(found.agreed)
        for name in found.forget:
            world.memory.pop(name, None)
        for repair in found.repairs:
            self.check(repair)
            self.repair(repair)
        return found

    def check(self, repair: Repair) -> None:
        """No repair undoes a provably newer change, and none pages for an outage that people have closed."""
        a, v = self.world.alerta.get(repair.alert), self.world.vendor.get(repair.alert)
        if repair.side == OPSGENIE and "create" in repair.steps:
            assert a is not None
            assert (repair.alert, a.outage) not in self.world.closed_by_people
            return
        ends = "close" in repair.steps or "create" in repair.steps  # of the outage
        if a and v and repair.field in ("acknowledged", "snoozed") and not ends:
            loser, winner = (a, v) if repair.side == ALERTA else (v, a)
            is_proven = loser.seen.since > winner.seen.changed + DOUBT_SECONDS
            assert not (is_proven and not loser.seen.from_bridge), (repair, a, v)

    def repair(self, repair: Repair) -> None:
        for step in repair.steps:
            if repair.side == OPSGENIE:
                self.create(repair.alert) if step == "create" else self.tell_vendor(repair.alert, step, repair.right)
            else:
                self.tell_alerta(repair.alert, step, repair.right)

    # -- Messages to the other side

    def create(self, name: str) -> None:
        alert, there = self.world.alerta[name], self.world.vendor.get(name)
        if there is None or not there.seen.is_open:
            new = AlertState(is_open=True, priority=alert.seen.priority, changed=self.now, opened=self.now, id=name)
            self.world.vendor[name] = Alert(new, alert.outage)
        self.world.memory[name] = AgreedState(True, priority=alert.seen.priority, confirmed=True, at_seconds=self.now)

    def tell_vendor(self, name: str, what: str, wanted: AlertState) -> None:
        alert = self.world.vendor.get(name)
        changed = alert and self.change(alert.seen, what, wanted)
        if alert is None or not changed:
            return
        alert.seen = changed._replace(changed=self.now)
        if what not in ("assign", "prioritise"):
            alert.seen = alert.seen._replace(since=0.0, from_bridge=what in ("acknowledge", "close"))
        self.remember(name, alert.seen, what)

    def tell_alerta(self, name: str, what: str, wanted: AlertState) -> None:
        alert = self.world.alerta.get(name)
        changed = alert and self.change(alert.seen, what, wanted)
        if alert is None or not changed:
            return
        register = {"assign": "owner", "prioritise": "priority"}.get(what, "state")
        from_bridge_at = {**alert.seen.from_bridge_at, register: wanted.changed}
        if register == "state":
            changed = changed._replace(changed=self.now, since=0.0, from_bridge=True)
            opened = self.now if what == "create" else changed.opened
            changed = changed._replace(opened=opened)
        alert.seen = changed._replace(from_bridge_at=from_bridge_at)
        if what == "create" and name in self.world.vendor:
            alert.outage = self.world.vendor[name].outage
        self.remember(name, alert.seen, what)

    def remember(self, name: str, seen: AlertState, what: str) -> None:
        """Store the agreed state, only for the field of the message."""
        state = {"is_open": seen.is_open, "acknowledged": seen.acknowledged, "snoozed_until": seen.snoozed_until}
        values = {"assign": {"owner": seen.owner}, "prioritise": {"priority": seen.priority}}.get(what, state)
        known = self.world.memory.get(name, AgreedState(is_open=True))
        self.world.memory[name] = known._replace(confirmed=True, at_seconds=self.now, **values)

    def change_value(self, name: str, what: str, is_lost: bool, **values: str) -> None:
        self.now += 60
        alert = self.world.vendor.get(name)
        if alert and alert.seen.is_open:
            alert.seen = alert.seen._replace(changed=self.now, **values)  # type: ignore[arg-type]
            if not is_lost:
                self.tell_alerta(name, what, alert.seen)

    def change(self, seen: AlertState, what: str, wanted: AlertState | None = None) -> AlertState | None:
        """Return the alert after an action; None where the side refuses it."""
        end = wanted.snoozed_until if wanted and wanted.snoozed_until else self.now + DAY
        if what == "create":
            return None if seen.is_open else seen._replace(is_open=True, acknowledged=False, snoozed_until=None)
        is_snoozed = seen.snoozed_until is not None
        allowed = {
            "acknowledge": not seen.acknowledged or is_snoozed,
            "unacknowledge": seen.acknowledged and not is_snoozed,
            "unsnooze": is_snoozed,
        }
        if not seen.is_open or not allowed.get(what, True):
            return None
        if what in ("assign", "prioritise"):
            given = wanted or seen
            return seen._replace(owner=given.owner) if what == "assign" else seen._replace(priority=given.priority)
        states = {
            "acknowledge": {"acknowledged": True, "snoozed_until": None},
            "unacknowledge": {"acknowledged": False},
            "snooze": {"snoozed_until": end, "acknowledged": False},
            "unsnooze": {"snoozed_until": None, "acknowledged": False},
            "close": {"is_open": False, "snoozed_until": None, "acknowledged": False},
        }
        return seen._replace(**states[what])  # type: ignore[arg-type]


Sides.TestCase.settings = settings(max_examples=amount(60, 1500), stateful_step_count=40)
TestSides = grows(Sides.TestCase)
