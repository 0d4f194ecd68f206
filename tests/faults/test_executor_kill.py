"""`kill -9` of the executor and of the agent at every step: an action is done once, and nothing else breaks.

The steps are the lines of this program that the process runs, counted from outside (tests/support/killer.py). Each run
is killed at another line; the lines are samples, some hundreds in `make test-long`.
"""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.console import Console, NewAlert
from tests.support.executor import Edge, await_true
from tests.support.killer import Death, Killer
from tests.support.proxy import Proxy
from tests.support.scenarios import JSON, action
from tests.support.tiers import amount, grows

SAMPLES = amount(5, 60)
"""The number of lines that are tried."""

NO_STEP = 10**9
LONG_TOO = pytest.mark.long

pytestmark = [pytest.mark.faults, grows]


@dataclass(frozen=True)
class Case:
    """An action whose executor or agent dies, and how to count its effects."""

    name: str

    def message(self, alert_id: str) -> JSON:
        return action(self.name, alert_id, note="looked at", owner="bob@example.com")

    def effects(self, console: Console, alert_id: str) -> int:
        """Return how often Alerta shows the action; -1 for an alert that shows only a part of it."""
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


CASES = {"acknowledge": Case("Acknowledge"), "note": Case("AddNote"), "assign": Case("AssignOwnership")}


@pytest.fixture
def edge(tmp_path: Path, proxy: Proxy, alerta_key: str) -> Iterator[Edge]:
    with Edge(tmp_path, proxy.url, alerta_key) as made:
        yield made


@pytest.fixture
def killer(tmp_path: Path) -> Killer:
    return Killer(tmp_path)


def steps(total: int) -> list[int]:
    """Return the lines to be killed at, from the first to the last."""
    return list(range(1, total + 1, max(1, total // SAMPLES)))


def assert_nothing_broken(edge: Edge) -> None:
    assert edge.entries() == []
    assert [path.name for path in edge.files() if "damaged" in path.name] == []


# -- The executor


@pytest.mark.parametrize(
    ("name", "has_agent"),
    [
        ("acknowledge", True),
        ("note", False),
        ("assign", True),
        pytest.param("acknowledge", False, marks=LONG_TOO),
        pytest.param("note", True, marks=LONG_TOO),
        pytest.param("assign", False, marks=LONG_TOO),
    ],
)
def test_an_action_of_a_killed_executor_is_done_once_at_most_and_once_when_it_comes_again(
    name: str, has_agent: bool, edge: Edge, killer: Killer, console: Console, new_alert: NewAlert
) -> None:
    case = CASES[name]

    def victim(at: int) -> tuple[Death | None, str, JSON]:
        if not has_agent:
            edge.kill_agents()
        alert_id = new_alert()
        message = case.message(alert_id)
        environment = killer.environment("executor", at)
        edge.run(message, **environment)
        return killer.death(environment), alert_id, message

    edge.run(action("AddNote", new_alert(), note="starts an agent"))
    whole, _, _ = victim(NO_STEP)
    assert whole is None or not whole.killed  # an executor ends without the mark of its own end
    lines = steps(60 if has_agent else 400)
    victims = [victim(at) for at in lines]
    assert sum(death is not None and death.killed for death, _, _ in victims) >= len(victims) * 0.4
    edge.await_drained()
    for death, alert_id, _ in victims:
        assert case.effects(console, alert_id) in (0, 1), (death, console.history(alert_id))
    results = edge.run_all([message for _, _, message in victims])
    assert {(result.exit_code, result.stderr) for result in results} == {(0, "")}
    edge.await_drained()
    for death, alert_id, _ in victims:
        assert case.effects(console, alert_id) == 1, (death, console.history(alert_id))
    assert_nothing_broken(edge)


# -- The agent


def start_agent(edge: Edge, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start an agent that is killed at the line in the environment."""
    (edge.spool_directory / "agent.sock").unlink(missing_ok=True)  # of a killed agent: the test waits for the new one's
    program = ["--agent", str(edge.spool_directory), "600"]
    return edge.start(program, environment=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("name", ["acknowledge", "assign", pytest.param("note", marks=LONG_TOO)])
def test_an_action_whose_agent_is_killed_is_done_once(
    name: str, edge: Edge, killer: Killer, console: Console, new_alert: NewAlert
) -> None:
    case = CASES[name]

    def one(at: int | str) -> Death | None:
        edge.kill_agents()
        environment = killer.environment("agent", at, "_serve")
        agent = start_agent(edge, environment)
        await_true(lambda: (edge.spool_directory / "agent.sock").exists() or agent.poll() is not None, 30)
        alert_id = new_alert()
        result = edge.run(case.message(alert_id))
        assert (result.exit_code, result.stderr) == (0, ""), result.stdout
        edge.await_drained()
        effects = case.effects(console, alert_id)
        death = killer.death(environment)
        assert effects == 1, (death, console.history(alert_id), console.notes(alert_id))
        agent.kill()
        agent.wait()
        return death

    edge.run(action("AddNote", new_alert(), note="makes the directory"))
    walk: list[int | str] = [*steps(240), "append", "try_row", "send", "save", "done", "result_fields"]
    deaths = [one(at) for at in walk]
    assert sum(death is not None and death.killed for death in deaths) >= len(deaths) * 0.4
    assert_nothing_broken(edge)


def test_actions_that_waited_for_a_killed_agent_are_done_once_by_the_next(
    edge: Edge, killer: Killer, proxy: Proxy, console: Console, new_alert: NewAlert
) -> None:
    cases = [CASES["note"], CASES["acknowledge"]]

    def one(at: int | str) -> Death | None:
        edge.kill_agents()
        alert_ids = [new_alert() for _ in range(3)]
        edge.arguments = ("--timeLimit", "0.5")
        with proxy.refusing():
            edge.run_all([case.message(alert_id) for alert_id in alert_ids for case in cases])
            edge.kill_agents()
        assert len(edge.unfinished()) == 6
        environment = killer.environment("agent", at, "claim")
        agent = start_agent(edge, environment)
        await_true(lambda: (edge.spool_directory / "agent.sock").exists() or agent.poll() is not None, 30)
        edge.arguments = ()

        def is_drained() -> bool:  # if the agent is killed after it has served an executor, the next one starts another
            if not edge.agents():
                assert edge.run(action("AddNote", new_alert(), note="of another alert")).exit_code == 0
            return not edge.unfinished()

        assert edge.run(action("AddNote", new_alert(), note="of another alert")).exit_code == 0
        await_true(is_drained, 60, "everything delivered")
        for alert_id in alert_ids:
            effects = [case.effects(console, alert_id) for case in cases]
            assert effects == [1, 1], (killer.death(environment), console.history(alert_id), console.notes(alert_id))
        agent.kill()
        agent.wait()
        return killer.death(environment)

    walk: list[int | str] = [*steps(600), "recover", "postpone", "release"]
    deaths = [one(at) for at in walk]
    assert sum(death is not None and death.killed for death in deaths) >= len(deaths) * 0.4
    assert_nothing_broken(edge)


def test_killed_repeatedly_under_load_no_action_is_lost_and_no_note_doubled(
    edge: Edge, console: Console, new_alert: NewAlert
) -> None:
    actions, kills = amount(80, 1000), amount(4, 50)
    alert_ids = [new_alert() for _ in range(max(20, actions // 10))]
    chosen = random.Random(11)
    messages = [action("AddNote", chosen.choice(alert_ids), note=f"note {number}") for number in range(actions)]
    messages += [action("Acknowledge", alert_id) for alert_id in alert_ids]
    over = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while len(killed) < kills and not over.is_set():
            time.sleep(0.2)
            killed.extend(edge.kill_agents())

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        results = edge.run_all(messages)
        over.set()
        killing.result()
    assert {(result.exit_code, result.stderr) for result in results} == {(0, "")}
    assert len(killed) >= kills / 2
    edge.run(action("AddNote", new_alert(), note="starts an agent"))
    edge.await_drained(120)
    found = [note["text"].rpartition(": ")[2] for alert_id in alert_ids for note in console.notes(alert_id)]
    assert sorted(found) == sorted(f"note {number}" for number in range(actions))
    assert {console.status(alert_id) for alert_id in alert_ids} == {"ack"}
    assert_nothing_broken(edge)
