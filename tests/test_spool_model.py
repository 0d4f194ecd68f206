"""The spool against a model in plain Python, through random steps with crashes and other processes among them."""

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alerta_opsgenie.journal import Entry, Spool, store
from tests.support.spool_aids import copy_files, in_child, kill_me, killed_in_child

KEYS = st.sampled_from([f"k{number}" for number in range(10)])
LANES = st.sampled_from(["a", "a", "a", "b"])
SECONDS = st.integers(0, 30).map(float)
NUMBERS = st.lists(st.integers(1, 15), max_size=4)


class Model:
    """What a spool should hold, without any thought for disks and processes."""

    def __init__(self) -> None:
        self.entries: Dict[int, Entry] = {}
        self.delivered: Dict[str, float] = {}
        self.next_id = 1

    def change(self, number: int, **fields: Any) -> Entry:
        self.entries[number] = dataclasses.replace(self.entries[number], **fields)
        return self.entries[number]

    def keep(self, key: str, lane: str, order_ns: int, now: float, due_at: Optional[float]) -> bool:
        if key in self.delivered or any(entry.key == key for entry in self.entries.values()):
            return False
        self.entries[self.next_id] = Entry(
            id=self.next_id, key=key, lane=lane, order_ns=order_ns, body=f"{key} {now}", kind="kind", state="waiting",
            attempts=0, kept_at=now, due_at=now if due_at is None else due_at, reason="", detail="", attempted_at=None,
            since=now,
        )
        self.next_id += 1
        return True

    def waiting(self, lane: str) -> List[Entry]:
        found = [entry for entry in self.entries.values() if entry.lane == lane and entry.state == "waiting"]
        return sorted(found, key=lambda entry: (entry.order_ns, entry.id))

    def lanes(self) -> Dict[str, int]:
        names = {entry.lane for entry in self.entries.values() if entry.state == "waiting"}
        return {name: len(self.waiting(name)) for name in names}

    def ready_at(self, lane: str) -> float:
        waiting = self.waiting(lane)
        leases = [entry.leased_until for entry in waiting if entry.leased_until is not None]
        return max([waiting[0].due_at, *leases])

    def claimable(self, now: float, lane: Optional[str]) -> Tuple[float, List[str]]:
        """The lanes that may be served next: those due the longest."""
        ready = {name: self.ready_at(name) for name in self.lanes() if lane in (None, name)}
        first = min(ready.values(), default=now + 1.0)
        return first, [name for name, instant in ready.items() if instant == first and instant <= now]

    def claim(self, lane: str, now: float, until: float) -> Entry:
        for entry in self.waiting(lane):
            self.change(entry.id, leased_until=None)
        head = self.waiting(lane)[0]
        claimed = dataclasses.replace(head, leased_until=until, claims=head.claims + 1, owner="model")
        attempted_at = now if head.attempted_at is None else head.attempted_at
        self.entries[head.id] = dataclasses.replace(claimed, attempted_at=attempted_at)
        return claimed

    def holds(self, entry: Entry) -> bool:
        now = self.entries.get(entry.id)
        return now is not None and now.claims == entry.claims and now.leased_until is not None


class SpoolMachine(RuleBasedStateMachine):
    """Each rule does the same to a spool and to the model; the invariants compare all that can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="spool-model-"))
        self.copies = 0
        self.model = Model()
        self.now = 1000.0
        self.held: List[Entry] = []
        self.spools: List[Spool] = []
        self.turn = 0

    @initialize()
    def open_both(self) -> None:
        self.directory = self.root / "0"
        self.spools = [Spool(self.directory), Spool(self.directory)]

    def teardown(self) -> None:
        for spool in self.spools:
            spool.close()
        shutil.rmtree(self.root)

    @property
    def spool(self) -> Spool:
        """One of two objects on the same directory, in turn."""
        self.turn += 1
        return self.spools[self.turn % 2]

    # --- steps -------------------------------------------------------------------------------------------------------

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=KEYS, lane=LANES, order_ns=st.integers(0, 4), delay=st.one_of(st.none(), SECONDS))
    def keep(self, key: str, lane: str, order_ns: int, delay: Optional[float]) -> None:
        work = self.keeping(key, lane, order_ns, delay)
        assert work() == self.model.keep(key, lane, order_ns, self.now, self.due_at(delay))

    def due_at(self, delay: Optional[float]) -> Optional[float]:
        return None if delay is None else self.now + delay

    def keeping(self, key: str, lane: str, order_ns: int, delay: Optional[float]) -> Callable[[], bool]:
        spool, now = self.spool, self.now
        due_at = self.due_at(delay)
        return lambda: spool.keep(key, lane, order_ns, f"{key} {now}", now=now, kind="kind", due_at=due_at)

    @rule(lane=st.one_of(st.none(), LANES), lease_seconds=SECONDS)
    def claim(self, lane: Optional[str], lease_seconds: float) -> None:
        entry = self.spool.claim(self.now, lease_seconds, "model", lane)
        self.claimed(entry, lane, lease_seconds)

    def claimed(self, entry: Optional[Entry], lane: Optional[str], lease_seconds: float) -> None:
        _, candidates = self.model.claimable(self.now, lane)
        if entry is None:
            assert not candidates
            return
        assert entry.lane in candidates
        assert entry == self.model.claim(entry.lane, self.now, self.now + lease_seconds)
        self.held.append(entry)

    def some_held(self, choice: int) -> Tuple[Entry, bool]:
        entry = self.held[choice % len(self.held)]
        return entry, self.model.holds(entry)

    @precondition(lambda self: self.held)
    @rule(choice=st.integers(0, 50))
    def deliver(self, choice: int) -> None:
        entry, holds = self.some_held(choice)
        assert self.spool.deliver(entry, self.now) == holds
        if holds:
            del self.model.entries[entry.id]
            self.model.delivered[entry.key] = self.now

    @precondition(lambda self: self.held)
    @rule(choice=st.integers(0, 50), seconds=SECONDS)
    def postpone(self, choice: int, seconds: float) -> None:
        entry, holds = self.some_held(choice)
        assert self.spool.postpone(entry, self.now + seconds, "timeout", "words") == holds
        if holds:
            attempts = self.model.entries[entry.id].attempts + 1
            self.model.change(
                entry.id, attempts=attempts, due_at=self.now + seconds, reason="timeout", detail="words",
                leased_until=None,
            )

    @precondition(lambda self: self.held)
    @rule(choice=st.integers(0, 50))
    def bury(self, choice: int) -> None:
        entry, holds = self.some_held(choice)
        assert self.spool.bury(entry, "refused", "words", self.now) == holds
        if holds:
            attempts = self.model.entries[entry.id].attempts + 1
            self.model.change(
                entry.id, attempts=attempts, state="dead", since=self.now, reason="refused", detail="words",
                leased_until=None,
            )

    @precondition(lambda self: self.held)
    @rule(choice=st.integers(0, 50))
    def release(self, choice: int) -> None:
        entry, holds = self.some_held(choice)
        assert self.spool.release(entry) == holds
        if holds:
            self.model.change(entry.id, leased_until=None)

    @precondition(lambda self: self.held)
    @rule(choice=st.integers(0, 50), lease_seconds=SECONDS)
    def renew(self, choice: int, lease_seconds: float) -> None:
        entry, holds = self.some_held(choice)
        assert self.spool.renew(entry, self.now, lease_seconds) == holds
        if holds:
            self.model.change(entry.id, leased_until=self.now + lease_seconds)

    @rule(age=SECONDS)
    def expire(self, age: float) -> None:
        limit = self.now - age
        old = [
            entry for entry in self.model.entries.values()
            if entry.state == "waiting" and entry.since <= limit
            and (entry.leased_until is None or entry.leased_until <= self.now)
        ]
        for entry in old:
            detail = f"{entry.reason}: {entry.detail}" if entry.reason else ""
            self.model.change(
                entry.id, state="dead", since=self.now, reason="expired", detail=detail, leased_until=None
            )
        assert self.spool.expire(self.now, age) == [self.model.entries[entry.id] for entry in old]

    @rule(numbers=NUMBERS)
    def retry(self, numbers: List[int]) -> None:
        dead = {number for number in numbers if number in self.model.entries} - {
            entry.id for entry in self.model.entries.values() if entry.state == "waiting"
        }
        for number in dead:
            self.model.change(number, state="waiting", since=self.now, due_at=self.now)
        assert self.spool.retry(numbers, self.now) == len(dead)

    @rule(numbers=NUMBERS)
    def drop(self, numbers: List[int]) -> None:
        there = {number for number in numbers if self.model.entries.pop(number, None)}
        assert self.spool.drop(numbers) == len(there)

    @rule(key=KEYS)
    def remember(self, key: str) -> None:
        self.spool.remember(key, self.now)
        self.model.delivered[key] = self.now

    @rule(age=SECONDS)
    def prune(self, age: float) -> None:
        old = [key for key, at in self.model.delivered.items() if at <= self.now - age]
        for key in old:
            del self.model.delivered[key]
        assert self.spool.prune(self.now, age) == len(old)

    # --- crashes -----------------------------------------------------------------------------------------------------

    @rule()
    def close_and_reopen(self) -> None:
        for spool in self.spools:
            spool.close()
        self.spools = [Spool(self.directory), Spool(self.directory)]

    @rule()
    def power_fails(self) -> None:
        """What is on the disk at this moment is all that the next process has."""
        self.copies += 1
        copy_files(self.directory, self.root / str(self.copies))
        for spool in self.spools:
            spool.close()
        self.directory = self.root / str(self.copies)
        self.spools = [Spool(self.directory), Spool(self.directory)]

    @rule(key=KEYS, lane=LANES, order_ns=st.integers(0, 4))
    def killed_before_the_commit(self, key: str, lane: str, order_ns: int) -> None:
        work = self.keeping(key, lane, order_ns, None)
        with mock.patch.object(store, "settle", kill_me):
            killed_in_child(work)

    @rule(key=KEYS, lane=LANES, order_ns=st.integers(0, 4))
    def killed_after_the_keeping(self, key: str, lane: str, order_ns: int) -> None:
        killed_in_child(self.keeping(key, lane, order_ns, None))
        self.model.keep(key, lane, order_ns, self.now, None)

    @rule(lease_seconds=SECONDS)
    def another_process_claims(self, lease_seconds: float) -> None:
        spool = self.spool
        entry = in_child(lambda: spool.claim(self.now, lease_seconds, "model"))
        self.claimed(entry, None, lease_seconds)

    # --- what must hold after each step ------------------------------------------------------------------------------

    @invariant()
    def all_entries_are_as_in_the_model(self) -> None:
        if self.spools:
            assert list(self.spool.entries()) == list(self.model.entries.values())

    @invariant()
    def all_figures_are_as_in_the_model(self) -> None:
        if not self.spools:
            return
        entries = self.model.entries.values()
        counts = self.spool.counts(self.now)
        states = [entry.state for entry in entries]
        assert (counts.waiting, counts.dead) == (states.count("waiting"), states.count("dead"))
        assert counts.lanes == len(self.model.lanes())
        assert self.spool.lanes() == self.model.lanes()
        for state, age in (("waiting", counts.oldest_waiting_seconds), ("dead", counts.oldest_dead_seconds)):
            assert age == max((self.now - entry.kept_at for entry in entries if entry.state == state), default=0.0)

    @invariant()
    def the_next_instant_is_as_in_the_model(self) -> None:
        if self.spools:
            ready = [self.model.ready_at(lane) for lane in self.model.lanes()]
            assert self.spool.next_due() == min(ready, default=None)

    @invariant()
    def delivered_keys_are_as_in_the_model(self) -> None:
        if self.spools:
            known = {f"k{number}" for number in range(10) if self.spool.is_delivered(f"k{number}")}
            assert known == set(self.model.delivered)

    @invariant()
    def no_lane_has_two_leases(self) -> None:
        if self.spools:
            leased = [entry.lane for entry in self.spool.entries("waiting") if entry.leased_until is not None]
            assert len(leased) == len(set(leased))


SpoolMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestSpoolMachine = SpoolMachine.TestCase


def test_a_log_that_is_cut_anywhere_is_the_spool_at_an_earlier_step(tmp_path: Path) -> None:
    """Each call is one transaction: no cut shows half of one."""
    states = []
    with Spool(tmp_path / "spool") as spool:
        for step in steps(spool):
            step()
            states.append(snapshot(spool))
        whole = copy_files(tmp_path / "spool", tmp_path / "whole")
    log = (whole / "spool.db-wal").read_bytes()
    seen = []
    for index, length in enumerate(range(0, len(log), 1009)):
        copy = copy_files(whole, tmp_path / str(index))
        (copy / "spool.db-wal").write_bytes(log[:length])
        with Spool(copy) as cut:
            seen.append(snapshot(cut))
            assert cut.set_aside is None
        shutil.rmtree(copy)
    empty: Tuple[Any, ...] = ([], {}, None, False)
    assert set(map(repr, seen)) <= {repr(empty), *map(repr, states)}
    assert len(set(map(repr, seen))) > len(states) // 2


def steps(spool: Spool) -> List[Callable[[], object]]:
    claimed: List[Entry] = []

    def claim() -> None:
        entry = spool.claim(200.0, 10.0, "test")
        assert entry is not None
        claimed.append(entry)

    return [
        *(
            (lambda number=number: spool.keep(f"k{number}", "ab"[number % 2], number, "body" * 500, now=100.0))
            for number in range(6)
        ),
        claim,
        lambda: spool.deliver(claimed[-1], 201.0),
        claim,
        lambda: spool.postpone(claimed[-1], 300.0, "timeout"),
        lambda: spool.expire(500.0, 100.0),
        lambda: spool.retry(range(10), 501.0),
        lambda: spool.drop([3, 4]),
    ]


def snapshot(spool: Spool) -> Tuple[Any, ...]:
    return list(spool.entries()), spool.lanes(), spool.next_due(), spool.is_delivered("k0")


