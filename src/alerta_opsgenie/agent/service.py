"""What an agent does with a frame: deliver an action and answer how that ended, tell its state, wake up, retire."""

import json
import os
import time
from typing import Callable, Dict, List, NamedTuple, Optional

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
    texts = [os.fsdecode(field) for field in fields[6:]]
    pairs = (text.partition("=") for text in texts[int(count) :])
    environment = {name: value for name, _, value in pairs}
    seconds = int(milliseconds) / 1000
    return Call(version.decode("ascii"), what, seconds, os.fsdecode(directory), texts[: int(count)], environment)


class Service:
    """Answers calls with one deliverer. `kind` is `agent` or `run`; `retire` is called when the agent is to end."""

    def __init__(self, deliverer: Deliverer, kind: str, retire: Callable[[], None]) -> None:
        self._deliverer = deliverer
        self._kind = kind
        self._retire = retire
        self._began = time.time()

    def answer(self, call: Call, began: float) -> List[bytes]:
        """Do what a call wants and give the fields to send back. `began` is when it came (of `time.monotonic`)."""
        if call.what == handover.STATUS:
            return [json.dumps(self._status()).encode("ascii")]
        if call.what == handover.RETIRE:
            if self._kind == "agent":
                self._retire()
            return [self._kind.encode("ascii")]
        try:
            fields = self._run(call, began)
        except JournalError as error:
            fields = answer_fields(Shown(EXIT_FAILED, errors=f"what waits cannot be read: {error}\n"))
        except (UsageError, AddressError) as error:
            fields = answer_fields(Shown(EXIT_USAGE, errors=f"oecAlertaExecutor: {error}\n"))
        if self._kind == "agent" and is_newer(call.version, __version__):
            fields[handover.SUCCESSOR] = b"1"
        return fields

    def _run(self, call: Call, began: float) -> List[bytes]:
        found, notes = split(call.arguments)
        text = text_wanted(found)
        if text:
            return answer_fields(Shown(EXIT_DONE, text))
        options = read_options(found, notes, call.environment, call.directory)
        if call.what == handover.WAKE:
            self._deliverer.wake(options)
            return answer_fields(Shown(EXIT_DONE))
        (ticket,) = self._deliverer.submit([Request(need_message(options), options)])
        answer_by = began + call.seconds - min(_ANSWER_SECONDS, call.seconds / 5)
        result = ticket.wait(max(0.0, answer_by - time.monotonic()), PATIENCE_SECONDS)
        ticket.leave()
        counts = self._counts().values() if result.outcome.kind is Kind.KEPT else ()
        waiting = sum(one["waiting"] + one["in_flight"] for one in counts)
        shown = show(options, result, time.monotonic() - began, waiting, ticket.failures)
        return answer_fields(shown, result, options.pipe)

    def _counts(self) -> Dict[str, Dict[str, int]]:
        try:
            return {name: found._asdict() for name, found in self._deliverer.counts().items()}
        except JournalError:
            return {}

    def _status(self) -> Dict[str, object]:
        return {
            "kind": self._kind,
            "version": __version__,
            "pid": os.getpid(),
            "since": self._began,
            "trouble": self._deliverer.trouble,
            "targets": self._counts(),
        }


def text_wanted(found: Dict[str, List[str]]) -> str:
    """Give the text that arguments ask for, instead of an action; empty where they do not."""
    if "help" in found:
        return usage()
    return f"alerta-opsgenie {__version__}\n" if "version" in found else ""


def need_message(options: Options) -> str:
    """Give the message. Raises UsageError where there is none."""
    if options.payload is None:
        raise UsageError("no message: give -payload JSON or --payloadFile FILE (- is standard input)")
    return options.payload


def answer_fields(shown: Shown, result: Optional[Result] = None, pipe: Optional[str] = None) -> List[bytes]:
    """Make the fields that an executor reads (`handover.finish`)."""
    outcome = result.outcome if result else Outcome(Kind.IGNORED, Reason.NOT_WANTED)
    is_kept = "1" if result is None or result.kept else "0"
    path = pipe if pipe and shown.pipe_text else ""
    outcomes = (outcome.kind.value, outcome.reason.value, outcome.detail, is_kept)
    texts = (str(shown.exit_code), "0", *outcomes, shown.output, shown.errors, path, shown.pipe_text)
    return [text.replace("\0", " ").encode("utf-8", "surrogateescape") for text in texts]


def is_newer(version: str, than: str) -> bool:
    """Whether a version is newer than another; what is no version is not."""
    return _numbers(version) > _numbers(than)


def _numbers(version: str) -> List[int]:
    parts = version.split(".")
    return [int(part) for part in parts] if all(part.isdigit() for part in parts) else []
