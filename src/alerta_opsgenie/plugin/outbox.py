"""What goes out to Opsgenie is kept here first: on the disk before Alerta's hook returns, and sent from there.

A hook never waits for Opsgenie, only for one fsync. Each request is an entry of its own in the spool, in the lane of
its alert. Where the spool cannot be used (a full disk, a wrong owner), requests wait in this process's memory, loudly,
and are sent from there: late and without a guarantee rather than not at all.
"""

import collections
import json
import logging
import os
import threading
import time
import uuid
from typing import Any, Deque, Dict, List, NamedTuple, Optional

from alerta_opsgenie.core.publish import Dispatch, Request
from alerta_opsgenie.journal import Spool, SpoolUnavailable
from alerta_opsgenie.plugin.bell import Bell

LOG = logging.getLogger("alerta.plugins.opsgenie")

MOST_IN_MEMORY = 10_000
"""Requests that wait in memory while the spool cannot be used; beyond it the oldest is lost, and that is logged."""


class Parcel(NamedTuple):
    """One request on its way, as it lies in the spool."""

    key: str
    lane: str
    order_ns: int
    route: str
    request: Request

    def to_text(self) -> str:
        """Write it for the spool. It names a route and never holds a key."""
        return json.dumps({"v": 1, "route": self.route, **self.request._asdict()})


def read_parcel(key: str, lane: str, order_ns: int, text: str) -> Parcel:
    """Read what `to_text` wrote. Raises ValueError."""
    value: Dict[str, Any] = json.loads(text)
    try:
        request = Request(value["operation"], value["method"], value["path"], value["body"])
        return Parcel(key, lane, order_ns, value["route"], request)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no request of this plugin's: {error}") from None


class Outbox:
    """Where the hooks put requests. Any thread may call it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.bell = Bell(directory)
        self.memory: Deque[Parcel] = collections.deque(maxlen=MOST_IN_MEMORY)
        self.trouble = ""
        self._spool: Optional[Spool] = None
        self._mutex = threading.Lock()

    def put(self, dispatch: Dispatch, lane: str) -> int:
        """Keep the requests of one event, in order; returns how many. They are on the disk then, if any way can be."""
        now_ns = time.time_ns()
        parcels = [
            Parcel(uuid.uuid4().hex, lane, now_ns + place, dispatch.route, request)
            for place, request in enumerate(dispatch.requests)
        ]
        for parcel in parcels:
            self.keep(parcel)
        if parcels:
            self.bell.ring()
        return len(parcels)

    def keep(self, parcel: Parcel, *, delay_seconds: float = 0.0) -> None:
        """Put one request on the disk, or else into memory."""
        if not self.memory and self._keep_durably([parcel], delay_seconds):
            return
        with self._mutex:
            if len(self.memory) == MOST_IN_MEMORY:
                LOG.error("opsgenie: a request for alert %s is lost: memory is full, too", self.memory[0].lane)
            self.memory.append(parcel)

    def save_memory(self) -> bool:
        """Move to the disk what waits in memory; False: the spool still cannot be used."""
        waiting = list(self.memory)
        if waiting and not self._keep_durably(waiting, 0.0):
            return False
        self.forget(waiting)
        return True

    def forget(self, parcels: List[Parcel]) -> None:
        """Take out of memory what lies on the disk now, or was sent."""
        with self._mutex:
            for parcel in parcels:
                if self.memory and self.memory[0] is parcel:
                    self.memory.popleft()

    def spool(self) -> Spool:
        """Give the spool, opened if need be. Raises SpoolUnavailable."""
        with self._mutex:
            if self._spool is None:
                self._spool = Spool(self.directory)
            return self._spool

    def complain(self, error: SpoolUnavailable) -> None:
        """Log once what keeps the spool from being used."""
        if self.trouble != error.label:
            self.trouble = error.label
            LOG.error("opsgenie: requests wait in memory, and are lost if this process ends: %s", error)

    def _keep_durably(self, parcels: List[Parcel], delay_seconds: float) -> bool:
        try:
            spool = self.spool()
            for parcel in parcels:
                now = time.time()
                spool.keep(
                    parcel.key, parcel.lane, parcel.order_ns, parcel.to_text(), now=now, kind=parcel.request.operation,
                    due_at=now + delay_seconds,
                )  # fmt: skip
        except SpoolUnavailable as error:
            self.complain(error)
            return False
        if self.trouble:
            LOG.warning("opsgenie: the spool %s can be used again", self.directory)
            self.trouble = ""
        return True


def owner() -> str:
    """Name this process in the spool's lists."""
    return f"{os.uname().nodename}:{os.getpid()}"
