"""What is left in the spool, delivered: one drainer for each spool, on its own or by hand.

An executor that leaves something behind starts one, detached, so that the connector does not wait for it; nobody has
to set up a timer. It ends when nothing waits any more. Where the API key is refused it ends too: the next executor
comes with the mended key and starts another.
"""

import json
import os
import random
import sys
import threading
import time
from typing import Callable, Dict, List, Mapping, Optional

from alerta_opsgenie.alerta import AlertaClient
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.core.message import MessageError, recall
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.executor.delivery import CALL_SECONDS, Courier, keep
from alerta_opsgenie.lanes import Desk, Lane
from alerta_opsgenie.options import read_options
from alerta_opsgenie.spool import Entry, Spool, try_lock

ROLE = "drainer"
WORKERS = 4
"""Alerts delivered at once: one that Alerta hangs on holds up one of these."""

LEASE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 15.0
"""The longest wait between two attempts on one alert: after it Alerta may have been back for so long."""

EXPIRE_AFTER_SECONDS = 7 * 86400.0
"""What could not be delivered for so long becomes a dead letter."""

_LOOK_SECONDS = 0.5
_KEY_REFUSALS = frozenset({Reason.UNAUTHORIZED, Reason.FORBIDDEN})
_KEY_PATIENCE = 3
_ADOPTED = Outcome(Kind.KEPT, Reason.TIMEOUT, "the process that had taken it was killed")

Report = Callable[[Entry, Outcome], None]


def start(found: Mapping[str, List[str]], key: str, directory: str) -> None:
    """Start a drainer of its own session with the executor's arguments; the key goes by a pipe, not by argv."""
    import subprocess  # noqa: PLC0415 - only who leaves something behind pays for it

    arguments = {name: values for name, values in found.items() if name not in ("payload", "payloadFile")}
    arguments["drain"] = []
    arguments["spoolDir"] = [directory]
    if "alertaApiKeyFile" not in arguments:
        arguments["alertaApiKey"] = [key]
    process = subprocess.Popen(
        [sys.executable, *_this_program(), "--drain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        close_fds=True,
    )
    assert process.stdin is not None  # noqa: S101 - asked for above
    process.stdin.write(json.dumps(arguments).encode("utf-8", "surrogateescape"))
    process.stdin.close()
    process.returncode = 0  # it outlives us; without this the interpreter warns of a child not waited for


def _this_program() -> List[str]:
    """Say how to start this program again: the one file, under whichever name, or the installed package."""
    script = os.path.abspath(sys.argv[0])
    return ["-m", "alerta_opsgenie.executor"] if script.endswith(".py") and "__main__" in script else [script]


def is_needed(directory: str) -> bool:
    """Whether something waits and nobody delivers it. Raises `SpoolUnavailable`."""
    lock = try_lock(directory, ROLE)
    if lock is None:
        return False
    lock.release()
    return True


def adopt(desk: Desk, spool: Spool) -> int:
    """Take into the spool what killed processes had taken; gives how many."""
    adopted = 0
    for orphan in desk.orphans():
        try:
            keep(spool, orphan.job, _ADOPTED, orphan.job.taken_at)
            desk.mark_waiting(waits=True)
            desk.lane(orphan.job.lane).mark_waiting(waits=True)
            orphan.adopted()
            adopted += 1
        finally:
            orphan.close()
    return adopted


class Drainer:
    """Delivers what waits in one spool. `connect` makes a courier for each worker; `report` hears of each ending."""

    def __init__(self, directory: str, connect: Callable[[], Courier], report: Report) -> None:
        self._directory = directory
        self._connect = connect
        self._report = report
        self._desk = Desk(directory)
        self._stopping = threading.Event()
        self._refusals = 0
        self._failure: Optional[Exception] = None

    def run(self, *, watch: bool = False) -> bool:
        """Deliver until nothing waits (or for ever with `watch`). False: another drainer is at it.

        Raises `SpoolUnavailable`, and whatever else ended a worker.
        """
        while True:
            lock = try_lock(self._directory, ROLE)
            if lock is None:
                return False
            with lock:
                self._drain(watch=watch)
            if self._failure:
                raise self._failure
            # What was kept while we held the role found it taken and started nobody; so we look once more without it.
            with Spool(self._directory) as spool:
                if self._stopping.is_set() or not spool.counts(time.time()).waiting:
                    return True

    def stop(self) -> None:
        """Let the workers end after what they have in hand."""
        self._stopping.set()

    def _drain(self, *, watch: bool) -> None:
        self._desk.prepare()
        with Spool(self._directory) as spool:
            adopt(self._desk, spool)
            spool.expire(time.time(), EXPIRE_AFTER_SECONDS)
            spool.prune(time.time(), EXPIRE_AFTER_SECONDS)
            self._desk.forget(time.time())
        workers = [threading.Thread(target=self._work, kwargs={"watch": watch}) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        with Spool(self._directory) as spool:
            self._unmark(spool)

    def _unmark(self, spool: Spool) -> None:
        if not spool.counts(time.time()).waiting:
            self._desk.mark_waiting(waits=False)
            if spool.counts(time.time()).waiting:
                self._desk.mark_waiting(waits=True)

    def _work(self, *, watch: bool) -> None:
        try:
            with Spool(self._directory) as spool:
                courier = self._connect()
                while not self._stopping.is_set() and self._step(spool, courier, watch=watch):
                    pass
        except Exception as error:  # noqa: BLE001 - handed to run, which raises it in the caller's thread
            self._failure = error
            self._stopping.set()

    def _step(self, spool: Spool, courier: Courier, *, watch: bool) -> bool:
        """Deliver one entry, or wait a little; False when nothing is left to wait for."""
        now = time.time()
        entry = spool.claim(now, LEASE_SECONDS, f"drainer {os.getpid()}")
        if entry is not None:
            self._deliver(spool, courier, entry)
            return True
        due_at = spool.next_due()
        if due_at is None and not watch:
            return False
        if watch:
            adopt(self._desk, spool)
            spool.expire(now, EXPIRE_AFTER_SECONDS)
        pause = _LOOK_SECONDS if due_at is None else min(_LOOK_SECONDS, max(0.01, due_at - now))
        self._stopping.wait(pause)
        return True

    def _deliver(self, spool: Spool, courier: Courier, entry: Entry) -> None:
        lane = self._desk.lane(entry.lane)
        deadline = time.monotonic() + CALL_SECONDS
        with lane.locked(deadline) as held:
            if not held:
                spool.release(entry)
                return
            try:
                message = recall(entry.body, entry.key)
            except MessageError as error:
                outcome = Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))
            else:
                outcome = courier.attempt(message, lane, entry.attempted_at, time.monotonic() + CALL_SECONDS)
            self._settle(spool, lane, entry, outcome)
        self._report(entry, outcome)

    def _settle(self, spool: Spool, lane: Lane, entry: Entry, outcome: Outcome) -> None:
        now = time.time()
        if outcome.kind is Kind.KEPT:
            self._count_refusals(outcome)
            pause = delay_seconds(
                entry.attempts + 1,
                random.random(),  # noqa: S311 - jitter
                longest_seconds=LONGEST_PAUSE_SECONDS,
                retry_after_seconds=outcome.retry_after_seconds,
            )
            spool.postpone(entry, now + pause, outcome.reason.value, outcome.detail)
            return
        self._refusals = 0
        if outcome.kind is Kind.REJECTED:
            spool.bury(entry, outcome.reason.value, outcome.detail, now)
        else:
            spool.deliver(entry, now)
        if not spool.waits(entry.lane):
            lane.mark_waiting(waits=False)
            if spool.waits(entry.lane):
                lane.mark_waiting(waits=True)

    def _count_refusals(self, outcome: Outcome) -> None:
        """End when the key is refused again and again: only an executor with a mended one can go on."""
        self._refusals = self._refusals + 1 if outcome.reason in _KEY_REFUSALS else 0
        if self._refusals >= _KEY_PATIENCE:
            self._stopping.set()


def log_to(directory: str) -> Report:
    """Write what a drainer without a terminal did into `drainer.log` beside the spool (one old one is kept)."""
    path = os.path.join(directory, "drainer.log")
    mutex = threading.Lock()

    def report(entry: Entry, outcome: Outcome) -> None:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        what = f"{outcome.kind.value} {entry.kind} {entry.lane}: {outcome.reason.value} {outcome.detail}"
        with mutex:
            _append_line(path, f"{when} {what}")

    return report


_LARGEST_LOG_BYTES = 1024 * 1024


def _append_line(path: str, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, (" ".join(line.split()) + "\n").encode("utf-8", "backslashreplace"))
        large = os.fstat(file).st_size > _LARGEST_LOG_BYTES
    finally:
        os.close(file)
    if large:
        os.replace(path, path + ".1")


def run_detached(environment: Mapping[str, str]) -> int:
    """Be the drainer that `start` started: the arguments come by standard input."""
    found: Dict[str, List[str]] = json.loads(sys.stdin.buffer.read())
    options = read_options(found, (), environment)

    def connect() -> Courier:
        client = AlertaClient(options.alerta_url, options.alerta_key, ca_file=options.ca_file)
        return Courier(client, options.settings, options.spool_directory)

    Drainer(options.spool_directory, connect, log_to(options.spool_directory)).run()
    return 0
