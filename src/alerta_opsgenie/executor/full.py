"""What an executor does where no agent takes the action at once: it starts one, or delivers the action itself.

1. Become the owner of the state directory, if root runs this.
2. Start an agent, detached, and hand the action over. The key goes over the socket, never into argv or environment.
3. Where that does not work: append the action to the journal, take the delivery lock and deliver, or wait for what the
   holder of the lock makes of it.
4. Where even the journal cannot be used: deliver without order and memory, and fail loudly if that does not work.
"""

import contextlib
import os
import time
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from alerta_opsgenie import __version__
from alerta_opsgenie.agent import client, handover, state
from alerta_opsgenie.agent.deliverer import PATIENCE_SECONDS, Deliverer
from alerta_opsgenie.agent.ends import outcome_of_row
from alerta_opsgenie.agent.intake import Request
from alerta_opsgenie.agent.lines import EXIT_FAILED, EXIT_USAGE, Shown, show
from alerta_opsgenie.agent.options import Options, UsageError, split
from alerta_opsgenie.agent.service import Call, answer_frame, need_message, read_call_options
from alerta_opsgenie.agent.target import name_of
from alerta_opsgenie.agent.ticket import Result
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Journal, JournalError

_LOOK_SECONDS = 0.05

_KEEP_SECONDS = 5.0
"""How long the journal is waited for, even beyond the time limit, where else an action could be lost."""


class Run(NamedTuple):
    """One executor. `began` is the instant (of `time.monotonic`) from which the time limit counts."""

    program: Sequence[str]
    arguments: List[str]
    environment: Dict[str, str]
    began: float


def run(program: Sequence[str], arguments: List[str], environment: Mapping[str, str], began: float) -> int:
    """Deliver or keep one action and show how that ended. `program` is how this program is started."""
    this = Run(program, arguments, dict(environment), began)
    try:
        call = Call(__version__, handover.RUN, 0.0, handover.working_directory(), arguments, this.environment)
        options, text = read_call_options(call)
        if text:
            handover.write_all(1, text.encode())
            return 0
        need_message(options)
        name_of(options)  # a URL that cannot be used starts no agent
        client.become_owner(options.spool_directory)
        fields = _hand_over(this, options) or _deliver_here(options, began)
    except (UsageError, AddressError) as error:
        fields = _fields(answer_frame(Shown(EXIT_USAGE, errors=f"oecAlertaExecutor: {error}\n")))
    except Exception as error:  # noqa: BLE001 - whatever it is, the connector is to be told in one line
        fields = _fields(answer_frame(Shown(EXIT_FAILED, errors=f"alerta: LOST: a fault of this program: {error!r}\n")))
    return handover.finish(fields, arguments)


def _fields(frame: bytes) -> List[bytes]:
    return frame[8:].split(b"\0")


# -- With an agent


def _hand_over(this: Run, options: Options) -> List[bytes]:
    """Give the answer of the agent, which is started where there is none; an empty list where none is to be had."""
    arguments = _with_payload(this.arguments, options)
    end = this.began + options.limit_seconds - handover.keeping_seconds(options.limit_seconds)
    program = () if "noAgent" in split(this.arguments)[0] else this.program

    def request(seconds: float) -> bytes:
        return handover.request(handover.RUN, arguments, this.environment, __version__, seconds)

    try:
        return client.exchange(program, options, request, end)
    except handover.UnansweredError:
        return _keep(options, this.began)
    except handover.NoAgentError:
        return []


def _keep(options: Options, began: float) -> List[bytes]:
    """Write the action down where an agent that is at work did not answer in time: it may have it in memory alone.

    To deliver it here could do it twice.
    """
    ticket, new = Deliverer(options.spool_directory).read(Request(options.payload or "", options))
    result = Result(ticket.message, Outcome(Kind.KEPT, Reason.BEHIND, "the agent has not answered in time"))
    seconds = max(_KEEP_SECONDS, began + options.limit_seconds - time.monotonic())
    try:
        if new is not None:
            with contextlib.closing(_journal(options, seconds)) as journal:
                journal.append([new], time.time())
    except JournalError as error:
        result = result._replace(kept=False, trouble=str(error))
    shown = show(options, result, time.monotonic() - began, 1)
    return _fields(answer_frame(shown, result, options.pipe or ""))


def _journal(options: Options, busy_seconds: float) -> Journal:
    return state.journal_of(options.spool_directory, name_of(options), busy_seconds=busy_seconds)


def _with_payload(arguments: List[str], options: Options) -> List[str]:
    """Put the message into the arguments: a file, or standard input, is read here. No JSON has the byte NUL."""
    raw = (options.payload or "").replace("\0", "\1").encode("utf-8", "surrogateescape")
    given = [argument for argument in arguments if "\0" not in argument]
    return [*given, "--payloadFile=", f"-payload={os.fsdecode(raw)}"]


# -- Without one


def _deliver_here(options: Options, began: float) -> List[bytes]:
    deliverer = Deliverer(options.spool_directory, workers=2)
    limit = options.limit_seconds
    end = began + limit - handover.keeping_seconds(limit) / 2
    trouble = ""
    try:
        result = None if deliverer.start() else _wait_for_row(deliverer, options, end)
    except (OSError, handover.NoAgentError, JournalError) as error:
        trouble = f"the state directory {options.spool_directory} cannot be used: {error}"
        deliverer.start_without_journal(trouble)
        result = None
    if result is None:
        (ticket,) = deliverer.submit([Request(options.payload or "", options)])
        result = ticket.wait(max(0.1, end - time.monotonic()), PATIENCE_SECONDS)
        deliverer.stop(0.2)
    shown = show(options, result, time.monotonic() - began, 1)
    return _fields(answer_frame(shown, result, options.pipe or ""))


def _wait_for_row(deliverer: Deliverer, options: Options, end: float) -> Optional[Result]:
    """Append the action and wait for what the holder of the lock makes of it; None: the lock is ours meanwhile."""
    ticket, new = deliverer.read(Request(options.payload or "", options))
    if new is None:
        return ticket.wait(0.0)
    with contextlib.closing(_journal(options, max(0.2, end - time.monotonic()))) as journal:
        (action,) = journal.append([new], time.time())
        is_ours = action.is_new
        while action.state in ("waiting", "in-flight"):
            if deliverer.start():
                return None
            if time.monotonic() > end:
                outcome = Outcome(Kind.KEPT, Reason.BEHIND, "it waits for the process that delivers")
                return Result(ticket.message, outcome)
            time.sleep(_LOOK_SECONDS)
            action = journal.get(action.id) or action._replace(state="done", reason=Reason.DONE.value)
    return Result(ticket.message, outcome_of_row(action, is_ours=is_ours))
