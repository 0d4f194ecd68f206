"""What an agent does with a frame: deliver an action and answer how that ended, tell its state, wake up, retire."""

import json
import os
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from alerta_opsgenie import __version__
from alerta_opsgenie.agent import handover
from alerta_opsgenie.agent.deliverer import PATIENCE_SECONDS, Deliverer
from alerta_opsgenie.agent.intake import Request
from alerta_opsgenie.agent.lines import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, Shown, show
from alerta_opsgenie.agent.options import Options, UsageError, read_options, split, usage
from alerta_opsgenie.agent.ticket import Result
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import JournalError

_ANSWER_SECONDS = 0.5
"""An answer is given so long before the caller's time is over: both may be slow on a busy host."""


_LONGEST_NUMBER = 7  # milliseconds of an hour, the longest time limit


class Call(NamedTuple):
    """A frame that was read: who calls, what it wants, for how many seconds, and with which arguments."""

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
        raise ValueError("it speaks another protocol")
    if max(len(milliseconds), len(count)) > _LONGEST_NUMBER:
        raise ValueError("a number is too long")
    end = 6 + int(count)
    arguments = [os.fsdecode(field) for field in fields[6:end]]
    pairs = (os.fsdecode(field).partition("=") for field in fields[end:])
    environment = {name: value for name, _, value in pairs}
    seconds = int(milliseconds) / 1000
    return Call(version.decode("ascii"), what, seconds, os.fsdecode(directory), arguments, environment)


class Service:
    """Answers calls with one deliverer. `kind` is `agent` or `run`; `retire` is called when the agent is to end."""

    def __init__(self, deliverer: Deliverer, kind: str, retire: Callable[[], None]) -> None:
        self._deliverer = deliverer
        self._kind = kind
        self._retire = retire
        self._began = time.time()
        self.holds_lock = deliverer.holds_lock

    def answer(self, call: Call, began: float) -> bytes:
        """Do what a call wants and give the frame to send back. `began` is when it came (of `time.monotonic`)."""
        if call.what == handover.STATUS:
            return handover.frame([json.dumps(self._status()).encode("ascii")])
        if call.what == handover.RETIRE:
            if self._kind == "agent":
                self._retire()
            return handover.frame([self._kind.encode("ascii")])
        newer = b"1" if self._kind == "agent" and is_newer(call.version, __version__) else b"0"
        try:
            options, usage_text = read_call_options(call)
            if usage_text:
                return answer_frame(Shown(EXIT_DONE, usage_text), newer=newer)
            if call.what == handover.WAKE:
                self._deliverer.wake(options)
                return answer_frame(Shown(EXIT_DONE), newer=newer)
            shown, result = self._deliver(options, began, call.seconds)
        except JournalError as error:
            return answer_frame(Shown(EXIT_FAILED, errors=f"what waits cannot be read: {error}\n"), newer=newer)
        except (UsageError, AddressError) as error:
            return answer_frame(Shown(EXIT_USAGE, errors=f"oecAlertaExecutor: {error}\n"), newer=newer)
        return answer_frame(shown, result, options.pipe or "", newer)

    def _deliver(self, options: Options, began: float, seconds: float) -> Tuple[Shown, Result]:
        (ticket,) = self._deliverer.submit([Request(need_message(options), options)])
        answer_by = began + seconds - min(_ANSWER_SECONDS, seconds / 5)
        result = ticket.wait(max(0.0, answer_by - time.monotonic()), PATIENCE_SECONDS)
        ticket.leave()
        waiting = self._count_waiting() if result.outcome.kind is Kind.KEPT else 0
        return show(options, result, time.monotonic() - began, waiting, ticket.failures), result

    def _count_waiting(self) -> int:
        try:
            return sum(counts.waiting + counts.in_flight for counts in self._deliverer.counts().values())
        except JournalError:
            return 0

    def _status(self) -> Dict[str, object]:
        try:
            counts = {name: found._asdict() for name, found in self._deliverer.counts().items()}
        except JournalError:
            counts = {}
        return {
            "kind": self._kind,
            "version": __version__,
            "pid": os.getpid(),
            "since": self._began,
            "trouble": self._deliverer.trouble,
            "targets": counts,
        }


def need_message(options: Options) -> str:
    """Give the message. Raises UsageError where there is none."""
    if options.payload is None:
        raise UsageError("no message: give -payload JSON or --payloadFile FILE (- is standard input)")
    return options.payload


def read_call_options(call: Call) -> Tuple[Options, str]:
    """Read the arguments of an executor; gives a text instead where it was asked for one. Raises UsageError."""
    found, notes = split(call.arguments)
    if "help" in found:
        return Options("", ""), usage()
    if "version" in found:
        return Options("", ""), f"alerta-opsgenie {__version__}\n"
    return read_options(found, notes, call.environment, call.directory), ""


def answer_frame(shown: Shown, result: Optional[Result] = None, pipe: str = "", newer: bytes = b"0") -> bytes:
    """Make the frame that an executor reads (`handover.finish`)."""
    outcome = result.outcome if result else Outcome(Kind.IGNORED, Reason.NOT_WANTED)
    texts = (shown.output, shown.errors, pipe if shown.pipe_text else "", shown.pipe_text)
    return handover.frame(
        [
            b"%d" % shown.exit_code,
            newer,
            outcome.kind.value.encode("ascii"),
            outcome.reason.value.encode("ascii"),
            _field(outcome.detail),
            b"1" if result is None or result.kept else b"0",
            *map(_field, texts),
        ]
    )


def _field(text: str) -> bytes:
    return text.replace("\0", " ").encode("utf-8", "surrogateescape")


def is_newer(version: str, than: str) -> bool:
    """Whether a version is newer than another; what is no version is not."""
    return _numbers(version) > _numbers(than)


def _numbers(version: str) -> List[int]:
    parts = version.split(".")
    return [int(part) for part in parts] if all(part.isdigit() for part in parts) else []
