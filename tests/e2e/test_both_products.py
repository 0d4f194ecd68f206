"""Opsgenie and JSM side by side: an action of a person comes through OEC and through JEC, and has one effect.

The executors of the two connectors run on different hosts. JSM names people by account ids. ACTS_SEED changes the
actions.
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.vendor.config import JEC, OEC
from tests.support.console import Console
from tests.support.executor import Edge
from tests.support.plugin import Plugged, plugged
from tests.support.scenarios import action
from tests.support.tiers import amount, grows

JSON = dict[str, Any]
ACTS = amount(40, 1000)
ALERTS = amount(5, 30)
SEED = int(os.environ.get("ACTS_SEED", "1"))
PEOPLE = {
    "alice@example.com": "5b10ac8d82e05b22cc7d4ef5",
    "bob@example.com": "557058:f58131cb-b67d-43c7-b30d-6b58d40bd077",
}
ALICE, BOB = PEOPLE
WORDS = ("on it", "rebooted", "it is the disk")
LONGEST_DELAY_SECONDS, LONGEST_LAG_SECONDS, PAUSE_SECONDS = 3.0, 2.0, 0.05
SECOND_NS = 10**9


def start(stack: ExitStack, directory: Path, url: str, key: str, *arguments: str) -> tuple[Edge, Edge]:
    """Set up the hosts of OEC and JEC."""
    return tuple(
        stack.enter_context(Edge(directory / name, url, key, dialect=name, arguments=arguments)) for name in (OEC, JEC)
    )  # type: ignore[return-value]


@pytest.fixture(scope="module")
def run(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    settings = {"OPSGENIE_PEOPLE": {account: login for login, account in PEOPLE.items()}}
    with plugged(alerta.postgres, tmp_path_factory.mktemp("both"), settings=settings) as run:
        yield run


@pytest.fixture
def edges(run: Plugged, tmp_path: Path) -> Iterator[tuple[Edge, Edge]]:
    with ExitStack() as stack:
        yield start(stack, tmp_path, run.alerta.url, run.bridge.key)


def both(name: str, alert_id: str, by: str, *, at_ns: int, lag_ns: int = 0, **fields: Any) -> list[JSON]:
    """Return the messages to OEC and to JEC about one action."""
    one = action(name, alert_id, at_ns=at_ns, by=by, **fields)
    accounts = {field: PEOPLE.get(value, value) for field, value in fields.items() if field == "owner"}
    other = action(name, alert_id, at_ns=at_ns + lag_ns, by=PEOPLE[by], **{**fields, **accounts})
    one |= {"integrationId": "integration-of-oec", "integrationType": "OEC"}
    return [one, other | {"integrationId": "integration-of-jec", "integrationType": "JEC"}]


def deliver_at(due: float, edge: Edge, message: JSON) -> None:
    time.sleep(max(0.0, due - time.monotonic()))
    result = edge.run(json.dumps(message))
    assert (result.exit_code, result.stderr) == (0, "")


def deliver(edges: Sequence[Edge], acts: Sequence[list[JSON]], delay: Callable[[], float]) -> None:
    """Run the executors of both connectors, each message after its own delay."""
    began = time.monotonic()
    planned = [
        (began + number * PAUSE_SECONDS + delay(), edge, message)
        for number, messages in enumerate(acts)
        for edge, message in zip(edges, messages, strict=True)
    ]
    with ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(deliver_at, *one) for one in sorted(planned, key=lambda one: one[0])]:
            done.result()
    for edge in edges:
        edge.await_drained()
        assert edge.actions("dead") == []


def notes_of(console: Console, alert_ids: Sequence[str]) -> Counter[tuple[str, str, str]]:
    return Counter((one, note["user"], note["text"]) for one in alert_ids for note in console.notes(one))


def random_notes(random_: random.Random, alert_ids: Sequence[str]) -> list[list[JSON]]:
    """Return notes with few texts by few people. Sometimes two people write the same text within a second."""
    acts: list[list[JSON]] = []
    now_ns = time.time_ns()
    while len(acts) < ACTS:
        alert_id, words, by = alert_ids[len(acts) % len(alert_ids)], random_.choice(WORDS), random_.choice([ALICE, BOB])
        second = [BOB if by == ALICE else ALICE] if random_.random() < 0.3 else []
        for who in [by, *second]:
            now_ns += random_.randrange(SECOND_NS // 2)
            lag_ns = random_.randrange(int(LONGEST_LAG_SECONDS * SECOND_NS))
            acts.append(both("AddNote", alert_id, who, at_ns=now_ns, lag_ns=lag_ns, note=words))
    return acts


@grows
@pytest.mark.timeout(120 + ACTS)
def test_each_act_by_both_products_has_one_effect(run: Plugged, edges: tuple[Edge, Edge]) -> None:
    """Also if a person writes the same text again, or two people do within a second."""
    random_ = random.Random(SEED)
    alert_ids = [str(run.console.create_alert()["id"]) for _ in range(ALERTS)]
    acts = random_notes(random_, alert_ids)
    expected = Counter(
        (one["alert"]["alias"], one["alert"]["username"], one["alert"]["note"]) for one, _other in acts
    )
    deliver(edges, acts, lambda: random_.uniform(0, LONGEST_DELAY_SECONDS))
    assert notes_of(run.console, alert_ids) == expected
    reasons = Counter(row.reason for edge in edges for row in edge.actions("done"))
    assert reasons == {"done": len(acts), "merged": len(acts)}


@pytest.mark.parametrize("only", [0, 1])
def test_the_same_text_again_through_one_integration_is_another_note(
    run: Plugged, edges: tuple[Edge, Edge], only: int
) -> None:
    alert_id, now_ns = str(run.console.create_alert()["id"]), time.time_ns()
    deliver(edges, [both("AddNote", alert_id, ALICE, at_ns=now_ns, note="on it")], lambda: 0.0)
    again = both("AddNote", alert_id, ALICE, at_ns=now_ns + SECOND_NS, note="on it")
    deliver(edges[only : only + 1], [again[only : only + 1]], lambda: 0.0)
    assert notes_of(run.console, [alert_id]) == {(alert_id, ALICE, "on it"): 2}


def test_acknowledge_unacknowledge_acknowledge_stays_three_acts(run: Plugged, edges: tuple[Edge, Edge]) -> None:
    alert_id = str(run.console.create_alert()["id"])
    for name in ("Acknowledge", "UnAcknowledge", "Acknowledge"):
        deliver(edges, [both(name, alert_id, ALICE, at_ns=time.time_ns())], lambda: 0.0)
    alert = run.console.get(alert_id)
    assert [line["type"] for line in run.console.history(alert_id)] == ["new", "ack", "unack", "ack"]
    assert (alert["status"], alert["attributes"]["acked-by"]) == ("ack", ALICE)


def test_an_assignment_by_both_leaves_one_note_with_names_and_the_owner_s_id(
    run: Plugged, edges: tuple[Edge, Edge]
) -> None:
    alert_id = str(run.console.create_alert()["id"])
    deliver(edges[1:], [both("AssignOwnership", alert_id, ALICE, at_ns=time.time_ns(), owner=BOB)[1:]], lambda: 0.0)
    attributes = run.console.get(alert_id)["attributes"]
    assert (attributes["owner"], attributes["owner-id"]) == (BOB, PEOPLE[BOB])
    deliver(edges[:1], [both("AssignOwnership", alert_id, ALICE, at_ns=time.time_ns(), owner=BOB)[:1]], lambda: 0.0)
    text = f"{ALICE} assigned the alert to {BOB} in Jira Service Management"
    assert [(note["user"], note["text"]) for note in run.console.notes(alert_id)] == [(ALICE, text)]
    assert "owner-id" not in run.console.get(alert_id)["attributes"]


def test_a_custom_action_by_both_is_done_once_and_by_two_people_twice(run: Plugged, edges: tuple[Edge, Edge]) -> None:
    alert_id = str(run.console.create_alert()["id"])
    for by in (ALICE, BOB):
        messages = both("Restart", alert_id, by, at_ns=time.time_ns())
        with ThreadPoolExecutor(2) as pool:
            codes = pool.map(press, edges, messages)
            assert [code for code, *_ in codes] == [0, 0]
    lines = [(line["user"], line["text"]) for line in run.console.history(alert_id)[1:]]
    assert [who for who, _text in lines] == [ALICE, BOB]


def press(edge: Edge, message: JSON) -> tuple[int, str, str]:
    arguments = ["--alertaApiUrl", edge.url, "--alertaApiKey", edge.key, "--customAction", "Restart=restart"]
    return edge.call([*arguments, "-payload", json.dumps(message)])


def test_without_the_plugin_one_journal_finds_duplicates(
    alerta: AlertaServer, alerta_key: str, console: Console, tmp_path: Path
) -> None:
    """Both connectors run as one user on one host, with one state directory; names come from a file."""
    people = tmp_path / "people"
    people.write_text("".join(f"{account} = {login}\n" for login, account in PEOPLE.items()))
    alert_id, now_ns = str(console.create_alert()["id"]), time.time_ns()
    acts = [both("AddNote", alert_id, by, at_ns=now_ns + by_ns, note="on it") for by, by_ns in ((ALICE, 0), (BOB, 7))]
    acts += [both("AddNote", alert_id, ALICE, at_ns=now_ns + 20 * SECOND_NS, lag_ns=SECOND_NS, note="on it")]
    acts += [both("TakeOwnership", alert_id, BOB, at_ns=now_ns + 30 * SECOND_NS)]
    with ExitStack() as stack:
        state = ("--spoolDir", str(tmp_path / "state"), "--people", str(people))
        edges = start(stack, tmp_path, alerta.url, alerta_key, *state)
        for edge in edges:
            edge.spool_directory = tmp_path / "state"
        deliver(edges, acts, random.Random(SEED).random)
    texts = Counter(note["text"] for note in console.notes(alert_id))
    taken = [text for text in texts if text.startswith(f"{BOB} took ownership in ")]
    assert texts == {f"{ALICE}: on it": 2, f"{BOB}: on it": 1, **dict.fromkeys(taken, 1)}
    assert len(taken) == 1
    assert console.get(alert_id)["attributes"]["owner"] == BOB


def test_a_broken_people_file_is_logged_and_no_action_is_lost(
    alerta: AlertaServer, alerta_key: str, console: Console, tmp_path: Path
) -> None:
    people, alert_id = tmp_path / "people", str(console.create_alert()["id"])
    account = PEOPLE[ALICE]
    with Edge(tmp_path / "edge", alerta.url, alerta_key, arguments=("--people", str(people))) as edge:
        for text in ("nonsense", f"{account} = {ALICE}"):
            people.write_text(text)
            done = edge.run(json.dumps(action("AddNote", alert_id, by=account, note=text, at_ns=time.time_ns())))
            assert done.exit_code == 0
            log = (tmp_path / "edge" / "log" / "oecAlertaExecutor.log").read_text()
            assert log.splitlines()[-1].count("cannot be used, so ids are shown as they are") == (text == "nonsense")
        assert edge.status()["problem"] == ""
    texts = [note["text"] for note in console.notes(alert_id)]
    assert texts == [f"{account}: nonsense", f"{ALICE}: {account} = {ALICE}"]


def test_an_unknown_account_id_is_shown(run: Plugged, edges: tuple[Edge, Edge]) -> None:
    alert_id, stranger = str(run.console.create_alert()["id"]), f"712020:{uuid.uuid4()}"
    assert edges[1].run(json.dumps(action("Acknowledge", alert_id, by=stranger))).exit_code == 0
    assert run.console.get(alert_id)["attributes"]["acked-by"] == stranger
