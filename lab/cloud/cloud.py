"""The stand-in itself: model, integrations, switches and records; servers and deliveries attach to it.

Every public method may be called from any thread. Without a server the messages are made and recorded, not delivered.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lab.cloud import views
from lab.cloud.actions import ACTIONS
from lab.cloud.channel import Channel
from lab.cloud.credentials import Credentials
from lab.cloud.faults import Faults
from lab.cloud.intake import NS_PER_SECOND, Domain, Intake, Throttle
from lab.cloud.integrations import Integration
from lab.cloud.messages import Message, render, route
from lab.cloud.model import JSON, SYSTEM, Actor, Alert, Change, Command, Model, Outcome
from lab.cloud.person import Person
from lab.cloud.switches import Switches

RECORDS_KEPT = 50_000
PATIENCE_SECONDS = 60.0  # nothing takes so long, also on a busy machine: it will never come


@dataclass(frozen=True)
class Seen:
    """A request that the stand-in was sent, for assertions: never with headers, which hold keys."""

    method: str
    path: str
    status: int
    integration_id: str
    body: Any
    at_ns: int


@dataclass(frozen=True)
class Callback:
    """A result that an edge connector reported."""

    integration_id: str
    body: JSON
    at_ns: int


@dataclass
class Records:
    """What happened, oldest first.

    `violations` are broken rules of the vendor, `cuts` what it shortened silently, `sent` all messages made,
    `undelivered` those that were given up after the last retry.
    """

    violations: list[str] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)
    requests: deque[Seen] = field(default_factory=lambda: deque(maxlen=RECORDS_KEPT))
    sent: deque[Message] = field(default_factory=lambda: deque(maxlen=RECORDS_KEPT))
    undelivered: list[Message] = field(default_factory=list)
    callbacks: deque[Callback] = field(default_factory=lambda: deque(maxlen=RECORDS_KEPT))
    client_infos: list[str] = field(default_factory=list)


class Cloud:
    """A stand-in for Opsgenie and JSM Operations.

    `seed` makes delays, duplicates and disorder repeatable; `clock` gives nanoseconds since 1970.
    """

    def __init__(
        self, *, switches: Switches | None = None, seed: int = 1, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.switches = switches or Switches()
        self.seed = seed
        self.records = Records()
        self.faults = Faults()
        self.throttles: dict[Domain, Throttle] = {"alert": Throttle(), "search": Throttle()}
        self.clock, self._skew_ns = clock, 0
        self.credentials = Credentials(self.now_ns)
        self.channel: Channel | None = None
        """Version 2 of JEC's API; with it, version 1's credentials have ended."""
        self._model = Model(lambda: str(uuid.uuid4()), ACTIONS)
        self._intake = Intake(random.Random(seed))
        self._integrations: dict[str, Integration] = {}
        self.tokens: dict[str, str] = {}
        self.heartbeats: dict[str, list[int]] = {}
        """By name, of those that were made: when they were pinged, in nanoseconds since 1970."""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._on_its_way = 0
        self._sent_ids: dict[str, str] = {}
        self._deliver: Callable[[Message], None] | None = None
        self._wake: Callable[[], None] = lambda: None

    # --- set-up -----------------------------------------------------------------------------------------------

    def add(self, integration: Integration) -> Integration:
        """Add an integration, or replace the one with the same id (to disable it, change its rights, ...)."""
        with self._lock:
            self._integrations[integration.integration_id] = integration
        return integration

    def add_api(self, name: str = "Alerta", **settings: Any) -> Integration:
        """Add a key for the REST API; `settings` are fields of `Integration`."""
        return self.add(Integration("api", name, **settings))

    def add_token(self, email: str, token: str) -> None:
        """Let a person's token read JSM's full API."""
        self.tokens[email] = token

    def add_webhook(self, url: str, name: str = "Alerta webhook", **settings: Any) -> Integration:
        """Add an outgoing webhook; `settings` are fields of `Integration` (`headers`, `source_filter`, ...)."""
        return self.add(Integration("webhook", name, url=url, **settings))

    def add_oec(self, name: str = "Alerta OEC", **settings: Any) -> Integration:
        """Add an OEC integration; `queues` names where its messages go."""
        return self.add(Integration("oec", name, **settings))

    def add_jec(self, name: str = "Alerta JEC", **settings: Any) -> Integration:
        """Add a JEC integration (product "jsm")."""
        return self.add(Integration("jec", name, **{"product": "jsm", **settings}))

    def set_processing_delay(self, least_seconds: float, most_seconds: float | None = None) -> None:
        """Process each request this long after its 202 (drawn between the two values)."""
        with self._lock:
            self._intake.delay_seconds = (least_seconds, least_seconds if most_seconds is None else most_seconds)

    def limit_rate(self, domain: Domain, per_second: int | None = None, per_minute: int | None = None) -> None:
        """Allow so many requests of a domain ("alert", or "search" for lists and counts); None: no limit."""
        with self._lock:
            self.throttles[domain] = Throttle(per_second, per_minute)

    def admit(self, domain: Domain) -> int:
        """Take a request of `domain`; return 0, or the seconds of the throttle that refuses it."""
        with self._lock:
            return self.throttles[domain].admit(self.now_ns())

    def attach(self, deliver: Callable[[Message], None] | None, wake: Callable[[], None]) -> None:
        """Let a server deliver the messages and be woken when something new is due (it calls `run_due`)."""
        with self._lock:
            self._deliver, self._wake = deliver, wake

    # --- time -------------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """Return the cloud's time in nanoseconds since 1970."""
        return self.clock() + self._skew_ns

    def advance(self, seconds: float) -> None:
        """Let the cloud's time jump ahead; snoozes and requests that become due are processed at once."""
        with self._lock:
            self._skew_ns += int(seconds * NS_PER_SECOND)
            self.run_due()

    def run_due(self) -> int | None:
        """Process what is due; return when the next thing will be (ns of `clock`), or None."""
        with self._lock:
            now_ns = self.now_ns()
            self._emit(self._model.tick(now_ns))
            while (command := self._intake.take_due(now_ns)) is not None:
                outcome = self._process(command, now_ns)
                self._intake.finish(command, outcome, now_ns)
                self._emit(outcome.changes)
            due = [at for at in (self._model.next_due_ns(), self._intake.next_due_ns()) if at is not None]
            self._changed.notify_all()
            return min(due) - self._skew_ns if due else None

    # --- what happens to alerts -------------------------------------------------------------------------------

    def person(self, username: str) -> Person:
        """Return someone who acts in the web interface or on a phone."""
        user_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{username}"))
        return Person(self, Actor(username, user_id))

    def system(self) -> Person:
        """Return the account itself, which acts as "System" (policies, auto-close, escalations)."""
        return Person(self, SYSTEM)

    def act(self, command: Command) -> Outcome:
        """Do `command` at once, as from the web interface."""
        with self._lock:
            self.run_due()
            outcome = self._model.apply(command, self.now_ns())
            self._emit(outcome.changes)
            self._changed.notify_all()
        self._wake()
        return outcome

    def submit(self, command: Command) -> None:
        """Accept `command` as from the API: it is processed after the processing delay."""
        with self._lock:
            known = self._model.find(command.identifier, command.identifier_type)
            alert_key = known.alias if known else command.fields.get("alias") or command.identifier
            self._intake.put(command, alert_key, self.now_ns())
            self.run_due()
        self._wake()

    def _process(self, command: Command, now_ns: int) -> Outcome:
        """Do what came in by the API; what the plan lacks is refused only now (contracts 3.6)."""
        if command.action in self.switches.plan_lacks:
            return Outcome(success=False, status="Your account plan does not support this action")
        return self._model.apply(command, now_ns)

    def request_state(self, request_id: str) -> Any:
        """Return the `Processed` request, True while it waits, or None if there is no such request."""
        with self._lock:
            self.run_due()
            return self._intake.processed.get(request_id) or (request_id in self._intake.pending or None)

    # --- looking at it ----------------------------------------------------------------------------------------

    @property
    def violations(self) -> list[str]:
        """Rules of the vendor that were broken, as sentences."""
        return self.records.violations

    def take_violations(self) -> list[str]:
        """Return the violations and forget them, for a test that breaks a rule on purpose."""
        with self._lock:
            taken = [*self.records.violations]
            self.records.violations.clear()
        return taken

    def assert_no_violations(self) -> None:
        """Raise AssertionError with all violations, if there are any."""
        if self.records.violations:
            raise AssertionError("rules of the vendor were broken:\n" + "\n".join(self.records.violations))

    def note_violation(self, text: str) -> None:
        """Record that a rule of the vendor was broken."""
        with self._lock:
            self.records.violations.append(text)

    def alert(self, identifier: str, identifier_type: str = "alias") -> Alert | None:
        """Return the alert (by alias: the open one, else the newest) as it is now, with its own copy of the lists."""
        with self._lock:
            self.run_due()
            alert = self._model.find(identifier, identifier_type)
            return None if alert is None else replace(alert.copy(), entries=[*alert.entries])

    def alerts(self) -> list[Alert]:
        """Return all alerts that are not deleted, oldest first."""
        with self._lock:
            self.run_due()
            return [replace(alert.copy(), entries=[*alert.entries]) for alert in self._model.list_alerts()]

    def search(self, parameters: Mapping[str, str]) -> list[Alert]:
        """Return the page of alerts that a list request asks for. Raises `views.BadQuery`."""
        with self._lock:
            self.run_due()
            return [alert.copy() for alert in views.search(self._model.list_alerts(), parameters)]

    def count(self, query: str) -> int:
        """Count the alerts that fit a query. Raises `views.BadQuery`."""
        with self._lock:
            self.run_due()
            return len(views.select(self._model.list_alerts(), query))

    def integrations(self) -> list[Integration]:
        """Return all integrations."""
        with self._lock:
            return list(self._integrations.values())

    def sent(self, integration: Integration | None = None, action: str | None = None) -> list[JSON]:
        """Return the bodies of the messages made so far, of one integration or action alone where given."""
        with self._lock:
            return [
                message.body
                for message in self.records.sent
                if integration in (None, message.integration) and action in (None, message.body["action"])
            ]

    def sent_request(self, request_id: str, integration: Integration) -> bool:
        """Return whether a message with this request id went to `integration` (for the callback's check)."""
        with self._lock:
            return self._sent_ids.get(request_id) == integration.integration_id

    def wait_until(self, condition: Callable[[], bool], timeout_seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait until `condition` holds; it is looked at whenever something happens in the cloud."""
        with self._changed:
            return self._changed.wait_for(condition, timeout_seconds)

    def wait_settled(self, timeout_seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait until no request waits for processing and no message for delivery; return whether that came."""
        return self.wait_until(lambda: not self._on_its_way and not self._intake.pending, timeout_seconds)

    # --- for the shells ---------------------------------------------------------------------------------------

    def authenticate(self, key: str) -> Integration | None:
        """Return the integration of `key`, disabled or not."""
        with self._lock:
            return next((one for one in self._integrations.values() if one.key == key), None)

    def note(self, record: Seen | Callback) -> None:
        """Record a request or a callback."""
        with self._changed:
            kept: deque[Any] = self.records.callbacks if isinstance(record, Callback) else self.records.requests
            kept.append(record)
            self._changed.notify_all()

    def begin_delivery(self) -> None:
        """Count one more message that is on its way (a duplicate)."""
        with self._lock:
            self._on_its_way += 1

    def finish_delivery(self, message: Message, *, delivered: bool) -> None:
        """Count a message as delivered or given up."""
        with self._changed:
            self._on_its_way -= 1
            if not delivered:
                self.records.undelivered.append(message)
            self._changed.notify_all()

    def _emit(self, changes: Iterable[Change]) -> None:
        for change in changes:
            for integration in self._integrations.values():
                for heard in route(change, integration, self.switches):
                    message = render(heard, integration, self.switches, str(uuid.uuid4()))
                    self.records.sent.append(message)
                    self._sent_ids[message.request_id] = integration.integration_id
                    if self._deliver is not None:
                        self._on_its_way += 1
                        self._deliver(message)
