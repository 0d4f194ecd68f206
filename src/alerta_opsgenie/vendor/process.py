"""One process, run as Go's `exec.Cmd.Run` does: until it has ended *and* its output is closed by all who hold it.

The last part matters. A script that leaves something running in the background keeps the connector's worker as long as
that something holds stdout or stderr; only what goes to /dev/null or a file of its own lets the worker go.

A time limit, which Go's connectors do not have, stops the script's whole session: SIGTERM, two seconds later SIGKILL.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import IO, Callable, Mapping, Sequence

from alerta_opsgenie.vendor.callback_pipe import CallbackPipe
from alerta_opsgenie.vendor.errno_text import go_error, go_exit
from alerta_opsgenie.vendor.scriptlog import ScriptLogError

MOST_KEPT_BYTES = 1024 * 1024
"""How much of each output is kept in memory. Go's connectors keep all of stderr; files get all of it here, too."""

GRACE_SECONDS = 2.0
"""How long a script that is over its time has between SIGTERM and SIGKILL."""

_CHUNK_BYTES = 32 * 1024
_GIVE_UP_SECONDS = 1.0

Sink = Callable[[bytes], None]


@dataclass(frozen=True)
class Ended:
    """How a process ended: its output, Python's return code (None where it never ran), and Go's error text.

    `failure` is empty where Go would see a success.
    """

    exit_code: int | None
    failure: str
    stdout: bytes = b""
    stderr: bytes = b""
    timed_out: bool = False


@dataclass
class Output:
    """Where one stream of a process goes: into `kept` (the first MiB), and into the sinks, in their order."""

    sinks: tuple[Sink, ...] = ()
    kept: bytearray = field(default_factory=bytearray)
    failure: str = ""

    def keep(self, chunk: bytes) -> None:
        """Put a chunk into memory, as far as there is room for it."""
        self.kept += chunk[: MOST_KEPT_BYTES - len(self.kept)]


@dataclass(frozen=True)
class Start:
    """What is started: the program (without a slash it is looked for in `search_path`) and its arguments.

    `search_path` is the connector's own PATH even where the script's environment has another.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    search_path: str
    working_directory: str | None = None


def run_process(
    start: Start,
    *,
    stdout: Output | None,
    stderr: Output,
    pipe: CallbackPipe | None = None,
    time_limit_seconds: float | None = None,
) -> Ended:
    """Run a program to its end and say how Go would see that. Never raises for what the program or the system does.

    Without `stdout` that stream goes to /dev/null.
    """
    name = start.argv[0]
    program = name if "/" in name else shutil.which(name, path=start.search_path)
    if program is None:
        return Ended(None, f'exec: "{name}": executable file not found in $PATH')
    try:
        process = subprocess.Popen(
            [_bytes(argument) for argument in start.argv],
            executable=_bytes(program),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if stdout is None else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={_bytes(variable): _bytes(value) for variable, value in start.environment.items()},
            bufsize=0,
            cwd=start.working_directory,
            start_new_session=time_limit_seconds is not None,
        )
    except OSError as error:
        return Ended(None, f"fork/exec {program}: {go_error(error)}")
    except ValueError:
        # A NUL character among the arguments or variables.
        return Ended(None, f"fork/exec {program}: invalid argument")
    return _Run(process, stdout, stderr, pipe, time_limit_seconds).follow()


def _bytes(text: str) -> bytes:
    """Encode for the system; what this process itself was given undecodable goes out as it came in."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


class _Run:
    """A process under way: one selector for its outputs, its named pipe, and the news that it has ended."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdout: Output | None,
        stderr: Output,
        pipe: CallbackPipe | None,
        time_limit_seconds: float | None,
    ) -> None:
        self._process = process
        self._stdout = stdout
        self._stderr = stderr
        self._pipe = pipe
        self._limit_seconds = time_limit_seconds
        self._selector = selectors.DefaultSelector()
        self._ended_reader, self._ended_writer = os.pipe()
        self._waiting_for: set[int] = {self._ended_reader}

    def follow(self) -> Ended:
        try:
            self._watch()
            timed_out = self._pump()
        finally:
            self._selector.close()
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()
            os.close(self._ended_reader)
        return self._result(timed_out)

    def _watch(self) -> None:
        self._selector.register(self._ended_reader, selectors.EVENT_READ, self._note_end)
        threading.Thread(target=self._wait_for_end, name="script-wait", daemon=True).start()
        for stream, output in ((self._process.stdout, self._stdout), (self._process.stderr, self._stderr)):
            if stream is not None and output is not None:
                self._waiting_for.add(stream.fileno())
                self._selector.register(stream.fileno(), selectors.EVENT_READ, _copier(stream, output))
        if self._pipe is not None and self._pipe.descriptor is not None:
            self._selector.register(self._pipe.descriptor, selectors.EVENT_READ, self._read_pipe)

    def _wait_for_end(self) -> None:
        """Wait in a thread of its own; the process is not reaped yet, so that its number cannot become another's."""
        try:
            if hasattr(os, "waitid"):
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
            else:
                self._process.wait()
        finally:
            # Closing tells the same as writing, and cannot fail where the reader has gone.
            os.close(self._ended_writer)

    def _note_end(self) -> bool:
        return False

    def _read_pipe(self) -> bool:
        return self._pipe is not None and self._pipe.read()

    def _pump(self) -> bool:
        """Copy until all that Go waits for is over. True where the time limit ended it."""
        stops = self._stops()
        stopped = False
        while self._waiting_for:
            if stops and time.monotonic() >= stops[0][0]:
                number = stops.pop(0)[1]
                stopped = True
                if number == 0:
                    return True
                self._signal(number)
                continue
            timeout = max(0.0, stops[0][0] - time.monotonic()) if stops else None
            for key, _ in self._selector.select(timeout):
                if not key.data():
                    self._selector.unregister(key.fd)
                    self._waiting_for.discard(key.fd)
        if self._pipe is not None:
            self._pipe.drain()
        return stopped

    def _stops(self) -> list[tuple[float, int]]:
        """Give the times at which the script is pressed to end, and by which signal; 0 is when we turn away from it."""
        if self._limit_seconds is None:
            return []
        over = time.monotonic() + self._limit_seconds
        killed = over + GRACE_SECONDS
        return [(over, signal.SIGTERM), (killed, signal.SIGKILL), (killed + _GIVE_UP_SECONDS, 0)]

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            # A script that changed its user; Go could not stop it either.
            return

    def _result(self, timed_out: bool) -> Ended:
        code = self._process.poll()
        kept = (bytes(self._stdout.kept) if self._stdout else b"", bytes(self._stderr.kept))
        if timed_out:
            failure = f"the script did not end within {self._limit_seconds:g} s and was stopped"
            return Ended(code, failure, *kept, timed_out=True)
        failure = go_exit(code or 0) or (self._stdout.failure if self._stdout else "") or self._stderr.failure
        return Ended(code, failure, *kept)


def _copier(stream: IO[bytes], output: Output) -> Callable[[], bool]:
    """Make the step that copies what a stream holds; it gives False when nothing more is taken from the stream."""

    def copy() -> bool:
        chunk = os.read(stream.fileno(), _CHUNK_BYTES)
        if not chunk:
            return False
        try:
            for sink in output.sinks:
                sink(chunk)
        except ScriptLogError as error:
            output.failure = str(error)
            # As in Go: the script finds its output closed, instead of waiting for a reader that never comes.
            stream.close()
            return False
        return True

    return copy
