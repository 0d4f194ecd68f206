"""The ring: plugin, cloud and a connector form a loop, people act on both sides, and in the end both sides agree.

In each round each alert gets one random action from one side. Then all must become idle, with one effect on the other
side for each action and no further message. In a burst an alert gets several actions at once. `make test-long` makes a
thousand actions in each; RING_SEED changes them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer
from lab.cloud import Switches
from lab.cloud.model import Alert

from alerta_opsgenie.core.events import changes
from alerta_opsgenie.core.publish import REQUESTS, Dialect
from tests.support.inbound import INBOUND, Idle
from tests.support.plugin import JSON, Plugged, plugged, wait_until
from tests.support.tiers import amount, grows

ALERTS = amount(6, 50)
ROUNDS = amount(4, 20)
SEED = int(os.environ.get("RING_SEED", "1"))
SETTLE_SECONDS = 60.0 + ALERTS
pytestmark = [grows, pytest.mark.timeout(120 * max(1, ALERTS * ROUNDS // 24))]
PEOPLE = ("alice@example.com", "bob@example.com")
SINGLE = ("webhook", "native")
ADMIN = "admin@example.com"

# Effective actions of an operator in each status of Alerta, and of a person in each state of the cloud..
OPERATOR = {
    "open": ("ack", "shelve", "close", "note"),
    "ack": ("unack", "shelve", "close", "note"),
    "shelved": ("unshelve", "close", "note"),
    "closed": ("open", "note"),
}
PERSON = {
    "open": ("acknowledge", "snooze", "close", "note", "tag"),
    "ack": ("unacknowledge", "snooze", "close", "note", "tag"),
    "shelved": ("acknowledge", "snooze", "close", "note", "tag"),
    "closed": ("note",),
}


def state_of(upstream: Alert) -> str:
    """Return the cloud's state as a status of Alerta."""
    if upstream.closed:
        return "closed"
    if upstream.snoozed_until_ms is not None:
        return "shelved"
    return "ack" if upstream.acknowledged else "open"


def operate(run: Plugged, alert_id: str, action: str, number: int) -> None:
    if action == "note":
        run.console.note(alert_id, f"operator's note {number}")
    else:
        run.console.action(alert_id, action, f"operator's {number}", timeout=3600 if action == "shelve" else None)


def act(run: Plugged, alert_id: str, action: str, number: int, who: str) -> None:
    person = run.cloud.person(who)
    acts: dict[str, Callable[[], object]] = {
        "acknowledge": lambda: person.acknowledge(alert_id, f"person's {number}"),
        "unacknowledge": lambda: person.unacknowledge(alert_id),
        "snooze": lambda: person.snooze_for(alert_id, 1800 + 60 * number),
        "close": lambda: person.close(alert_id),
        "note": lambda: person.add_note(alert_id, f"person's note {number}"),
        "tag": lambda: person.add_tags(alert_id, f"tag{number}"),
    }
    outcome = acts[action]()
    assert outcome.success, f"{action}: {outcome}"  # type: ignore[attr-defined]


def expected_requests(before: str, after: str, action: str) -> int:
    """Return the number of requests for an operator's action."""
    if action == "note":
        return 1
    return sum(len(REQUESTS[Dialect.OPSGENIE][event]) for event in changes(before, after, action))


@contextmanager
def outage(run: Plugged, kind: str) -> Iterator[None]:
    """Stop one side while actions are done on the other."""
    if kind == "cloud":
        with run.cloud.faults.hang(r"/v2/alerts"):
            yield
    elif kind == "alerta":
        run.alerta.stop()
        try:
            yield
        finally:
            run.alerta.start()
    else:
        yield


class Ring:
    """The loop, with some alerts."""

    def __init__(self, run: Plugged, is_idle: Idle) -> None:
        self.run = run
        self._is_idle = is_idle
        self.ids = [str(run.console.create_alert()["id"]) for _ in range(ALERTS)]
        self.settle()

    def settle(self) -> None:
        """Wait until no request and no message is in flight."""
        self.run.settle()
        assert wait_until(self._is_idle, SETTLE_SECONDS), "actions from the cloud are still in flight"
        self.run.settle()

    def in_all(self, do: Callable[[str], None], kind: str) -> None:
        """Call `do` for all alerts in parallel, during an outage of `kind`, and wait until both sides agree."""
        with outage(self.run, kind), ThreadPoolExecutor(4) as pool:
            list(pool.map(do, self.ids))
        self.settle()
        assert wait_until(lambda: all(agree(self.run, alert_id) for alert_id in self.ids)), self._differences()

    def _differences(self) -> str:
        """Return the history of the alerts on which the sides disagree."""
        found = []
        for alert_id in self.ids:
            upstream = self.run.cloud.alert(alert_id)
            if upstream is not None and not agree(self.run, alert_id):
                lines = self.run.console.history(alert_id)
                found += [f"{alert_id}: Alerta is {self.run.console.status(alert_id)}, the cloud {state_of(upstream)}"]
                found += [f"  {line['updateTime']} {line['type']} {line['status']} {line['text']}" for line in lines]
                found += [f"  {entry.at_ns / 1e9:.3f} {entry.kind} {entry.text}" for entry in upstream.entries]
                found += [f"  {request}" for request in self.run.told(alert_id)]
        return "\n".join(found)


@contextmanager
def ring(alerta: AlertaServer, directory: Path, inbound: str, echo: str) -> Iterator[Ring]:
    """Start the loop; `inbound` is how actions of the cloud reach Alerta."""
    switches = Switches(echo_source_name=echo)  # type: ignore[arg-type]
    # A request that times out is sent again, and the cloud counts both: a busy machine needs more than a second.
    settings = {"OPSGENIE_TIMEOUT": 4, "OPSGENIE_CONFIRM": False}
    with (
        plugged(alerta.postgres, directory, switches=switches, settings=settings) as run,
        INBOUND[inbound](run, directory / "inbound") as is_idle,
    ):
        yield Ring(run, is_idle)


@pytest.mark.parametrize(
    ("inbound", "echo", "faults"),
    [
        ("webhook", "empty", True),
        ("executor", "body", False),
        ("native", "address", True),
        ("webhook and executor", "address", False),
        pytest.param("webhook", "address", False, marks=pytest.mark.long),
        pytest.param("webhook", "body", False, marks=pytest.mark.long),
        pytest.param("executor", "address", True, marks=pytest.mark.long),
    ],
)
def test_both_sides_agree_and_each_action_has_one_effect(
    alerta: AlertaServer, tmp_path: Path, inbound: str, echo: str, *, faults: bool
) -> None:
    rng = random.Random(SEED)
    with ring(alerta, tmp_path, inbound, echo) as made:
        for number in range(ROUNDS):
            play_round(made, number, rng, ("", "cloud", "alerta")[number % 3] if faults else "")


def play_round(ring: Ring, number: int, rng: random.Random, kind: str) -> None:
    run = ring.run
    before = {alert_id: run.console.get(alert_id) for alert_id in ring.ids}
    told = {alert_id: len(run.told(alert_id)) for alert_id in ring.ids}
    plan = {alert_id: choose(before[alert_id]["status"], rng, kind) for alert_id in ring.ids}

    def one(alert_id: str) -> None:
        action, who = plan[alert_id]
        if who == ADMIN:
            operate(run, alert_id, action, number)
        else:
            act(run, alert_id, action, number, who)

    ring.in_all(one, kind)
    for alert_id in ring.ids:
        check(run, alert_id, before[alert_id], plan[alert_id], told[alert_id])


def choose(status: str, rng: random.Random, kind: str) -> tuple[str, str]:
    """Return an action and its person. During an outage people act on the other side."""
    by_operator = {"cloud": True, "alerta": False}.get(kind, rng.random() < 0.5)
    if by_operator:
        return rng.choice(OPERATOR[status]), ADMIN
    return rng.choice(PERSON[status]), rng.choice(PEOPLE)


def agree(run: Plugged, alert_id: str) -> bool:
    upstream = run.cloud.alert(alert_id)
    return upstream is not None and run.console.status(alert_id) == state_of(upstream)


def check(run: Plugged, alert_id: str, before: JSON, act: tuple[str, str], told: int) -> None:
    action, who = act
    after = run.console.get(alert_id)
    added = after["history"][len(before["history"]) :]
    more = run.told(alert_id)[told:]
    where = f"{act} of an alert that was {before['status']}: {added} {more}"
    if who == ADMIN:
        assert len(more) == expected_requests(before["status"], after["status"], action), where
        assert len(added) == 1, where
    else:
        assert more == [], where
        entries = 0 if action == "tag" else 2 if before["status"] == "shelved" and action == "snooze" else 1
        # An acknowledge of a shelved alert takes one or two steps, depending on its status before the shelve.
        assert len(added) == entries or (action == "acknowledge" and len(added) == 2), where
    assert {entry["user"] for entry in added} <= {who}, where


@pytest.mark.parametrize(
    "inbound", ["executor", "webhook and executor", *(pytest.param(one, marks=pytest.mark.long) for one in SINGLE)]
)
def test_after_bursts_both_sides_agree_and_each_note_is_there_once(
    alerta: AlertaServer, tmp_path: Path, inbound: str
) -> None:
    rng = random.Random(SEED)
    with ring(alerta, tmp_path, inbound, "address") as made:
        for number in range(ROUNDS):
            play_burst(made, number, rng, ("", "cloud", "", "alerta")[number % 4])


def play_burst(ring: Ring, number: int, rng: random.Random, kind: str) -> None:
    """Do several actions on each alert from one side. Each is chosen by the alert's state after the one before."""
    run = ring.run
    told = {alert_id: len(run.told(alert_id)) for alert_id in ring.ids}
    seeds = {alert_id: rng.random() for alert_id in ring.ids}
    expected: dict[str, int] = {}
    notes: dict[str, list[str]] = {}

    def burst(alert_id: str) -> None:
        own = random.Random(seeds[alert_id])
        by_operator = {"cloud": True, "alerta": False}.get(kind, own.random() < 0.5)
        expected[alert_id], notes[alert_id] = 0, []
        for place in range(own.randint(2, 4)):
            mark = number * 10 + place
            if by_operator:
                before = run.console.status(alert_id)
                action = own.choice(OPERATOR[before])
                operate(run, alert_id, action, mark)
                expected[alert_id] += expected_requests(before, run.console.status(alert_id), action)
            else:
                upstream = run.cloud.alert(alert_id)
                assert upstream is not None
                action = own.choice(PERSON[state_of(upstream)])
                act(run, alert_id, action, mark, own.choice(PEOPLE))
                notes[alert_id] += [f"person's note {mark}"] if action == "note" else []

    ring.in_all(burst, kind)
    for alert_id in ring.ids:
        more = run.told(alert_id)[told[alert_id] :]
        assert len(more) == expected[alert_id], more
        written = [entry["text"] for entry in run.console.get(alert_id)["history"] if entry["type"] == "note"]
        for note in notes[alert_id]:
            assert len([text for text in written if text.endswith(note)]) == 1, (note, written)
