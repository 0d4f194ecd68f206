"""Messages: when one is deleted, which result is sent, and which becomes a dead letter."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import pytest

from alerta_opsgenie.agent.intake import Request
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.connector.handler import (
    MOST_BYTES,
    MOST_RECEIPTS,
    Handler,
    InFlightMessages,
    UnusableMessageError,
    read_action,
)
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.report import Reporter
from alerta_opsgenie.connector.settings import ConnectorSettings, Plan
from alerta_opsgenie.connector.transport import Receipt, Received
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.config import ActionMapping, EdgeConfig

ALERT = "12345678-90ab-cdef-1234-567890abcdef"
OURS = ActionMapping("Acknowledge", "/opt/oecAlertaExecutor.py")
THEIRS = ActionMapping("Close", "/opt/close.sh")
DONE = Result(None, Outcome(Kind.APPLIED, Reason.DONE))


class FakeDelivery:
    """A deliverer. `commits`: whether the journal can be used."""

    def __init__(self) -> None:
        self.commits = True
        self.is_quick = False
        self.submitted: list[list[Request]] = []
        self.tickets: list[Ticket] = []
        self.dead_letters: list[tuple[str, str]] = []
        self.failure = ""
        self.deliverer = self

    def submit(self, requests: Sequence[Request]) -> list[Ticket]:
        self.submitted.append(list(requests))
        tickets = [Ticket(None, DONE if self.is_quick else None) for _ in requests]
        for ticket in tickets:
            ticket.is_committed = self.commits
        self.tickets += tickets
        return tickets

    def record_dead(self, _options: Options, body: str, outcome: Outcome) -> str:
        self.dead_letters.append((body, outcome.detail))
        return self.failure


class FakeSource:
    name = "q"

    def __init__(self) -> None:
        self.finished: list[Receipt] = []

    def finish(self, receipt: Receipt) -> None:
        self.finished.append(receipt)

    def extend(self, receipt: Receipt, seconds: int) -> None: ...


class FakeScripts:
    def __init__(self) -> None:
        self.put_in: list[str] = []

    def put(self, _source: Any, received: Received, _action: Any, _ended: Any) -> bool:
        self.put_in.append(received.receipt.message_id)
        return True


class Run:
    def __init__(self, dialect: str = "oec") -> None:
        config = EdgeConfig(dialect, Secret("k"), "https://api.opsgenie.com", {"Acknowledge": OURS, "Close": THEIRS})
        options = Options("https://alerta.example.com", "key")
        plan = Plan(config, options, {"Acknowledge": options}, ConnectorSettings())
        self.delivery, self.source, self.scripts = FakeDelivery(), FakeSource(), FakeScripts()
        self.results: list[dict[str, Any]] = []
        self.handler = Handler(plan, self.delivery, self, self.scripts, Reporter(Metrics()))  # type: ignore[arg-type]
        self.handler.owner_id = "me"

    def put(self, body: dict[str, Any]) -> None:
        self.results.append(body)

    def take(self, *messages: Received) -> None:
        self.handler.take(self.source, messages)


@pytest.fixture
def run() -> Run:
    return Run()


def received(
    action: str = "Acknowledge", number: int = 1, count: int = 1, owner: str = "me", size: int = 0
) -> Received:
    body = {"action": action, "actionType": "custom", "requestId": f"r{number}", "alert": {"alias": ALERT}}
    text = json.dumps({**body, "padding": "x" * size})
    return Received(Receipt(f"m{number}", f"h{number}"), text, {"ownerId": owner}, count, 5.0, 9.0)


def test_a_message_is_deleted_as_soon_as_its_action_is_committed(run: Run) -> None:
    run.take(received())
    assert run.source.finished == [Receipt("m1", "h1")]
    assert run.results == [], "there is no outcome yet"
    run.delivery.tickets[0].resolve(DONE)
    assert [body["requestId"] for body in run.results] == ["r1"]


def test_a_batch_is_submitted_as_one(run: Run) -> None:
    run.take(received(number=1), received(number=2), received("Close", 3))
    assert [len(batch) for batch in run.delivery.submitted] == [2]
    assert run.scripts.put_in == ["m3"]


def test_without_a_journal_a_message_is_deleted_after_its_outcome(run: Run) -> None:
    run.delivery.commits = False
    run.take(received())
    assert run.source.finished == []
    run.delivery.tickets[0].resolve(DONE)
    assert run.source.finished == [Receipt("m1", "h1")]


def test_an_action_that_is_neither_done_nor_kept_stays_in_the_queue_without_a_result(run: Run) -> None:
    run.delivery.commits = False
    run.take(received())
    run.delivery.tickets[0].resolve(Result(None, Outcome(Kind.KEPT, Reason.NETWORK), kept=False))
    assert (run.source.finished, run.results) == ([], [])


@pytest.mark.parametrize(
    ("outcome", "is_failure"),
    [(Outcome(Kind.KEPT, Reason.NETWORK), False), (Outcome(Kind.KEPT, Reason.UNAUTHORIZED, "HTTP 401"), True)],
)
def test_a_kept_action_is_a_failure_only_if_a_person_has_to_act(
    run: Run, outcome: Outcome, is_failure: bool
) -> None:
    run.take(received())
    run.delivery.tickets[0].resolve(Result(None, outcome))
    assert ("failureMessage" in run.results[0]) == is_failure


def test_the_time_of_an_earlier_receipt_is_submitted(run: Run) -> None:
    run.take(received(number=1), received(number=2, count=2))
    assert [request.first_attempt_at for request in run.delivery.submitted[0]] == [None, 5.0]


def test_a_message_of_another_integration_is_a_dead_letter_that_a_retry_does_not_deliver(run: Run) -> None:
    run.take(received(owner="another"))
    ((body, why),) = run.delivery.dead_letters
    assert isinstance(json.loads(body), list)
    assert "another integration" in why
    assert run.source.finished == [Receipt("m1", "h1")]


def test_a_dead_letter_that_cannot_be_recorded_stays_in_the_queue(run: Run) -> None:
    run.delivery.failure = "the disk is full"
    run.take(received(owner="another"))
    assert run.source.finished == []


def test_a_message_that_may_crash_the_process_is_a_dead_letter(run: Run) -> None:
    run.take(received(count=MOST_RECEIPTS), received(number=2, count=MOST_RECEIPTS + 1))
    assert len(run.delivery.submitted[0]) == 1
    ((body, why),) = run.delivery.dead_letters
    assert json.loads(body)["requestId"] == "r2"
    assert "received 6 times" in why


def test_a_message_that_we_left_in_the_queue_is_no_dead_letter(run: Run) -> None:
    run.delivery.commits = False
    run.take(received())
    run.delivery.tickets[0].resolve(Result(None, Outcome(Kind.KEPT, Reason.NETWORK), kept=False))
    run.take(received(count=MOST_RECEIPTS + 1))
    assert run.delivery.dead_letters == []


@pytest.mark.parametrize("dialect", ["oec", "jec"])
def test_an_action_without_a_mapping_is_ignored_and_jec_reports_it(dialect: str) -> None:
    run = Run(dialect)
    run.take(received("Snooze"))
    assert run.source.finished == [Receipt("m1", "h1")]
    assert len(run.results) == (dialect == "jec")


def test_large_messages_are_submitted_in_small_batches(run: Run) -> None:
    for number in range(3):
        run.delivery.tickets.clear()
        run.take(received(number=number, size=1024 * 1024 - 500))
        run.delivery.tickets[0].resolve(DONE)
    messages = [received(number=number, size=1_000_000) for number in range(4)]
    run.delivery.is_quick = True
    run.delivery.submitted.clear()
    run.take(*messages)
    assert {len(batch) for batch in run.delivery.submitted} == {2}


def test_the_first_result_ends_the_time_in_flight(run: Run) -> None:
    run.take(received())
    assert len(run.handler.in_flight) == 1
    run.delivery.tickets[0].resolve(DONE)
    assert len(run.handler.in_flight) == 0


def test_a_batch_waits_until_it_fits_by_number_and_by_bytes() -> None:
    in_flight = InFlightMessages(12)
    for size in (10, 10, MOST_BYTES):
        in_flight.add(size)
    waiting = threading.Thread(target=in_flight.wait, args=(10,), daemon=True)
    waiting.start()
    for size in (10, MOST_BYTES):
        assert waiting.is_alive()
        in_flight.remove(size)
    assert waiting.is_alive(), "the next message may be as large"
    in_flight.remove(10)
    waiting.join(20)
    assert not waiting.is_alive()
    in_flight.close()
    assert not in_flight.wait(1)


def test_a_large_message_is_forgotten() -> None:
    in_flight = InFlightMessages(48)
    for size in (MOST_BYTES, *[100] * 12):
        in_flight.add(size)
        in_flight.remove(size)
    assert in_flight.wait(10) == 10


# -- Which messages are ours, and their mapping


def config(dialect: str = "oec", **mappings: ActionMapping) -> EdgeConfig:
    given = mappings or {"Acknowledge": OURS, "Close": THEIRS}
    return EdgeConfig(dialect, Secret("k"), "https://api.opsgenie.com", given)


def of_attributes(body: Any = None, **attributes: str) -> Received:
    text = body if isinstance(body, str) else json.dumps(body or {"action": "Acknowledge", "actionType": "custom"})
    return Received(Receipt("m", "h"), text, attributes, 1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("dialect", "attributes", "owner", "is_ours"),
    [
        ("oec", {"ownerId": "me"}, "me", True),
        ("oec", {"integrationId": "me"}, "me", True),
        ("jec", {"ownerId": "x", "channelId": "me"}, "me", True),
        ("oec", {}, "me", False),
        ("oec", {"ownerId": "another", "integrationId": "me"}, "me", False),
        ("oec", {"channelId": "me"}, "me", False),
        ("jec", {"integrationId": "me"}, "me", False),
        ("oec", {"ownerId": ""}, "", False),
    ],
)
def test_a_message_is_ours_by_the_attributes_that_the_go_connectors_compare(
    dialect: str, attributes: dict[str, str], owner: str, is_ours: bool
) -> None:
    with nullcontext() if is_ours else pytest.raises(UnusableMessageError):
        assert read_action(of_attributes(**attributes), owner, config(dialect)).mapping is OURS


@pytest.mark.parametrize(
    "body", ["{", '"text"', '{"action": 1}', '{"action": "A", "requestId": 5}', "[" * 100_000, " " * (1024 * 1024 + 1)]
)
def test_an_unreadable_message_is_refused(body: str) -> None:
    with pytest.raises(UnusableMessageError):
        read_action(of_attributes(body, ownerId="me"), "me", config())


def test_the_mapped_name_comes_before_the_actions_own() -> None:
    body = {"action": "Acknowledge", "actionType": "custom", "mappedActionV2": {"name": "Close"}}
    assert read_action(of_attributes(body, ownerId="me"), "me", config()).mapping is THEIRS


def test_for_our_executor_the_actions_own_name_is_used_where_the_mapped_one_is_unknown() -> None:
    body = {"action": "Acknowledge", "actionType": "custom", "mappedActionV2": {"name": "postActionToJEC"}}
    assert read_action(of_attributes(body, ownerId="me"), "me", config("jec")).mapping is OURS
    body["action"] = "Close"
    assert read_action(of_attributes(body, ownerId="me"), "me", config("jec")).mapping is None


@pytest.mark.parametrize(("action_type", "found"), [("custom", OURS), ("", OURS), ("http", None)])
def test_a_message_of_another_type_is_refused(action_type: str, found: ActionMapping | None) -> None:
    body = {"action": "Acknowledge", "actionType": action_type}
    action = read_action(of_attributes(body, ownerId="me"), "me", config())
    assert action.mapping is found
    assert bool(action.refusal) == (found is None)
