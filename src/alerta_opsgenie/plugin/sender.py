"""Sends the requests of the outbox: one process per host, a few requests at a time, in order for each alert.

The threads start at the first request in a process, so after the server's fork. The process that takes the lock makes
the requests waiting again that a killed process had in flight. The verdict of the response decides:

- DONE: the request is done. If a 202 is no proof, its status is looked up.
- LATER: if throttled, the key pauses; without a response, the address pauses; after a 5xx, the alert pauses.
- STUCK: a person has to correct the key or the URL. The key pauses, which is logged once, and nothing is lost.
- FINAL: a dead letter, and a note with the reason on Alerta's alert.

A request that a killed process had in flight is sent again, which changes nothing; before a create or a note is sent
again, it is looked up at the vendor.
"""

import contextlib
import os
import random
import threading
import time
from collections import Counter
from functools import partial
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from alerta_opsgenie.clients.opsgenie import ADVICE, OpsgenieClient, Reason, RequestOutcome, Verdict
from alerta_opsgenie.core.agreed import after_requests
from alerta_opsgenie.core.backoff import LONGEST_RETRY_AFTER_SECONDS
from alerta_opsgenie.journal import Action, JournalError, Lock
from alerta_opsgenie.plugin import LOG
from alerta_opsgenie.plugin.memory import Memory
from alerta_opsgenie.plugin.outbox import HOST_LEASE_SECONDS, HostLease, Outbox, OutgoingRequest, read_row
from alerta_opsgenie.plugin.plan_limits import PlanLimits
from alerta_opsgenie.plugin.rate_limits import RateLimits
from alerta_opsgenie.plugin.request_status import StatusLookups
from alerta_opsgenie.plugin.resend_check import had_effect, is_ambiguous, is_over, may_be_restored
from alerta_opsgenie.plugin.settings import Settings

LOOK_SECONDS = 1.0
_BUSY_LOOK_SECONDS = 0.25  # by the process that sends, because another worker may have put a request into the outbox
_SHORTEST_LOOK_SECONDS = 0.05
_IDLE_SECONDS = 5.0  # finds requests for which the leading thread wakes no other: their host died with them in flight
STOP_SECONDS = 3.0
_SENDERS = 4  # requests at a time
_FIRST_SECONDS = 2.0
REMEMBER_SECONDS = 3600.0
_LONGEST_PAUSE_SECONDS = LONGEST_RETRY_AFTER_SECONDS + 1.0
_FAULT_PAUSE_SECONDS = 60.0


class Duty(NamedTuple):
    """A task that the process that sends runs in its own thread, with a pause of `seconds()` between two runs."""

    name: str
    seconds: Callable[[], float]
    run: Callable[[], object]


Report = Callable[[str, str], None]
"""Writes a note (second) on an alert of Alerta's (first)."""


class Sender:
    """The threads of one process. `start` returns at once; `stop` waits `STOP_SECONDS` for requests in flight."""

    def __init__(
        self, outbox: Outbox, settings: Settings, report: Report, memory: Optional[Memory] = None,
        link: Report = lambda _alert, _id: None,
    ) -> None:  # fmt: skip
        self.outbox = outbox
        self.settings = settings
        self.report = report
        self.duties: List[Duty] = []
        self.closing: List[Callable[[], object]] = []
        self._memory = memory
        self._began_at = time.time()
        self._sends = False
        self._counts: Counter[str] = Counter()
        self.gauges: Dict[str, float] = {}
        """Gauges that the duties set, by name."""
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._threads: List[threading.Thread] = []
        self._limits = RateLimits()
        self._logged: Dict[str, str] = {}
        self.plan = PlanLimits(memory)
        self._link = link
        self._lookups = StatusLookups(settings, self._limits, report, outbox, self.plan, self._created)

    def start(self) -> None:
        """Start the threads."""
        self._spawn(self._lead, "opsgenie-sender")

    def wait(self, seconds: float) -> bool:
        """Wait, and return whether the process stops. For duties."""
        return self._stop.wait(seconds)

    def count(self, name: str, many: int = 1) -> None:
        """Add to a counter, by its name."""
        with self._changed:
            self._counts[name] += many

    def take_counts(self) -> List[Tuple[str, int]]:
        """Return the counters since the last call, by name."""
        with self._changed:
            counts, self._counts = self._counts, Counter()
        return list(counts.items())

    @property
    def paused_keys(self) -> int:
        """The number of keys that pause until a person acts, or because the vendor throttles."""
        return self._limits.paused_keys()

    def stop(self) -> None:
        """Start no new request, and wait for those in flight. The rest stays in the journal."""
        self._stop.set()
        self.outbox.wake_up.set()
        self._notify()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
        for close in self.closing:
            with contextlib.suppress(JournalError):
                close()

    def _spawn(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    # -- The leading thread

    def _lead(self) -> None:
        client = self.settings.client()
        lock: Union[Lock, HostLease, None] = None
        pruned_at = 0.0
        while not self._stop.is_set():
            with self._guarded():
                self._clear_memory(client)
                if isinstance(lock, HostLease) and not lock.renew():
                    lock = None
                lock = lock or self._take_lock()
                if lock and time.time() - pruned_at > REMEMBER_SECONDS:
                    pruned_at = time.time()
                    self.outbox.take_over()  # an older worker, whose outbox is on the disk, may still write there
                    self.outbox.journal.prune(pruned_at, REMEMBER_SECONDS)
                if lock:
                    self._lookups.look(client)
                    self.outbox.wake_up.wait(self._look())
                    self.outbox.wake_up.clear()
                else:
                    self._stop.wait(LOOK_SECONDS)
        client.close()
        self._close(lock)

    def _close(self, lock: Union[Lock, HostLease, None]) -> None:
        """Release the lock if nothing is in flight; else it ends with this process."""
        others = [thread for thread in self._threads if thread is not threading.current_thread()]
        for thread in others:
            thread.join(STOP_SECONDS)
        if lock and not any(thread.is_alive() for thread in others):
            lock.close()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Log any error of one round of a thread, so that the thread continues."""
        try:
            yield
        except JournalError as error:
            self.outbox.log_problem(error)
            self._stop.wait(LOOK_SECONDS)
        except Exception:  # noqa: BLE001 - logged
            LOG.exception("opsgenie: the sender continues after an error of this program")
            self._stop.wait(LOOK_SECONDS)

    def _take_lock(self) -> Union[Lock, HostLease, None]:
        lock = self.outbox.take_lock()
        if lock is None:
            return None
        try:
            self.outbox.take_over()
            self.outbox.journal.recover(time.time())
        except BaseException:
            lock.close()
            raise
        if isinstance(lock, HostLease):
            self._spawn(partial(self._renew, lock), "opsgenie-lease")
        if not self._sends:
            self._sends = True
            self._begin()
        return lock

    def _begin(self) -> None:
        LOG.info("opsgenie: process %s:%d sends what is in the outbox", os.uname().nodename, os.getpid())
        for number in range(_SENDERS):
            self._spawn(self._work, f"opsgenie-sender-{number + 1}")
        for duty in self.duties:
            self._spawn(partial(self._perform, duty), f"opsgenie-{duty.name}")

    def _renew(self, lease: HostLease) -> None:
        """Renew the lease, also while the leading thread is blocked."""
        while not self._stop.wait(HOST_LEASE_SECONDS / 4):
            with self._guarded():
                if not lease.renew():
                    return

    def _perform(self, duty: Duty) -> None:
        """Run a duty. First soon after the start: a process may end before the pause (uWSGI's max-worker-lifetime)."""
        pause = min(_FIRST_SECONDS, duty.seconds())
        while not self._stop.wait(pause):
            with self._guarded():
                duty.run()
            pause = duty.seconds()

    def _look(self) -> float:
        """Wake the working threads if a request is due. Return the seconds until the next look."""
        now = time.time()
        due = self.outbox.journal.next_due(now, _LONGEST_PAUSE_SECONDS)
        self.outbox.report_damage()
        if due is not None and due <= now:
            self._notify()
        seconds = _BUSY_LOOK_SECONDS if due is None else max(due - now, _SHORTEST_LOOK_SECONDS)
        return min(self._lookups.next_look_seconds(seconds), seconds, _BUSY_LOOK_SECONDS)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _clear_memory(self, client: OpsgenieClient) -> None:
        """Write the requests in memory to the journal, or send them from memory while that fails."""
        while self.outbox.memory and not self._stop.is_set() and not self.outbox.save_memory():
            outgoing = self.outbox.memory[0]
            if self._limits.wait_seconds(outgoing.route, time.monotonic(), outgoing.alert) > 0:
                return
            delivery = self._send(client, outgoing)
            self._note(outgoing, delivery)
            if delivery.verdict in (Verdict.LATER, Verdict.STUCK):
                return
            if delivery.verdict is Verdict.FINAL:
                self._report_final(outgoing, delivery)
            self.outbox.forget([outgoing])

    # -- The working threads

    def _work(self) -> None:
        client = self.settings.client()
        while not self._stop.is_set():
            with self._guarded():
                action = next(iter(self.outbox.journal.claim(time.time(), 1, _LONGEST_PAUSE_SECONDS)), None)
                with self._changed:
                    if action is None:
                        self._changed.wait(_IDLE_SECONDS)
                    else:
                        self._changed.notify()
                if action is not None:
                    self._deliver_guarded(client, action)
        client.close()

    def _deliver_guarded(self, client: OpsgenieClient, action: Action) -> None:
        """Deliver. After an error of this program the request waits again, so that it does not stay in flight."""
        try:
            self._deliver(client, action)
        except Exception:  # noqa: BLE001 - logged
            LOG.exception("opsgenie: %s of alert %s waits after an error of this program", action.kind, action.alert)
            self._postpone(action, _FAULT_PAUSE_SECONDS, Reason.NETWORK.value, "an error of this program")

    def _deliver(self, client: OpsgenieClient, action: Action) -> None:
        """Send a request, and write its end to the journal."""
        try:
            outgoing = self.plan.fitted(read_row(action))
        except ValueError as error:
            LOG.error("opsgenie: a row of the outbox %s cannot be read: %s", self.outbox.directory, error)
            self._bury(action, "unreadable", str(error))
            return
        if self._limits.wait_seconds(outgoing.route, time.monotonic(), outgoing.alert) > 0:
            self._wait(action, outgoing, action.reason if is_ambiguous(action) else Reason.THROTTLED.value)
            return
        needless = is_over(outgoing.request, time.time()) or self._had_effect(client, outgoing, action)
        if isinstance(needless, RequestOutcome):
            self._limits.note(outgoing.route, outgoing.alert, needless, time.monotonic())
            self._wait(action, outgoing, action.reason or Reason.NETWORK.value, needless.detail)
        elif needless:
            self._done(action, "not-needed")
        else:
            self._finish(action, outgoing, self._send(client, outgoing))

    def _had_effect(
        self, client: OpsgenieClient, outgoing: OutgoingRequest, action: Action
    ) -> Union[bool, RequestOutcome]:
        """Look up whether an earlier attempt had its effect, if there may have been one."""
        if not (is_ambiguous(action) or may_be_restored(action, self._began_at, time.time())):
            return False
        try:
            key = self.settings.key_of(outgoing.route).reveal()
        except OSError:
            return False
        deadline = time.monotonic() + self.settings.timeout_seconds
        return had_effect(lambda what: client.read(outgoing.alert, what, key, deadline), outgoing.request, action)

    def _finish(self, action: Action, outgoing: OutgoingRequest, delivery: RequestOutcome) -> None:
        reason, detail = delivery.reason.value, delivery.detail
        self._note(outgoing, delivery)
        if delivery.verdict is Verdict.DONE:
            self._remember(outgoing)
            self._done(action, reason)
            self._lookups.add(outgoing, delivery.request_id)
        elif delivery.verdict is Verdict.FINAL:
            self._bury(action, reason, detail)
            self._report_final(outgoing, delivery)
        elif is_ambiguous(action):  # the earlier attempt may still have had its effect
            self._wait(action, outgoing, action.reason or Reason.NETWORK.value, detail)
        else:
            self._wait(action, outgoing, reason, detail)

    def _wait(self, action: Action, outgoing: OutgoingRequest, reason: str, detail: str = "") -> None:
        """Let a request wait in the journal until its pauses are over. Requests with other keys are sent meanwhile."""
        seconds = self._limits.wait_seconds(outgoing.route, time.monotonic(), outgoing.alert)
        self._postpone(action, seconds + random.random() / 4, reason, detail)  # noqa: S311

    def _postpone(self, action: Action, seconds: float, reason: str, detail: str) -> None:
        now, journal = time.time(), self.outbox.journal
        self._save(lambda: journal.postpone(action, now, now + seconds, reason, detail))

    def _remember(self, outgoing: OutgoingRequest) -> None:
        """Write the vendor's new state to the memory. If that fails, the request may be sent again, with no effect."""
        now = time.time()
        if self._memory:
            self._memory.note(outgoing.alert, lambda known: after_requests(known, [outgoing.request], now))

    def _created(self, alert: str, vendor_id: str) -> None:
        """Record that the vendor confirmed a create, and link its alert."""
        if self._memory:
            self._memory.note(alert, lambda known: known._replace(confirmed=True))
        if self.settings.alert_link:
            self._link(alert, vendor_id)

    def _done(self, action: Action, reason: str) -> None:
        self._save(lambda: self.outbox.journal.done(action, time.time(), reason))

    def _bury(self, action: Action, reason: str, detail: str) -> None:
        self._save(lambda: self.outbox.journal.dead(action, time.time(), reason, detail))

    def _save(self, write: Callable[[], object]) -> None:
        """Write to the journal, and repeat that until it succeeds: else the request would stay in flight."""
        while True:
            try:
                write()
            except JournalError as error:  # noqa: PERF203 - the loop is for the failures
                self.outbox.log_problem(error)
                if self._stop.wait(LOOK_SECONDS):
                    return
            else:
                return

    def _note(self, outgoing: OutgoingRequest, delivery: RequestOutcome) -> None:
        """Update the pauses and the counters by a response, and log when the state of the route changes."""
        self._limits.note(outgoing.route, outgoing.alert, delivery, time.monotonic())
        self.count(f"sent_{outgoing.request.operation}_{delivery.verdict.value}")
        state = "" if delivery.verdict in (Verdict.DONE, Verdict.FINAL) else delivery.reason.value
        if self._logged.get(outgoing.route, "") == state:
            return
        self._logged[outgoing.route] = state
        if not state:
            LOG.warning("opsgenie: %s: requests by %s are sent again", self.settings.vendor, outgoing.route)
        elif delivery.verdict is Verdict.STUCK:
            LOG.error("opsgenie: %s: no request by %s is sent until a person acts: %s; %s", self.settings.vendor,
                      outgoing.route, delivery.detail, ADVICE[delivery.reason])  # fmt: skip
        else:
            LOG.warning("opsgenie: %s: requests by %s wait (%s): %s", self.settings.vendor, outgoing.route, state,
                        delivery.detail)  # fmt: skip

    def _send(self, client: OpsgenieClient, outgoing: OutgoingRequest) -> RequestOutcome:
        try:
            key = self.settings.key_of(outgoing.route).reveal()
        except OSError as error:
            return RequestOutcome(Verdict.STUCK, Reason.UNAUTHORIZED, f"its key file cannot be read: {error.strerror}")
        return client.send(outgoing.request, key, time.monotonic() + self.settings.timeout_seconds)

    def _report_final(self, outgoing: OutgoingRequest, delivery: RequestOutcome) -> None:
        name, operation = self.settings.vendor, outgoing.request.operation
        LOG.error("opsgenie: %s: %s of alert %s is a dead letter: %s", name, operation, outgoing.alert, delivery.detail)
        self.report(outgoing.alert, f"{name} refused this ({operation}): {delivery.detail}")
