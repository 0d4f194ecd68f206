"""What an executor does where no agent takes the action at once: it starts one, or delivers the action itself.

Without an agent it appends to the journal, takes the delivery lock and delivers, or waits for what its holder makes of
the action. Where even the journal cannot be used it delivers without order and memory.
"""

import os
import time
from typing import Dict, List, Mapping, Optional, Sequence

from alerta_opsgenie import __version__
from alerta_opsgenie.agent import client, handover, state
from alerta_opsgenie.agent.attempts import outcome_of_row
from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.intake import Request
from alerta_opsgenie.agent.lines import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, answer, show
from alerta_opsgenie.agent.options import Options, UsageError, need_message, read_options, split, text_wanted
from alerta_opsgenie.agent.target_queue import PATIENCE_SECONDS
from alerta_opsgenie.agent.ticket import Result
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Action, Journal, JournalError

_LOOK_SECONDS = 0.05

_KEEP_SECONDS = 5.0
"""How long the journal is waited for, even beyond the time limit, where else an action could be lost."""


def run(program: Sequence[str], arguments: List[str], environment: Mapping[str, str], began: float) -> int:
    """Deliver or keep one action and show how that ended; the time limit counts from `began` (of `time.monotonic`)."""
    try:
        found, notes = split(arguments)
        text = text_wanted(found)
        if text:
            return handover.finish(answer(EXIT_DONE, text), arguments)
        options = read_options(found, notes, environment)
        need_message(options)
        state.target_name(options.alerta_url)  # a URL that cannot be used starts no agent
        client.become_owner(options.spool_directory)
        fields = _hand_over(() if "noAgent" in found else program, arguments, dict(environment), options, began)
        if not fields:
            fields = show(options, _deliver_here(options, began), time.monotonic() - began)
    except (UsageError, AddressError) as error:
        fields = answer(EXIT_USAGE, errors=f"oecAlertaExecutor: {error}\n")
    except Exception as error:  # noqa: BLE001 - whatever it is, the connector is to be told in one line
        fields = answer(EXIT_FAILED, errors=f"alerta: LOST: a fault of this program: {error!r}\n")
    return handover.finish(fields, arguments)


def _hand_over(
    program: Sequence[str], arguments: List[str], environment: Dict[str, str], options: Options, began: float
) -> List[bytes]:
    # The message goes as an argument: a file, or standard input, was read here. No JSON has the byte NUL.
    payload = (options.payload or "").replace("\0", "\1").encode("utf-8", "surrogateescape")
    given = [argument for argument in arguments if "\0" not in argument]
    given += ["--payloadFile=", f"-payload={os.fsdecode(payload)}"]
    end = began + options.limit_seconds - handover.reserved_seconds(options.limit_seconds)
    try:
        return client.exchange(program, options, (handover.RUN, given, environment, __version__), end)
    except handover.UnansweredError:
        return show(options, _keep(options, began), time.monotonic() - began)
    except handover.NoAgentError:
        return []


def _keep(options: Options, began: float) -> Result:
    """Write the action down where an agent did not answer in time: to deliver it here could do it twice."""
    ticket, new = Deliverer(options.spool_directory).read(Request(options.payload or "", options))
    result = Result(ticket.message, Outcome(Kind.KEPT, Reason.BEHIND, "the agent has not answered in time"))
    seconds = max(_KEEP_SECONDS, began + options.limit_seconds - time.monotonic())
    try:
        with _journal(options, seconds) as journal:
            journal.append([new] if new else [], time.time())
    except JournalError as error:
        return result._replace(kept=False, problem=str(error))
    return result


def _journal(options: Options, busy_seconds: float) -> Journal:
    return state.journal_of(options.spool_directory, state.target_name(options.alerta_url), busy_seconds=busy_seconds)


def _deliver_here(options: Options, began: float) -> Result:
    deliverer, limit = Deliverer(options.spool_directory, workers=2), options.limit_seconds
    end = began + limit - handover.reserved_seconds(limit) / 2
    try:
        result = None if deliverer.start() else _wait_for_row(deliverer, options, end)
    except (OSError, handover.NoAgentError, JournalError) as error:
        deliverer.start_without_journal(f"the state directory {options.spool_directory} cannot be used: {error}")
        result = None
    if result is None:
        (ticket,) = deliverer.submit([Request(options.payload or "", options)])
        result = ticket.wait(max(0.1, end - time.monotonic()), PATIENCE_SECONDS)
        deliverer.stop(0.2)
    return result


def _wait_for_row(deliverer: Deliverer, options: Options, end: float) -> Optional[Result]:
    """Append the action and wait for what the holder of the lock makes of it; None: the lock is ours meanwhile."""
    ticket, new = deliverer.read(Request(options.payload or "", options))
    if new is None:
        return ticket.wait(0.0)
    with _journal(options, max(0.2, end - time.monotonic())) as journal:
        (action,) = journal.append([new], time.time())
        found: Optional[Action] = action
        while found is not None and found.state in ("waiting", "in-flight"):
            if deliverer.start():
                return None
            if time.monotonic() > end:
                outcome = Outcome(Kind.KEPT, Reason.BEHIND, "it waits for the process that delivers")
                return Result(ticket.message, outcome)
            time.sleep(_LOOK_SECONDS)
            found = journal.get(action.id)
    ended = found or action._replace(state="done", reason=Reason.DONE.value)
    return Result(ticket.message, outcome_of_row(ended, is_ours=action.is_new))
