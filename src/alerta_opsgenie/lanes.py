"""Order and memory between processes, without a database: one small file per alert, one per action under way.

The usual action pays for no SQLite: a lane's file is its lock (`flock`, which the kernel lifts when its holder dies)
and, as lines added at its end, its memory. Each line is one JSON object:

    {"tries": ..., "writes": {"state": 1751623260456000789}}   an action that is about to be tried, and what it writes
    {"key": ..., "wrote": {"state": 1751623260456000789}}      an action that is done, and what it wrote when
    {"waits": true}                                            something for this alert waits in the spool

Before an action is tried, it is written down in a file of its own (`Taken`), locked as long as the process lives.
Where such a file can be locked by another (shared, so that those who look do not see each other), its owner died, and
whoever holds the lane may pick the action up from it. None of this is fsync'ed: it outlives every process, not a power
cut; what must outlive that is in the spool.
"""

import contextlib
import errno
import fcntl
import json
import os
import time
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

FORGET_AFTER_SECONDS = 8 * 86400.0
"""A lane is forgotten a day after the last entry that could wait for it became a dead letter (7 days)."""

MOST_BYTES = 32_768
"""A lane's file that has grown beyond this is written anew: each action on the alert reads all of it."""

KEPT_LINES = 100
"""What of it is kept whole: fifty actions and more. Of what is older only the newest of each register counts."""

_POLL_SECONDS = 0.004
_UNFINISHED_SECONDS = 60.0
_OLDER = "older"  # no message has this key


class Job(NamedTuple):
    """An action as it lies on disk: `body` is the message, `taken_at` seconds since the epoch."""

    key: str
    lane: str
    order_ns: int
    kind: str
    body: str
    taken_at: float


class Desk:
    """The directory of lanes and of actions under way. `OSError` from any method tells that it cannot be used."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._lanes = os.path.join(directory, "lanes")
        self._taken = os.path.join(directory, "taken")
        self._waiting = os.path.join(directory, "waiting")

    def prepare(self) -> None:
        """Make what is missing, readable by its owner alone. A directory of another user's is refused."""
        _make_directory(self.directory)
        if os.stat(self.directory).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user")
        _make_directory(self._lanes)
        _make_directory(self._taken)

    def lane(self, name: str) -> "Lane":
        """Give the lane of that name (a UUID in lower case: it becomes a file name)."""
        return Lane(os.path.join(self._lanes, name[:2], name))

    def take(self, job: Job) -> "Taken":
        """Write an action down before it is tried."""
        return Taken(self._taken, job)

    def orphans(self, lane: str = "") -> "Iterator[Orphan]":
        """Find the actions whose process died: all, or those of one lane."""
        for name in sorted(os.listdir(self._taken)):
            if lane and not name.startswith(f"{lane}."):
                continue
            path = os.path.join(self._taken, name)
            if name.startswith(".") and _age_seconds(path) < _UNFINISHED_SECONDS:
                continue  # its process is between making and locking it
            orphan = _orphan(path)
            if orphan:
                yield orphan

    def has_orphans(self, lane: str = "") -> bool:
        """Whether there is an action (of that lane) whose process died."""
        for orphan in self.orphans(lane):
            orphan.close()
            return True
        return False

    @property
    def something_waits(self) -> bool:
        """Whether the spool beside this may hold something: true too often rather than too seldom."""
        return os.path.exists(self._waiting)

    def mark_waiting(self, *, waits: bool) -> None:
        """Say whether the spool holds something, for processes that would not open it to see."""
        if waits:
            os.close(os.open(self._waiting, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._waiting)

    def forget(self, now_seconds: float) -> None:
        """Remove the lanes that nothing has used for `FORGET_AFTER_SECONDS`."""
        for shard in os.scandir(self._lanes):
            if not shard.is_dir():
                continue
            for entry in os.scandir(shard.path):
                if now_seconds - entry.stat().st_mtime > FORGET_AFTER_SECONDS:
                    _remove_unused(entry.path)


def mend_of(error: OSError) -> str:
    """Say what to do where the directory cannot be used."""
    mends = {
        errno.ENOSPC: "make room on its file system",
        errno.EDQUOT: "raise the quota of the user that the connector runs as",
        errno.EROFS: "mount its file system for writing",
        errno.EACCES: "give it to the user that the connector runs as",
        errno.EPERM: "give it to the user that the connector runs as",
    }
    return mends.get(error.errno or 0, "mend it, or name another directory with --spoolDir")


class Lane:
    """One alert's order and memory. Use `locked` before anything is decided by it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1
        self._keys: FrozenSet[str] = frozenset()
        self._tried: FrozenSet[str] = frozenset()
        self._said: List[Tuple[str, float]] = []
        self.newest_ns: Dict[str, int] = {}
        self.waits = False

    @contextlib.contextmanager
    def locked(self, deadline: float) -> "Iterator[bool]":
        """Hold the lane; yields False where another still held it at `deadline` (of `time.monotonic`)."""
        held = self._lock(deadline)
        try:
            if held:
                with contextlib.suppress(OSError):  # a long file is slow, and no reason to do nothing
                    self._shorten()
                self.read()
            yield held
        finally:
            self._unlock()

    def read(self) -> None:
        """Learn what the lane remembers; a line that a killed process left unfinished is passed over."""
        entries = _entries(self._content())
        done, tried = _actions(entries)
        self.newest_ns = _newest((*done.values(), *tried.values()))
        self._keys, self._tried = frozenset(done), frozenset(tried)
        self._said = [
            (entry["words"], entry["at"])
            for entry in entries
            if "key" in entry and isinstance(entry.get("words"), str) and isinstance(entry.get("at"), float)
        ]
        self.waits = _waits(entries)

    def remembers(self, key: str) -> bool:
        """Whether the action of that key is done."""
        return key in self._keys

    def has_tried(self, key: str) -> bool:
        """Whether an attempt of the action of that key was announced before."""
        return key in self._tried

    def announce(self, key: str, writes: Mapping[str, int]) -> None:
        """Remember what an action that is tried now will have written, whatever becomes of it: none where it fails.

        An attempt of unknown end may have had its effect, and what is left of it is tried until it has. So an older
        action that comes meanwhile is as late as it will be then.
        """
        self._append({"tries": key, "writes": dict(writes)})

    def record(self, key: str, wrote: Mapping[str, int], words: str = "", at_seconds: float = 0.0) -> None:
        """Remember an action that is done, and the `updatedAt` (ns) of each register that it wrote.

        `words` stand for the line that it left in the alert's history, at that instant.
        """
        entry: Dict[str, Any] = {"key": key}
        if wrote:
            entry["wrote"] = dict(wrote)
        if words:
            entry.update(words=words, at=at_seconds)
        self._append(entry)

    def count_said(self, words: str, since_seconds: float) -> int:
        """Say how many actions that are done left those words in the history since that instant."""
        return sum(1 for said, at in self._said if said == words and at >= since_seconds)

    def mark_waiting(self, *, waits: bool) -> None:
        """Remember whether something for this alert waits in the spool. Needs no lock: lines are added whole."""
        self._append({"waits": waits})
        self.waits = waits

    def _content(self) -> bytes:
        if self._file >= 0:
            return os.pread(self._file, os.fstat(self._file).st_size, 0)
        try:
            with open(self._path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def _append(self, entry: Mapping[str, Any]) -> None:
        data = _line(entry)
        if self._file >= 0:
            os.write(self._file, data)
            return
        written = False
        while not written:
            file = self._open()
            try:
                os.write(file, data)
                # Where somebody has written the file anew meanwhile, ours is in the one that nobody reads.
                written = _is_file_of(self._path, file)
            finally:
                os.close(file)

    def _shorten(self) -> None:
        """Write the file anew where it has grown too long; the lane must be locked. Raises `OSError`."""
        if os.fstat(self._file).st_size <= MOST_BYTES:
            return
        content = self._content()
        entries = _entries(content)
        recent = entries[-KEPT_LINES:]
        names = {_name(entry) for entry in recent}
        done, tried = _actions([entry for entry in entries[:-KEPT_LINES] if _name(entry) not in names])
        older = {"key": _OLDER, "wrote": _newest((*done.values(), *tried.values()))}
        data = b"".join(map(_line, [older, *recent, {"waits": _waits(entries)}]))
        if len(data) > len(content) // 2:
            return  # few lines and long ones: it would be done again each time

        path = self._path + ".new"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # whoever finds it in its place must wait, as for the one before
            _write_all(file, data)
            os.rename(path, self._path)
        except OSError:
            os.close(file)
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        before, self._file = self._file, file
        try:
            # What others have added without the lock since we read.
            _write_all(file, os.pread(before, os.fstat(before).st_size, len(content)))
        finally:
            os.close(before)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            return os.open(self._path, flags, 0o600)
        except FileNotFoundError:
            _make_directory(os.path.dirname(self._path))
            return os.open(self._path, flags, 0o600)

    def _lock(self, deadline: float) -> bool:
        self._file = self._open()
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_POLL_SECONDS)
                continue
            if _is_file_of(self._path, self._file):
                return True
            # It was forgotten between our open and our lock: the name now is, or will be, another file's.
            os.close(self._file)
            self._file = self._open()

    def _unlock(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Taken:
    """An action under way, on disk until `done`."""

    def __init__(self, directory: str, job: Job) -> None:
        name = f"{job.lane}.{os.getpid()}.{time.monotonic_ns()}"
        unfinished = os.path.join(directory, "." + name)
        self.path = os.path.join(directory, name)
        self._file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            _write_all(self._file, json.dumps(job._asdict()).encode("ascii"))
            os.rename(unfinished, self.path)
        except OSError:
            os.close(self._file)
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            raise

    def done(self) -> None:
        """Remove it: the action is done, or in the spool."""
        os.unlink(self.path)
        os.close(self._file)

    def leave(self) -> None:
        """Let others pick it up: it could not be delivered, and not be kept otherwise."""
        os.close(self._file)


class Orphan:
    """An action whose process died. Hold its lane to pick it up, and see then whether it `is_there` still."""

    def __init__(self, path: str, file: int, job: Job) -> None:
        self._path = path
        self._file = file
        self.job = job

    @property
    def is_there(self) -> bool:
        """Whether nobody has picked it up meanwhile."""
        return _is_file_of(self._path, self._file)

    def adopted(self) -> None:
        """Remove it: the action is in the spool."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _orphan(path: str) -> Optional[Orphan]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    job = None
    if _try_lock(file, fcntl.LOCK_SH) and _is_file_of(path, file):
        job = _job(file)
        if job is None:
            # Killed while writing it down: nothing had been tried, and the rest is not there.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    if job is None:
        os.close(file)
        return None
    return Orphan(path, file, job)


def _job(file: int) -> Optional[Job]:
    with open(file, "rb", closefd=False) as reader:
        raw = reader.read()
    try:
        return Job(**json.loads(raw))
    except (ValueError, TypeError):
        return None


def _remove_unused(path: str) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _try_lock(file, fcntl.LOCK_EX) and _is_file_of(path, file):
            os.unlink(path)
    finally:
        os.close(file)


def _age_seconds(path: str) -> float:
    try:
        return time.time() - os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _try_lock(file: int, operation: int) -> bool:
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_file_of(path: str, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _line(entry: Mapping[str, Any]) -> bytes:
    # A newline before the entry too: behind a line that a killed process left unfinished it would be lost.
    return b"\n" + json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n"


def _entries(content: bytes) -> List[Dict[str, Any]]:
    """Read the lines that are whole."""
    lines = [line for line in content.split(b"\n") if line]
    try:
        # At once: four times as fast. What is not whole cannot run on into the next, which begins with `{`
        found = json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        found = [entry for line in lines for entry in _entry(line)]
    return [entry for entry in found if isinstance(entry, dict)]


def _entry(line: bytes) -> List[Any]:
    try:
        return [json.loads(line)]
    except ValueError:
        return []


def _name(entry: Mapping[str, Any]) -> str:
    """Name the action that a line is about."""
    return str(entry.get("key") or entry.get("tries") or "")


_Writes = Dict[str, Mapping[str, int]]


def _actions(entries: Iterable[Mapping[str, Any]]) -> "Tuple[_Writes, _Writes]":
    """Give what is done and what is tried: each action's key with what it writes, by its latest line."""
    done: _Writes = {}
    tried: _Writes = {}
    for entry in entries:
        if isinstance(entry.get("key"), str):
            done[entry["key"]] = _registers(entry.get("wrote"))
        elif isinstance(entry.get("tries"), str):
            tried[entry["tries"]] = _registers(entry.get("writes"))
    return done, tried


def _waits(entries: Sequence[Mapping[str, Any]]) -> bool:
    return next((bool(entry["waits"]) for entry in reversed(entries) if "waits" in entry), False)


def _registers(value: Any) -> Mapping[str, int]:
    """Give what stands in a line; a line that a broken disk has changed writes nothing."""
    fits = isinstance(value, dict) and all(isinstance(order_ns, int) for order_ns in value.values())
    return value if fits else {}


def _newest(written: Iterable[Mapping[str, int]]) -> Dict[str, int]:
    newest: Dict[str, int] = {}
    for registers in written:
        for register, order_ns in registers.items():
            newest[register] = max(order_ns, newest.get(register, 0))
    return newest


def _make_directory(path: str) -> None:
    """Make it and its parents for its owner alone: `os.makedirs` leaves the parents to the umask."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        _make_directory(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # a umask may have taken bits away


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
