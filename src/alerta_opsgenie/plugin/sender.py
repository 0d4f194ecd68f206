"""Sends what the outbox keeps: one process of all workers at a time, a few requests at a time, in order for each alert.

Theory of operation. The threads start at the first use in a process, hence after the server's fork. One of them takes
the role `sender` (a lock that ends with its process); the processes that do not get it look again each second. The
holder's threads each claim the next entry that is due, send it, and settle it by the answer's verdict:

- DONE: it leaves the spool. For what a 202 does not prove, the request's status is looked up in idle moments.
- LATER: throttled, the key pauses and goes on slower; no answer, the address pauses; a 5xx holds up its alert alone.
- STUCK: the key or the URL needs a person; the key pauses, loudly once, and nothing is lost.
- FINAL: a dead letter, and a note on Alerta's alert that says why.

A process that is killed between the vendor's answer and its note of it sends the request again: a repeated create is
one alert with the same alias, a repeated acknowledge or close changes nothing, and before a note or a create is
repeated the vendor is asked whether it is there.
"""

import contextlib
import logging
import random
import threading
import time
from typing import Callable, Dict, Iterator, List, Optional

from alerta_opsgenie.clients.opsgenie import MENDS, Delivery, OpsgenieClient, Reason, Verdict
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.core.message import iso_seconds
from alerta_opsgenie.core.publish import Dialect
from alerta_opsgenie.journal import Entry, Lock, Spool, SpoolUnavailable, try_lock
from alerta_opsgenie.plugin.confirm import Confirmer
from alerta_opsgenie.plugin.outbox import Outbox, Parcel, owner, read_parcel
from alerta_opsgenie.plugin.settings import Settings
from alerta_opsgenie.plugin.traffic import Traffic

LOG = logging.getLogger("alerta.plugins.opsgenie")

ROLE = "sender"
LOOK_SECONDS = 1.0
_BUSY_LOOK_SECONDS = 0.05
STOP_SECONDS = 3.0
REMEMBER_SECONDS = 3600.0
LONGEST_BACKOFF_SECONDS = 60.0
_PATIENCE_SECONDS = 1.0  # a longer pause is waited for in the spool, so that other keys' requests go on
_LEAST_SNOOZE_SECONDS = 3.0  # https://docs.opsgenie.com/docs/alert-api: endTime has to be some seconds ahead
_CLOCK_DOUBT_SECONDS = 5.0

Report = Callable[[str, str], None]
"""Writes a note (second) on an alert of Alerta's (first)."""


class Sender:
    """The threads of one process. `start` returns at once; `stop` waits a little for what is on its way."""

    def __init__(self, outbox: Outbox, settings: Settings, report: Report) -> None:
        self.outbox = outbox
        self.settings = settings
        self.report = report
        self._stop = threading.Event()
        self._wake = threading.Condition()
        self._threads: List[threading.Thread] = []
        self._traffic = Traffic()
        self._said: Dict[str, str] = {}
        self._confirmer = Confirmer(settings, self._traffic, report, outbox)

    def start(self) -> None:
        """Start the threads."""
        self._spawn(self._lead, "opsgenie-sender")

    def stop(self) -> None:
        """Take nothing new, and wait for what is on its way; the rest stays in the spool."""
        self._stop.set()
        self.outbox.bell.ring()
        with self._wake:
            self._wake.notify_all()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _spawn(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    # -- The leading thread: the role, the bell, the housekeeping

    def _lead(self) -> None:
        client = self._client()
        lock: Optional[Lock] = None
        pruned_at = 0.0
        while not self._stop.is_set():
            with self._guarded():
                self._clear_memory(client)
                lock = lock or self._take_role()
                if lock and time.time() - pruned_at > REMEMBER_SECONDS:
                    pruned_at = time.time()
                    self._spool().prune(pruned_at, REMEMBER_SECONDS)
                if lock:
                    self._confirmer.look(client)
                    self._rouse()
                    self.outbox.bell.wait(self._next_look_seconds())
                else:
                    self._stop.wait(LOOK_SECONDS)
        self.outbox.bell.close()
        client.close()
        if lock:
            lock.release()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keep a thread alive whatever happens in one round of it, and say what it was."""
        try:
            yield
        except SpoolUnavailable as error:
            self.outbox.complain(error)
            self._stop.wait(LOOK_SECONDS)
        except Exception:
            LOG.exception("opsgenie: the sender goes on after an error of its own")
            self._stop.wait(LOOK_SECONDS)

    def _take_role(self) -> Optional[Lock]:
        lock = try_lock(self.outbox.directory, ROLE)
        if lock:
            LOG.info("opsgenie: process %s sends what lies in %s", owner(), self.outbox.directory)
            for number in range(self.settings.senders):
                self._spawn(self._work, f"opsgenie-sender-{number + 1}")
        return lock

    def _next_look_seconds(self) -> float:
        due = self._spool().next_due()
        seconds = LOOK_SECONDS if due is None else max(due - time.time(), _BUSY_LOOK_SECONDS)
        return min(seconds, self._confirmer.next_look_seconds(LOOK_SECONDS), LOOK_SECONDS)

    def _rouse(self) -> None:
        with self._wake:
            self._wake.notify_all()

    def _clear_memory(self, client: OpsgenieClient) -> None:
        """Save to the disk what waits in memory, or send it from there while there is no disk to be had."""
        while self.outbox.memory and not self._stop.is_set() and not self.outbox.save_memory():
            parcel = self.outbox.memory[0]
            if self._traffic.wait_seconds(parcel.route, time.monotonic()) > 0:
                return
            delivery = self._send(client, parcel)
            self._settle_pace(parcel, delivery)
            if delivery.verdict in (Verdict.LATER, Verdict.STUCK):
                self._traffic.pause_address(time.monotonic() + LOOK_SECONDS)
                return
            if delivery.verdict is Verdict.FINAL:
                self._tell_final(parcel, delivery)
            self.outbox.forget([parcel])

    # -- The working threads

    def _work(self) -> None:
        client = self._client()
        while not self._stop.is_set():
            with self._guarded():
                entry = self._claim()
                with self._wake:
                    if entry is None:
                        self._wake.wait(LOOK_SECONDS)
                    else:
                        self._wake.notify()
                if entry is not None:
                    self._deliver(client, entry)
        client.close()

    def _spool(self) -> Spool:
        return self.outbox.spool()

    def _claim(self) -> Optional[Entry]:
        lease_seconds = 2 * self.settings.timeout_seconds + 3 * _PATIENCE_SECONDS
        return self._spool().claim(time.time(), lease_seconds, owner())

    def _deliver(self, client: OpsgenieClient, entry: Entry) -> None:
        spool = self._spool()
        try:
            parcel = read_parcel(entry.key, entry.lane, entry.order_ns, entry.body)
        except ValueError as error:
            spool.bury(entry, "unreadable", str(error), time.time())
            LOG.exception("opsgenie: an entry of the spool %s cannot be read", spool.directory)
            return
        now = time.monotonic()
        wait_seconds = self._traffic.reserve(parcel.route, now) - now
        if wait_seconds > _PATIENCE_SECONDS:
            reason = entry.reason if _is_ambiguous(entry) else Reason.THROTTLED.value
            spool.postpone(entry, time.time() + wait_seconds + random.random() / 4, reason)  # noqa: S311
            return
        if wait_seconds > 0 and self._stop.wait(wait_seconds):
            spool.release(entry)
            return
        if _is_over(parcel, time.time()) or (_is_ambiguous(entry) and self._is_there(client, parcel, entry)):
            spool.deliver(entry, time.time())
            return
        self._settle(spool, entry, parcel, self._send(client, parcel))

    def _settle(self, spool: Spool, entry: Entry, parcel: Parcel, delivery: Delivery) -> None:
        self._settle_pace(parcel, delivery)
        if delivery.verdict is Verdict.DONE:
            self._traffic.lane_failures.pop(parcel.lane, None)
            spool.deliver(entry, time.time())
            self._confirmer.add(parcel, delivery.request_id)
        elif delivery.verdict is Verdict.FINAL:
            spool.bury(entry, delivery.reason.value, delivery.detail, time.time())
            self._tell_final(parcel, delivery)
        else:
            due_at = time.time() + self._delay_seconds(parcel, delivery)
            spool.postpone(entry, due_at, delivery.reason.value, delivery.detail)

    def _delay_seconds(self, parcel: Parcel, delivery: Delivery) -> float:
        if delivery.reason is Reason.UNAVAILABLE:
            failures = self._traffic.lane_failures[parcel.lane] = self._traffic.lane_failures.get(parcel.lane, 0) + 1
            return delay_seconds(
                failures,
                random.random(),  # noqa: S311
                longest_seconds=LONGEST_BACKOFF_SECONDS,
                retry_after_seconds=delivery.retry_after_seconds,
            )
        return self._traffic.wait_seconds(parcel.route, time.monotonic()) + random.random() / 4  # noqa: S311

    def _settle_pace(self, parcel: Parcel, delivery: Delivery) -> None:
        """Let the key, or the address, be used as the answer asks for; say it when that changes."""
        self._traffic.note(parcel.route, delivery, time.monotonic())
        state = "" if delivery.verdict in (Verdict.DONE, Verdict.FINAL) else delivery.reason.value
        if self._said.get(parcel.route, "") == state:
            return
        self._said[parcel.route] = state
        if not state:
            LOG.warning("opsgenie: requests go out again by %s", parcel.route)
        elif delivery.verdict is Verdict.STUCK:
            LOG.error("opsgenie: nothing goes out by %s until this is mended: %s; %s",
                      parcel.route, delivery.detail, MENDS[delivery.reason])  # fmt: skip
        else:
            LOG.warning("opsgenie: requests by %s wait (%s): %s", parcel.route, state, delivery.detail)

    def _send(self, client: OpsgenieClient, parcel: Parcel) -> Delivery:
        try:
            key = self.settings.key_of(parcel.route).reveal()
        except OSError as error:
            return Delivery(Verdict.STUCK, Reason.UNAUTHORIZED, f"its key file cannot be read: {error.strerror}")
        return client.send(parcel.request, key, time.monotonic() + self.settings.timeout_seconds)

    def _is_there(self, client: OpsgenieClient, parcel: Parcel, entry: Entry) -> bool:
        """Ask whether an earlier attempt, whose answer did not come, has had its effect."""
        what = {"create": "", "note": "/notes"}.get(parcel.request.operation)
        if what is None:
            return False
        try:
            key = self.settings.key_of(parcel.route).reveal()
        except OSError:
            return False
        found = client.read(parcel.lane, what, key, time.monotonic() + self.settings.timeout_seconds)
        since = (entry.attempted_at or 0.0) - _CLOCK_DOUBT_SECONDS
        if parcel.request.operation == "create":
            return isinstance(found, dict) and found.get("status") == "open"
        notes = found if isinstance(found, list) else []
        return any(_is_note(note, str(parcel.request.body.get("note")), since) for note in notes)

    def _tell_final(self, parcel: Parcel, delivery: Delivery) -> None:
        name = "JSM" if self.settings.policy.dialect is Dialect.JSM else "Opsgenie"
        operation = parcel.request.operation
        LOG.error("opsgenie: %s of alert %s is a dead letter: %s", operation, parcel.lane, delivery.detail)
        self.report(parcel.lane, f"{name} did not take this ({operation}): {delivery.detail}")

    def _client(self) -> OpsgenieClient:
        settings = self.settings
        return OpsgenieClient(
            settings.url, settings.policy.dialect, ca_file=settings.ca_file, environment=settings.proxies
        )


def _is_ambiguous(entry: Entry) -> bool:
    """Whether an earlier attempt may have had its effect: it ended without an answer, or with its process."""
    return entry.attempted_at is not None and entry.reason in ("", Reason.NETWORK.value, Reason.TIMEOUT.value)


def _is_over(parcel: Parcel, now: float) -> bool:
    """Whether it is a snooze whose end has come while it waited."""
    if parcel.request.operation != "snooze":
        return False
    end = iso_seconds(str(parcel.request.body.get("endTime")))
    return end is not None and end < now + _LEAST_SNOOZE_SECONDS


def _is_note(note: object, text: str, since_seconds: float) -> bool:
    if not isinstance(note, dict) or note.get("note") != text:
        return False
    written = iso_seconds(str(note.get("createdAt") or ""))
    return written is None or written >= since_seconds
