"""The agent's server on the Unix socket: one thread for each caller, which must be our user or root."""

import contextlib
import json
import os
import socket
import threading
import time
from typing import Callable, Dict, List, NamedTuple, Optional

from alerta_opsgenie import __version__
from alerta_opsgenie.agent import handover
from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.executor_output import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, response_fields, result_fields
from alerta_opsgenie.agent.intake import Request
from alerta_opsgenie.agent.options import UsageError, help_or_version_text, read_options, require_message, split
from alerta_opsgenie.agent.target_queue import RETRY_WAIT_SECONDS
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.core.outcome import Kind
from alerta_opsgenie.journal import JournalError

MOST_CALLERS = 64
"""Callers served at once; others wait in the socket's queue. OEC starts 12 executors at once by default."""

_TRANSFER_SECONDS = 10.0  # to read or write one frame

_ANSWER_SECONDS = 0.5  # A response is sent so long before the caller's time limit: both may be slow on a busy host


class Call(NamedTuple):
    """A request. `seconds`: how long the caller waits for the response."""

    version: str
    what: bytes
    seconds: float
    directory: str
    arguments: List[str]
    environment: Dict[str, str]


def read_call(fields: List[bytes]) -> Call:
    """Read the fields of a frame. Raises ValueError."""
    protocol, version, what, milliseconds, directory, count = fields[:6]
    if protocol != handover.PROTOCOL:
        raise ValueError("it has another protocol version")
    if max(len(milliseconds), len(count)) > len("3600000"):
        raise ValueError("a number is too long")
    texts = [os.fsdecode(field) for field in fields[6:]]
    pairs = (text.partition("=") for text in texts[int(count) :])
    environment = {name: value for name, _, value in pairs}
    seconds = int(milliseconds) / 1000
    return Call(version.decode("ascii"), what, seconds, os.fsdecode(directory), texts[: int(count)], environment)


class Server:
    """Serves the state directory as `kind`, `agent` or `run`; `retire` is called when the agent is to end."""

    def __init__(self, deliverer: Deliverer, kind: str, retire: Callable[[], None] = lambda: None) -> None:
        self._deliverer = deliverer
        self._kind = kind
        self._retire = retire
        self._began = time.time()
        self._free_slots = threading.BoundedSemaphore(MOST_CALLERS)
        self._socket: Optional[socket.socket] = None
        self._directory = -1
        self._mutex = threading.Lock()
        self.callers = 0
        self.called_at = time.monotonic()

    def start(self) -> None:
        """Listen. Replace the socket file of a killed process. Raises OSError, UnsafeError."""
        directory = handover.open_directory(self._deliverer.state_directory)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(handover.SOCKET_NAME, dir_fd=directory)
            listener.bind(handover.socket_address(directory))
            listener.listen(128)
        except OSError:
            os.close(directory)
            raise
        finally:
            os.umask(mask)
        self._socket, self._directory = listener, directory
        threading.Thread(target=self._accept, args=(listener,), name="agent-socket", daemon=True).start()

    def stop(self, seconds: float) -> None:
        """Accept no more calls, and wait so long for those in progress. Later callers start another agent."""
        listener, self._socket = self._socket, None
        if listener is None:
            return
        with contextlib.suppress(OSError):
            os.unlink(handover.SOCKET_NAME, dir_fd=self._directory)
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # ends `accept` in its thread
        listener.close()
        os.close(self._directory)
        end = time.monotonic() + seconds
        while self.callers and time.monotonic() < end:
            time.sleep(0.02)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            self._free_slots.acquire()
            try:
                connection = listener.accept()[0]
            except OSError:
                return  # the server was stopped
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        began = self.called_at = time.monotonic()
        with self._mutex:
            self.callers += 1
        try:
            with connection:
                connection.settimeout(_TRANSFER_SECONDS)
                if handover.peer_uid(connection) in (os.geteuid(), 0):
                    call = read_call(handover.read_frame(connection))
                    connection.sendall(handover.frame(self._answer(call, began)))
        except (OSError, ValueError, handover.NoAgentError):
            pass  # the caller is gone, or sent no valid frame; it got no confirmation
        finally:
            with self._mutex:
                self.callers -= 1
            self.called_at = time.monotonic()
            self._free_slots.release()

    def _answer(self, call: Call, began: float) -> List[bytes]:
        if call.what == handover.STATUS:
            return [json.dumps(self._status()).encode("ascii")]
        if call.what == handover.RETIRE:
            if self._kind == "agent":
                self._retire()
            return [self._kind.encode("ascii")]
        try:
            fields = self._run(call, began)
        except JournalError as error:
            fields = response_fields(EXIT_FAILED, errors=f"the waiting actions cannot be read: {error}\n")
        except (UsageError, AddressError) as error:
            fields = response_fields(EXIT_USAGE, errors=f"oecAlertaExecutor: {error}\n")
        if self._kind == "agent" and _version_numbers(call.version) > _version_numbers(__version__):
            fields[handover.SUCCESSOR] = b"1"
        return fields

    def _run(self, call: Call, began: float) -> List[bytes]:
        found, notes = split(call.arguments)
        text = help_or_version_text(found)
        if text:
            return response_fields(EXIT_DONE, text)
        options = read_options(found, notes, call.environment, call.directory)
        if call.what == handover.WAKE:
            self._deliverer.wake(options)
            return response_fields(EXIT_DONE)
        (ticket,) = self._deliverer.submit([Request(require_message(options), options)])
        answer_by = began + call.seconds - min(_ANSWER_SECONDS, call.seconds / 5)
        result = ticket.wait(max(0.0, answer_by - time.monotonic()), RETRY_WAIT_SECONDS)
        ticket.unregister()
        counts = self._counts().values() if result.outcome.kind is Kind.KEPT else ()
        waiting = sum(one["waiting"] + one["in_flight"] for one in counts)
        return result_fields(options, result, time.monotonic() - began, waiting, ticket.failures)

    def _counts(self) -> Dict[str, Dict[str, int]]:
        try:
            return {name: found._asdict() for name, found in self._deliverer.counts().items()}
        except JournalError:
            return {}

    def _status(self) -> Dict[str, object]:
        return {
            "kind": self._kind, "version": __version__, "pid": os.getpid(), "since": self._began,
            "problem": self._deliverer.problem, "targets": self._counts(),
        }  # fmt: skip


def _version_numbers(version: str) -> List[int]:
    """Return a version for comparison; a text that is not a version is older than any."""
    parts = version.split(".")
    return [int(part) for part in parts] if all(part.isdigit() for part in parts) else []
