"""The outbox: each request to the vendor is committed to a journal before Alerta's hook returns.

The journal is a table in Alerta's PostgreSQL database, or a directory on the host's disk. A hook never waits for the
vendor, only for one commit. If the journal cannot be used (a full disk, a wrong owner), requests wait in this process's
memory and are sent from there. That is logged as an error, because they are lost if the process ends.
"""

import collections
import contextlib
import json
import os
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Sequence, Union

from alerta_opsgenie.core.publish import Dispatch, Request
from alerta_opsgenie.journal import Action, Journal, JournalError, Lock, New, try_lock
from alerta_opsgenie.plugin import LOG
from alerta_opsgenie.plugin.database_journal import DatabaseJournal
from alerta_opsgenie.plugin.memory import Memory

LOCK_NAME = "sender"
HOST_LEASE_SECONDS = 12.0
MOST_IN_MEMORY = 10_000
"""Requests in memory while the journal cannot be used. If there are more, the oldest is lost, which is logged."""


class OutgoingRequest(NamedTuple):
    """A request, as its row in the journal has it. `order_ns` is when it was made."""

    key: str
    alert: str
    order_ns: int
    route: str
    request: Request

    def to_row(self) -> New:
        """Return its row for the journal, which has the name of a route and never a key."""
        body = json.dumps({"v": 1, "route": self.route, **self.request._asdict()})
        return New(self.key, self.alert, self.order_ns, self.request.operation, body)


def read_row(action: Action) -> OutgoingRequest:
    """Read what `to_row` wrote. Raises ValueError."""
    value: Dict[str, Any] = json.loads(action.body)
    try:
        request = Request(value["operation"], value["method"], value["path"], value["body"])
        return OutgoingRequest(action.key, action.alert, action.order_ns, value["route"], request)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a request of this plugin: {error}") from None


class HostLease:
    """A lease of the process that sends for its host, if the outbox is in the database. On disk a lock file does this.

    If the process dies, it ends after `HOST_LEASE_SECONDS`. If it was lost, two processes send for a while, which is
    safe by the leases on the alerts.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._name, self._holder = f"sender on {os.uname().nodename}", uuid.uuid4().hex
        self._renewed_at = -HOST_LEASE_SECONDS

    def renew(self) -> bool:
        """Take or renew the lease. Return False if another process of the host has it. Raises JournalError."""
        now = time.monotonic()
        if now - self._renewed_at < HOST_LEASE_SECONDS / 4:
            return True
        is_held = self._memory.lease(self._name, self._holder, HOST_LEASE_SECONDS)
        self._renewed_at = now if is_held else -HOST_LEASE_SECONDS
        return is_held

    def close(self) -> None:
        """End the lease."""
        with contextlib.suppress(JournalError):
            self._memory.give_back(self._name, self._holder)


class Outbox:
    """The journal, in the database if that is given, else in the directory, and the requests in memory. Thread-safe."""

    def __init__(
        self, directory: str, database: Optional[DatabaseJournal] = None, memory: Optional[Memory] = None
    ) -> None:
        self.directory = directory
        self.journal: Union[Journal, DatabaseJournal] = database or Journal(directory)
        self._memory_of_hosts = memory
        self.wake_up = threading.Event()
        self.memory: Deque[OutgoingRequest] = collections.deque()
        self._problem = ""
        self._set_aside = ""
        self._mutex = threading.Lock()

    def put(self, dispatch: Dispatch, alert: str, mark: str = "") -> int:
        """Write the requests of one event to the journal, in order, or keep them in memory. Return how many.

        `mark` is the prefix of their keys.
        """
        now_ns = time.time_ns()
        requests = [
            OutgoingRequest(mark + uuid.uuid4().hex, alert, now_ns + place, dispatch.route, request)
            for place, request in enumerate(dispatch.requests)
        ]
        if not requests:
            return 0
        # Requests in memory first: in a process that does not send, only this writes them to the journal.
        if not self.save_memory() or not self._append(requests):
            self._remember(requests)
        self.wake_up.set()
        return len(requests)

    def take_lock(self) -> Union[Lock, HostLease, None]:
        """Take the lock of the process that sends for this host; None if another has it. Raises JournalError."""
        if isinstance(self.journal, Journal):
            return try_lock(self.directory, LOCK_NAME)
        lease = HostLease(self._memory_of_hosts) if self._memory_of_hosts else None
        return lease if lease and lease.renew() else None

    def take_over(self) -> None:
        """Move the requests in the directory to the database, if the journal is there."""
        try:
            if (Path(self.directory) / "spool.db").exists():
                LOG.warning("opsgenie: spool.db in %s is of an earlier build, and is not read", self.directory)
            if not isinstance(self.journal, Journal) and Path(self.directory).is_dir():
                self._take_over(self.journal)
        except (JournalError, OSError) as error:
            LOG.error("opsgenie: requests in %s could not be moved to the database: %s", self.directory, error)

    def _take_over(self, journal: DatabaseJournal) -> None:
        lock = try_lock(self.directory, LOCK_NAME)
        if lock is None:
            return  # another process sends from there
        with lock, Journal(self.directory) as disk:
            disk.recover(time.time())
            count = journal.take_over(disk)
        if count:
            LOG.warning("opsgenie: %d requests that waited in %s are in the database now", count, self.directory)

    def repeat(self, request: OutgoingRequest, delay_seconds: float) -> None:
        """Put a request into the journal again, due after a delay. Raises JournalError."""
        now = time.time()
        self.journal.append([request.to_row()], now, due_at=now + delay_seconds)

    def save_memory(self) -> bool:
        """Write the requests in memory to the journal. Return False if it still cannot be used."""
        waiting = list(self.memory)
        if waiting and not self._append(waiting):
            return False
        self.forget(waiting)
        return True

    def forget(self, requests: Sequence[OutgoingRequest]) -> None:
        """Remove requests from memory that were written or sent."""
        with self._mutex:
            for request in requests:
                if self.memory and self.memory[0] is request:
                    self.memory.popleft()

    def log_problem(self, error: JournalError) -> None:
        """Log once why the journal cannot be used."""
        if self._problem != error.label:
            self._problem = error.label
            LOG.error(
                "opsgenie: %s; requests wait in memory until they can be written, and are lost if this process ends",
                error,
            )

    def report_damage(self) -> None:
        """Log once that a damaged file was replaced."""
        if self._set_aside != self.journal.set_aside:
            self._set_aside = self.journal.set_aside
            LOG.error(
                "opsgenie: the outbox was damaged: %d rows could be read; the damaged file is %s",
                self.journal.carried_over, self._set_aside,
            )  # fmt: skip

    def _remember(self, requests: List[OutgoingRequest]) -> None:
        with self._mutex:
            for request in requests:
                if len(self.memory) == MOST_IN_MEMORY:
                    lost = self.memory.popleft()
                    LOG.error("opsgenie: a request for alert %s is lost: memory is full, too", lost.alert)
                self.memory.append(request)

    def _append(self, requests: List[OutgoingRequest]) -> bool:
        try:
            self.journal.append([request.to_row() for request in requests], time.time())
        except JournalError as error:
            self.log_problem(error)
            return False
        if self._problem:
            LOG.warning("opsgenie: the outbox can be used again")
            self._problem = ""
        return True
