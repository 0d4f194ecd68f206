"""The journal against a model in plain Python, through random steps with crashes and other processes among them."""

import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alerta_opsgenie.journal import Action, Journal, New, tables
from tests.journal.aids import copy_files, in_child, kill_me, killed_in_child

KEYS = st.sampled_from([f"k{number}" for number in range(10)])
ALERTS = st.sampled_from(["a", "a", "a", "b"])
SECONDS = st.integers(0, 30).map(float)
IDS = st.lists(st.integers(1, 15), max_size=4)
CHOICE = st.integers(0, 50)
PAUSE = 60.0


class Model:
    """The expected content of a journal, without disks and processes."""

    def __init__(self) -> None:
        self.rows: Dict[int, Action] = {}
        self.newest: Dict[str, Tuple[int, float]] = {}
        self.next_id = 1

    def change(self, number: int, **fields: Any) -> Action:
        self.rows[number] = self.rows[number]._replace(**fields)
        return self.rows[number]

    def of(self, *states: str, alert: Optional[str] = None) -> List[Action]:
        found = [row for row in self.rows.values() if row.state in states and alert in (None, row.alert)]
        return sorted(found, key=lambda row: (row.order_ns, row.id))

    def append(self, new: New, now: float) -> Action:
        known = [row for row in self.rows.values() if row.key == new.key]
        if known:
            return known[0]
        row = Action(self.next_id, *new, "waiting", 0, now, now, now, "", "", is_new=True)
        self.rows[row.id] = row._replace(is_new=False)
        self.next_id += 1
        return row

    def begin(self, row: Action, now: float) -> Action:
        first = now if row.first_attempt_at is None else row.first_attempt_at
        self.change(row.id, state="in-flight", first_attempt_at=first, reason="")
        return row._replace(state="in-flight")

    def ready(self) -> Dict[str, float]:
        """When the head of each alert may be claimed."""
        free = {row.alert for row in self.of("waiting")} - {row.alert for row in self.of("in-flight")}
        return {alert: self.of("waiting", alert=alert)[0].due_at for alert in free}

    def memory(self, alert: str) -> Dict[str, int]:
        begun = [row for row in self.of("waiting", "in-flight", alert=alert) if row.first_attempt_at is not None]
        remembered = [self.newest[alert][0]] if alert in self.newest else []
        written = remembered + [row.order_ns for row in begun]
        return {"state": max(written)} if written else {}


class JournalMachine(RuleBasedStateMachine):
    """Each rule does the same to a journal and to the model; the invariants compare all that can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="journal-model-"))
        self.copies = 0
        self.model = Model()
        self.now = 1000.0
        self.held: List[Action] = []
        self.journals: List[Journal] = []
        self.turn = 0

    @initialize()
    def open_both(self) -> None:
        self.directory = self.root / "0"
        self.journals = [Journal(self.directory), Journal(self.directory)]

    def teardown(self) -> None:
        for journal in self.journals:
            journal.close()
        shutil.rmtree(self.root)

    @property
    def journal(self) -> Journal:
        """One of two objects on the same directory, in turn."""
        self.turn += 1
        return self.journals[self.turn % 2]

    # -- Steps

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_clock_is_set_back(self) -> None:
        self.now -= 200.0

    def appending(self, key: str, alert: str, order_ns: int) -> Tuple[New, Callable[[], List[Action]]]:
        journal, now = self.journal, self.now
        new = New(key, alert, order_ns, "Close", f"{key} {now}", "{}", f'{{"state": {order_ns}}}', "words")
        return new, lambda: journal.append([new], now)

    @rule(key=KEYS, alert=ALERTS, order_ns=st.integers(0, 4))
    def append(self, key: str, alert: str, order_ns: int) -> None:
        new, work = self.appending(key, alert, order_ns)
        assert work() == [self.model.append(new, self.now)]

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        ready = self.model.ready()
        due = {alert for alert, at in ready.items() if at <= self.now or at > self.now + PAUSE}
        given = self.journal.claim(self.now, limit, PAUSE)
        assert len(given) == min(limit, len(due))
        for action in given:
            assert action.alert in due
            assert action == self.model.begin(self.model.of("waiting", alert=action.alert)[0], self.now)
        self.held += given

    def take_held(self, choice: int) -> Tuple[Action, bool]:
        action = self.held[choice % len(self.held)]
        row = self.model.rows.get(action.id)
        return action, row is not None and row.key == action.key and row.state in ("waiting", "in-flight")

    def following(self, alert: str) -> Optional[Action]:
        at = self.model.ready().get(alert)
        if at is None or at > self.now:
            return None
        return self.model.begin(self.model.of("waiting", alert=alert)[0], self.now)

    def ended(self, action: Action, *, fits: bool, found: Optional[Action], **fields: Any) -> None:
        if fits:
            attempts = self.model.rows[action.id].attempts + 1
            self.model.change(action.id, attempts=attempts, since=self.now, **fields)
        assert found == self.following(action.alert)
        self.held += [found] if found else []

    @precondition(lambda self: any(self.take_held(place)[1] for place in range(len(self.held))))
    @rule(choice=CHOICE)
    def done(self, choice: int) -> None:
        action, fits = self.take_held(choice)
        if not fits:
            return
        found = self.journal.done(
            action, self.now, "applied", "words", wrote={"state": action.order_ns}, claim_next=True
        )
        newest = max(action.order_ns, self.model.newest.get(action.alert, (0, 0.0))[0])
        self.model.newest[action.alert] = (newest, self.now)
        self.ended(action, fits=fits, found=found, state="done", reason="applied", detail="words", body="",
                   options="", writes="")  # fmt: skip

    @precondition(lambda self: self.held)
    @rule(choice=CHOICE)
    def dead(self, choice: int) -> None:
        action, fits = self.take_held(choice)
        if fits:
            found = self.journal.dead(action, self.now, "refused", "words", claim_next=True)
            self.ended(action, fits=fits, found=found, state="dead", reason="refused", detail="words")

    @precondition(lambda self: self.held)
    @rule(choice=CHOICE, seconds=SECONDS)
    def postpone(self, choice: int, seconds: float) -> None:
        action, fits = self.take_held(choice)
        if fits:
            self.journal.postpone(action, self.now, self.now + seconds, "timeout", "words")
            attempts = self.model.rows[action.id].attempts + 1
            self.model.change(action.id, state="waiting", attempts=attempts, due_at=self.now + seconds,
                              reason="timeout", detail="words")  # fmt: skip

    @precondition(lambda self: self.held)
    @rule(choice=CHOICE)
    def release(self, choice: int) -> None:
        action, fits = self.take_held(choice)
        self.journal.release(action)
        if fits and self.model.rows[action.id].state == "in-flight":
            self.model.change(action.id, state="waiting", first_attempt_at=action.first_attempt_at,
                              reason=action.reason)  # fmt: skip

    @rule()
    def recover(self) -> None:
        begun = self.model.of("in-flight")
        assert self.journal.recover(self.now) == len(begun)
        for row in begun:
            self.model.change(row.id, state="waiting", due_at=self.now)

    @rule(age=SECONDS)
    def expire(self, age: float) -> None:
        for row in self.model.of("waiting"):
            self.model.change(row.id, since=min(row.since, self.now))
        old = sorted(row.id for row in self.model.of("waiting") if row.since <= self.now - age)
        for number in old:
            row = self.model.rows[number]
            detail = f"{row.reason}: {row.detail}" if row.reason else ""
            self.model.change(number, state="dead", since=self.now, reason="expired", detail=detail)
        assert self.journal.expire(self.now, age) == [self.model.rows[number] for number in old]

    @rule(ids=IDS)
    def retry(self, ids: List[int]) -> None:
        found = [row for row in self.model.of("waiting", "dead") if row.id in ids]
        for row in found:
            since = self.now if row.state == "dead" else row.since
            self.model.change(row.id, state="waiting", since=since, due_at=self.now)
        assert self.journal.retry(ids, self.now) == len(found)

    @rule(ids=IDS)
    def drop(self, ids: List[int]) -> None:
        found = [row for row in self.model.of("waiting", "dead") if row.id in ids]
        for row in found:
            del self.model.rows[row.id]
        assert self.journal.drop(ids) == len(found)

    @rule(age=SECONDS)
    def prune(self, age: float) -> None:
        old = [row for row in self.model.of("done") if row.since <= self.now - age]
        for row in old:
            del self.model.rows[row.id]
        self.model.newest = {alert: found for alert, found in self.model.newest.items() if found[1] > self.now - age}
        assert self.journal.prune(self.now, age) == len(old)

    # -- Crashes

    @rule()
    def power_fails(self) -> None:
        """The next process has only what is on disk now."""
        self.copies += 1
        copy_files(self.directory, self.root / str(self.copies))
        for journal in self.journals:
            journal.close()
        self.directory = self.root / str(self.copies)
        self.journals = [Journal(self.directory), Journal(self.directory)]

    @rule(key=KEYS, alert=ALERTS, order_ns=st.integers(0, 4))
    def killed_before_the_commit(self, key: str, alert: str, order_ns: int) -> None:
        _, work = self.appending(key, alert, order_ns)
        with mock.patch.object(tables, "put", kill_me):
            killed_in_child(work)

    @rule(key=KEYS, alert=ALERTS, order_ns=st.integers(0, 4))
    def killed_after_the_append(self, key: str, alert: str, order_ns: int) -> None:
        new, work = self.appending(key, alert, order_ns)
        killed_in_child(work)
        self.model.append(new, self.now)

    @rule(key=KEYS, alert=ALERTS, order_ns=st.integers(0, 4))
    def another_process_appends(self, key: str, alert: str, order_ns: int) -> None:
        new, work = self.appending(key, alert, order_ns)
        assert in_child(work) == [self.model.append(new, self.now)]

    # -- What must hold after each step

    @invariant()
    def all_that_can_be_seen_is_as_in_the_model(self) -> None:
        if not self.journals:
            return
        model, rows = self.model, list(self.model.rows.values())
        assert list(self.journal.actions()) == rows
        ready = model.ready()
        too_far = any(at > self.now + PAUSE for at in ready.values())
        due = self.now if too_far else min(ready.values(), default=None)
        found = self.journal.next_due(self.now, PAUSE)
        assert found == due or (found == self.now and due is not None and due <= self.now)
        for alert in ("a", "b"):
            assert self.journal.memory(alert) == model.memory(alert)
            assert self.journal.waits(alert) == bool(model.of("waiting", "in-flight", alert=alert))
            assert len(model.of("in-flight", alert=alert)) <= 1
            words = [row for row in model.of("done", alert=alert) if row.since >= self.now - 10.0]
            assert self.journal.count_words(alert, "words", self.now - 10.0) == len(words)

    @invariant()
    def all_figures_are_as_in_the_model(self) -> None:
        if not self.journals:
            return
        counts, model = self.journal.counts(self.now), self.model
        states = [len(model.of(state)) for state in ("waiting", "in-flight", "dead", "done")]
        assert list(counts[:4]) == states
        assert counts.alerts == len({row.alert for row in model.of("waiting", "in-flight")})
        for age, which in (
            (counts.oldest_waiting_seconds, model.of("waiting", "in-flight")),
            (counts.oldest_dead_seconds, model.of("dead")),
        ):
            assert age == max((max(0.0, self.now - row.accepted_at) for row in which), default=0.0)


JournalMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=40)
TestJournalMachine = JournalMachine.TestCase


def test_a_log_that_is_cut_anywhere_is_the_journal_at_an_earlier_step(tmp_path: Path) -> None:
    """Each call is one transaction: no cut shows half of one."""
    states: List[str] = []
    with Journal(tmp_path / "journal") as journal:
        for number in range(6):
            batch = [New(f"k{number}{part}", "ab"[number % 2], number, "Close", "body" * 300) for part in "xy"]
            journal.append(batch, 100.0)
            states.append(repr(list(journal.actions())))
        for action in journal.claim(200.0, 2, PAUSE):
            states.append(repr(list(journal.actions())))
            journal.done(action, 201.0, "applied", wrote={"state": 1}, claim_next=True)
        states.append(repr(list(journal.actions())))
        whole = copy_files(tmp_path / "journal", tmp_path / "whole")
    log = (whole / "journal.db-wal").read_bytes()
    seen = set()
    for index, length in enumerate(range(0, len(log), 2003)):
        copy = copy_files(whole, tmp_path / str(index))
        (copy / "journal.db-wal").write_bytes(log[:length])
        with Journal(copy) as cut:
            seen.add(repr(list(cut.actions())))
            assert cut.set_aside == ""
        shutil.rmtree(copy)
    assert seen <= {repr([]), *states}
    assert len(seen) > len(states) // 2
