"""`kill -9` of the executor and of the drainer at every step: what was taken is applied once, and nothing else breaks.

The steps are the lines of this package that the process runs, counted from outside (tests/support/killer.py); each run
dies at another one. By default the walk takes samples; `ALERTA_OPSGENIE_EVERY_STEP=1` dies at each line, and any other
number N at each N-th.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.core.message import essence, parse
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Spool
from alerta_opsgenie.keeping import keep
from alerta_opsgenie.lanes import Job
from tests.support.console import Console
from tests.support.executor import Edge, await_true
from tests.support.killer import Death, Killer
from tests.support.stories import JSON, action

EVERY_STEP = int(os.environ.get("ALERTA_OPSGENIE_EVERY_STEP", "0"))
SAMPLES = 8
"""How many lines of a way are tried where not all are."""

FUNCTIONS = (
    "announce", "send", "_answer", "record", "_spool", "keep", "mark_waiting", "_let_go", "done", "_see_to_the_rest",
    "is_needed", "start", "_tell",
)  # fmt: skip
"""Steps that must be among them: the entry of each of these functions (some are not on each way)."""

DRAINER_FUNCTIONS = (
    "_free_claims", "adopted", "_deliver", "announce", "_answer", "record", "settle", "deliver", "unmark",
    "_is_something_left",
)  # fmt: skip
BATCH = 48
NO_STEP = 10**9
NOWHERE = "http://127.0.0.1:9"

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600 if EVERY_STEP else 120)]


@dataclass(frozen=True)
class Case:
    """An action whose executor dies, and how to count its effects; `reachable`: whether Alerta is there for it."""

    name: str
    reachable: bool = True

    def message(self, alert_id: str) -> JSON:
        return action(self.name, alert_id, note="looked at", owner="bob@example.com")

    def effects(self, console: Console, alert_id: str) -> int:
        """How often Alerta shows the action; an alert that only half shows it counts as -1."""
        alert = console.get(alert_id)
        if self.name == "Acknowledge":
            count = sum(entry["text"].startswith("Acknowledged by alice@") for entry in alert["history"])
            whole = (alert["status"], alert["attributes"].get("acked-by")) == ("ack", "alice@example.com")
            return count if whole == (count > 0) else -1
        texts = [note["text"] for note in console.notes(alert_id)]
        if self.name == "AddNote":
            return texts.count("alice@example.com: looked at")
        count = texts.count("alice@example.com assigned the alert to bob@example.com in Opsgenie")
        return count if (alert["attributes"].get("owner") == "bob@example.com") == (count > 0) else -1


CASES = {
    "acknowledge": Case("Acknowledge"),
    "note": Case("AddNote"),
    "assign": Case("AssignOwnership"),
    "note that has to be kept": Case("AddNote", reachable=False),
    "acknowledge that has to be kept": Case("Acknowledge", reachable=False),
}


@pytest.fixture
def edge(tmp_path: Path, alerta: AlertaServer, alerta_key: str) -> Iterator[Edge]:
    with Edge(tmp_path, alerta.url, alerta_key) as made:
        yield made


@pytest.fixture
def killer(tmp_path: Path) -> Killer:
    return Killer(tmp_path)


@pytest.fixture
def new_alert(console: Console) -> Callable[[], str]:
    return lambda: str(console.create_alert()["id"])


def steps(total: int) -> list[int]:
    """The lines to die at, from the first to the last."""
    return list(range(1, total + 1, EVERY_STEP or max(1, total // SAMPLES)))


@dataclass
class Victim:
    """An executor that was killed on its way with an action."""

    alert_id: str
    message: JSON
    death: Death | None


class Execution:
    """Runs executors of one case until they are killed."""

    def __init__(self, case: Case, edge: Edge, killer: Killer, new_alert: Callable[[], str]) -> None:
        self._case = case
        self._edge = edge if case.reachable else edge.at(NOWHERE)
        if not case.reachable:
            self._edge.arguments = ("--timeLimit", "0.3")
        self._killer = killer
        self._new_alert = new_alert

    def victims(self, at: Sequence[int | str]) -> list[Victim]:
        with ThreadPoolExecutor(6) as pool:
            return list(pool.map(self.victim, at))

    def victim(self, at: int | str) -> Victim:
        alert_id = self._new_alert()
        message = self._case.message(alert_id)
        environment = self._killer.environment("executor", at, "deliver")
        self._edge.run(message, **environment)
        return Victim(alert_id, message, self._killer.death(environment))


def batches(
    case: Case, edge: Edge, killer: Killer, new_alert: Callable[[], str], *, by_line: bool
) -> Iterator[list[Victim]]:
    execution = Execution(case, edge, killer, new_alert)
    whole = execution.victim(NO_STEP).death
    assert whole is not None
    assert not whole.killed
    walk: list[int | str] = [name for name in FUNCTIONS if name in whole.passed]
    if by_line or EVERY_STEP:
        walk = list(steps(whole.lines))
    for first in range(0, len(walk), BATCH):
        victims = execution.victims(walk[first : first + BATCH])
        # How many lines a way has varies a little with the number of its tries; its end may lie before the last ones.
        killed = sum(victim.death is not None and victim.death.killed for victim in victims)
        assert first or killed >= len(victims) * 0.5
        yield victims


def assert_once(case: Case, console: Console, victims: Sequence[Victim], *, at_least: int) -> None:
    """Whatever was taken has its effect once; what had not been taken yet may have none (`at_least` 0)."""
    for victim in victims:
        taken = victim.death is None or "_deliver_in_lane" in victim.death.passed
        effects = case.effects(console, victim.alert_id)
        assert effects in ((1,) if taken else range(at_least, 2)), (victim.death, console.history(victim.alert_id))


def assert_nothing_broken(edge: Edge) -> None:
    assert edge.entries() == []
    assert [path.name for path in edge.files() if "corrupt" in path.name] == []
    log = edge.spool_directory / "drainer.log"
    assert not log.exists() or "the drainer ended" not in log.read_text()


@pytest.mark.parametrize("name", CASES)
def test_what_a_killed_executor_had_taken_is_done_once_by_the_next_that_comes_by(
    name: str, edge: Edge, killer: Killer, console: Console, new_alert: Callable[[], str]
) -> None:
    case = CASES[name]
    for victims in batches(case, edge, killer, new_alert, by_line=True):
        assert edge.run(action("AddNote", new_alert(), note="of another alert")).exit_code == 0
        edge.await_drained(60)
        assert_once(case, console, victims, at_least=0)
        # And once more from the queue, as it may deliver twice.
        edge.run_all([victim.message for victim in victims])
        edge.await_drained(60)
        assert_once(case, console, victims, at_least=1)
        assert_nothing_broken(edge)


@pytest.mark.parametrize("name", CASES)
def test_the_same_message_that_comes_again_right_after_the_kill_doubles_nothing(
    name: str, edge: Edge, killer: Killer, console: Console, new_alert: Callable[[], str]
) -> None:
    case = CASES[name]
    for victims in batches(case, edge, killer, new_alert, by_line=False):
        results = edge.run_all([victim.message for victim in victims])
        assert {(result.exit_code, result.stderr) for result in results} == {(0, "")}
        edge.await_drained(60)
        assert_once(case, console, victims, at_least=1)
        assert_nothing_broken(edge)


class TestDrainer:
    """The same of a drainer that has six actions on three alerts before it, one of them still to be picked up."""

    @pytest.fixture
    def make_edge(self, tmp_path: Path, alerta: AlertaServer, alerta_key: str) -> Callable[[int | str], Edge]:
        def make(at: int | str) -> Edge:
            directory = tmp_path / str(at)
            directory.mkdir()
            return Edge(directory, alerta.url, alerta_key)

        return make

    def leave_actions(self, edge: Edge, alert_ids: Sequence[str]) -> list[JSON]:
        """Put the actions there as executors would have that could not reach Alerta."""
        messages = [CASES[name].message(alert_id) for alert_id in alert_ids for name in ("note", "acknowledge")]
        edge.desk.prepare()
        with Spool(edge.spool_directory) as spool:
            for message in messages[:-1]:
                keep(spool, job_of(message), Outcome(Kind.KEPT, Reason.NETWORK), None)
        for alert_id in alert_ids:
            edge.desk.lane(alert_id).mark_waiting(waits=True)
        edge.desk.mark_waiting(waits=True)
        edge.desk.take(job_of(messages[-1])).leave()
        return messages

    def drain_until_killed(self, edge: Edge, killer: Killer, at: int | str, alert_ids: Sequence[str]) -> Death:
        environment = killer.environment("drainer", at, "run_detached")
        self.leave_actions(edge, alert_ids)
        other = action("Close", "c7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e")
        edge.run(other, **environment)
        await_true(lambda: killer.death(environment) and not edge.drainers(), 60, "the drainer's end")
        death = killer.death(environment)
        assert death is not None
        edge.run(other)
        edge.await_drained(60)
        return death

    def test_what_it_had_in_hand_is_done_once_by_the_next(
        self,
        make_edge: Callable[[int | str], Edge],
        killer: Killer,
        console: Console,
        new_alert: Callable[[], str],
    ) -> None:
        def one(at: int | str) -> Death:
            alert_ids = [new_alert() for _ in range(3)]
            with make_edge(at) as edge:
                death = self.drain_until_killed(edge, killer, at, alert_ids)
                for alert_id in alert_ids:
                    effects = [CASES[name].effects(console, alert_id) for name in ("note", "acknowledge")]
                    assert effects == [1, 1], (death, console.history(alert_id), console.notes(alert_id))
                assert_nothing_broken(edge)
            return death

        whole = one(NO_STEP)
        assert not whole.killed
        with ThreadPoolExecutor(4) as pool:
            deaths = list(pool.map(one, [*steps(whole.lines), *DRAINER_FUNCTIONS]))
        assert sum(death.killed for death in deaths) >= len(deaths) * 0.5


def job_of(message: JSON) -> Job:
    read = parse(json.dumps(message))
    return Job(read.key, message["alert"]["alias"], read.updated_ns, read.action, essence(read), time.time())
