"""What is left in the spool, delivered: one drainer for each spool, on its own or by hand.

An executor that leaves something behind starts one, detached, so that the connector does not wait for it; nobody has
to set up a timer. It ends when nothing waits any more. Where the API key is refused it ends too: the next executor
comes with the mended key and starts another. And it ends when an executor comes with another configuration than its
own (a mended URL, a renewed key): the file `drainer.wants` names the newest, and the successor takes the role over.
"""

import contextlib
import fcntl
import json
import math
import os
import random
import sys
import threading
import time
from typing import Callable, Dict, Iterator, List, Mapping, Optional

from alerta_opsgenie.agent.options import Options, read_options
from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.core.message import MessageError, recall
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.executor.delivery import Courier
from alerta_opsgenie.journal import Entry, Spool, try_lock
from alerta_opsgenie.keeping import (
    CALL_SECONDS,
    EXPIRE_AFTER_SECONDS,
    LEASE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    ROLE,
    adopt,
    settle,
    unmark,
)
from alerta_opsgenie.lanes import Desk, Lane

WORKERS = 4
"""Alerts delivered at once: one that Alerta hangs on holds up one of these."""

TAKE_OVER_SECONDS = 30.0
"""How long a drainer's successor waits for it: a worker may have two calls before it that Alerta hangs on."""

_LOOK_SECONDS = 0.5
_KEY_REFUSALS = frozenset({Reason.UNAUTHORIZED, Reason.FORBIDDEN})
_KEY_PATIENCE = 3

Report = Callable[[Entry, Outcome], None]


def is_needed(options: Options) -> bool:
    """Whether nobody delivers what waits, or nobody by this configuration. Raises `SpoolUnavailable`, `OSError`."""
    if _want(options):
        return True
    lock = try_lock(options.spool_directory, ROLE)
    if lock is None:
        return False
    lock.release()
    return True


def start(found: Mapping[str, List[str]], options: Options) -> None:
    """Start a drainer of its own session with the executor's arguments; the key goes by a pipe, not by argv."""
    import subprocess  # noqa: PLC0415 - only who leaves something behind pays for it

    arguments = {name: values for name, values in found.items() if name not in ("payload", "payloadFile")}
    arguments["drain"] = []
    arguments["spoolDir"] = [options.spool_directory]
    if "alertaApiKeyFile" not in arguments:
        arguments["alertaApiKey"] = [options.alerta_key]
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


def _fingerprint(options: Options) -> str:
    """Name what a drainer would deliver with, without telling the key."""
    import hashlib  # noqa: PLC0415 - the same

    settings = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in options.settings._asdict().items()
    }
    whole = json.dumps([options.alerta_url, options.alerta_key, options.ca_file, settings], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


@contextlib.contextmanager
def _wants(directory: str, operation: int) -> "Iterator[int]":
    """Open and lock the file that names the newest configuration; gives -1 where others have it locked just now."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    file = os.open(os.path.join(directory, "drainer.wants"), flags, 0o600)
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
        yield file
    except BlockingIOError:
        yield -1
    finally:
        os.close(file)


def _want(options: Options) -> bool:
    """Name a configuration as the newest. False: it is that already, or others are at it, who will be back."""
    mine = _fingerprint(options).encode("ascii")
    with _wants(options.spool_directory, fcntl.LOCK_EX) as file:
        if file < 0 or os.read(file, 100) == mine:
            return False
        os.ftruncate(file, 0)
        os.pwrite(file, mine, 0)
        return True


def _is_wanted(directory: str, fingerprint: str) -> bool:
    with _wants(directory, fcntl.LOCK_SH) as file:
        return file < 0 or os.read(file, 100) == fingerprint.encode("ascii")


class Drainer:
    """Delivers what waits in one spool.

    `connect` makes a courier for each worker; `report` hears of each ending. `fingerprint` names the configuration of
    one that an executor started: it ends when a newer one is wanted, which one that a person started does not.
    """

    def __init__(
        self, directory: str, connect: Callable[[], Courier], report: Report, fingerprint: str = ""
    ) -> None:
        self._directory = directory
        self._connect = connect
        self._report = report
        self._fingerprint = fingerprint
        self._desk = Desk(directory)
        self._stopping = threading.Event()
        self._refusals = 0
        self._failure: Optional[Exception] = None
        self.refused: Optional[Outcome] = None
        """The refusal of the API key that ended it, if one did."""

    def run(self, *, watch: bool = False, patience_seconds: float = 0.0) -> bool:
        """Deliver until nothing waits (or for ever with `watch`). False: another drainer is at it.

        `patience_seconds` is how long to wait for one of another configuration to end; with `watch` there is no limit
        to it. Raises `SpoolUnavailable`, and whatever else ended a worker.
        """
        patience_ends = math.inf if watch else time.monotonic() + patience_seconds
        while True:
            lock = try_lock(self._directory, ROLE)
            if lock is None:
                if time.monotonic() >= patience_ends or not self._is_wanted() or self._has_twin():
                    return False
                if self._stopping.wait(_LOOK_SECONDS):
                    return True
                continue
            with lock:
                _sign(lock.path, self._fingerprint)
                self._drain(watch=watch)
            if self._failure:
                raise self._failure
            # What was kept while we held the role found it taken and started nobody; so we look once more without it.
            if self._stopping.is_set() or not self._is_something_left():
                return True

    def stop(self) -> None:
        """Let the workers end after what they have in hand."""
        self._stopping.set()

    def _is_wanted(self) -> bool:
        return not self._fingerprint or _is_wanted(self._directory, self._fingerprint)

    def _has_twin(self) -> bool:
        """Whether the one that has the role was started with the same configuration."""
        try:
            with open(os.path.join(self._directory, f"{ROLE}.lock"), "rb") as file:
                return bool(self._fingerprint) and file.read(100) == self._fingerprint.encode("ascii")
        except FileNotFoundError:
            return False

    def _is_something_left(self) -> bool:
        with Spool(self._directory) as spool:
            return bool(spool.counts(time.time()).waiting) or self._desk.has_orphans()

    def _drain(self, *, watch: bool) -> None:
        self._desk.prepare()
        with Spool(self._directory) as spool:
            _free_claims(spool)
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
            unmark(self._desk, spool)

    def _work(self, *, watch: bool) -> None:
        try:
            with Spool(self._directory) as spool, contextlib.closing(self._connect()) as courier:
                while not self._stopping.is_set() and self._step(spool, courier, watch=watch):
                    pass
        except Exception as error:  # noqa: BLE001 - handed to run, which raises it in the caller's thread
            self._failure = error
            self._stopping.set()

    def _step(self, spool: Spool, courier: Courier, *, watch: bool) -> bool:
        """Deliver one entry, or wait a little; False when nothing is left to wait for."""
        if not self._is_wanted():
            self._stopping.set()
            return False
        now = time.time()
        entry = spool.claim(now, LEASE_SECONDS, f"drainer {os.getpid()}")
        if entry is not None:
            self._deliver(spool, courier, entry)
            return True
        if adopt(self._desk, spool):
            return True
        due_at = spool.next_due()
        if due_at is None and not watch and not self._desk.has_orphans():
            return False
        if watch:
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
                if entry.reason == Reason.TIMEOUT.value:
                    courier.let_land(message)
                outcome = courier.attempt(message, lane, entry.attempted_at, time.monotonic() + CALL_SECONDS)
            self._settle(spool, lane, entry, outcome)
        self._report(entry, outcome)

    def _settle(self, spool: Spool, lane: Lane, entry: Entry, outcome: Outcome) -> None:
        self._count_refusals(outcome)
        pause = delay_seconds(
            entry.attempts + 1,
            random.random(),  # noqa: S311 - jitter
            longest_seconds=LONGEST_PAUSE_SECONDS,
            retry_after_seconds=outcome.retry_after_seconds,
        )
        settle(spool, lane, entry, outcome, pause)

    def _count_refusals(self, outcome: Outcome) -> None:
        """End when the key is refused again and again: only an executor with a mended one can go on."""
        self._refusals = self._refusals + 1 if outcome.reason in _KEY_REFUSALS else 0
        if self._refusals >= _KEY_PATIENCE:
            self.refused = outcome
            self._stopping.set()


def _sign(path: str, fingerprint: str) -> None:
    """Say in the role's file who has it; on a full disk it goes without."""
    with contextlib.suppress(OSError), open(path, "r+b") as file:
        file.truncate()
        file.write(fingerprint.encode("ascii"))


def _free_claims(spool: Spool) -> None:
    """Take back what a killed drainer had claimed: whoever has the role is the only one who claims."""
    for entry in spool.entries("waiting"):
        if entry.leased_until is not None:
            spool.release(entry)


_LARGEST_LOG_BYTES = 1024 * 1024


class _Log:
    """What a drainer without a terminal did, in `drainer.log` beside the spool (one old one is kept)."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, "drainer.log")
        self._mutex = threading.Lock()

    def report(self, entry: Entry, outcome: Outcome) -> None:
        """Write down how an entry ended."""
        self.write(f"{outcome.kind.value} {entry.kind} {entry.lane}: {outcome.reason.value} {outcome.detail}")

    def write(self, what: str) -> None:
        """Write a line; where that fails the actions are delivered all the same."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with self._mutex, contextlib.suppress(OSError):
            _append_line(self._path, f"{when} {what}")


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
    log = _Log(options.spool_directory)

    def connect() -> Courier:
        client = AlertaClient(options.alerta_url, options.alerta_key, ca_file=options.ca_file)
        return Courier(client, options.settings, options.spool_directory)

    try:
        directory, fingerprint = options.spool_directory, _fingerprint(options)
        drainer = Drainer(directory, connect, log.report, fingerprint)
        drainer.run(patience_seconds=TAKE_OVER_SECONDS)
    except Exception as error:  # noqa: BLE001 - nobody hears of it otherwise; the next executor starts another
        log.write(f"the drainer ended: {type(error).__name__}: {error}".replace(options.alerta_key, "***"))
        return 1
    return 0
