"""The executor where no agent accepts the action at once: it starts an agent, or delivers the action itself.

Without an agent it appends the action to the journal, takes the delivery lock and delivers; if another process holds
the lock, it waits for the outcome in the journal. Where the journal cannot be used, it delivers without
order and memory.
"""

import os
import time
from typing import Dict, List, Mapping, Optional, Sequence

from alerta_opsgenie import __version__
from alerta_opsgenie.agent import client, handover, state
from alerta_opsgenie.agent.attempts import outcome_of_row
from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.executor_output import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, response_fields, result_fields
from alerta_opsgenie.agent.intake import Request
from alerta_opsgenie.agent.options import (
    Options,
    UsageError,
    help_or_version_text,
    read_options,
    require_message,
    split,
)
from alerta_opsgenie.agent.target_queue import RETRY_WAIT_SECONDS
from alerta_opsgenie.agent.ticket import Result
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Action, Journal, JournalError

_LOOK_SECONDS = 0.05

_KEEP_SECONDS = 5.0
"""How long to wait for the journal, even beyond the time limit, where the action would be lost otherwise."""


def run(program: Sequence[str], arguments: List[str], environment: Mapping[str, str], began: float) -> int:
    """Deliver or keep one action, and print the outcome; the time limit starts at `began` (of `time.monotonic`)."""
    try:
        found, notes = split(arguments)
        text = help_or_version_text(found)
        if text:
            return handover.print_response(response_fields(EXIT_DONE, text), arguments)
        options = read_options(found, notes, environment)
        require_message(options)
        state.target_name(options.alerta_url)  # a URL that cannot be used starts no agent
        client.become_owner(options.spool_directory)
        fields = _hand_over(() if "noAgent" in found else program, arguments, dict(environment), options, began)
        if not fields:
            fields = result_fields(options, _deliver_here(options, began), time.monotonic() - began)
    except (UsageError, AddressError) as error:
        fields = response_fields(EXIT_USAGE, errors=f"oecAlertaExecutor: {error}\n")
    except Exception as error:  # noqa: BLE001 - the connector needs one line for every error
        fields = response_fields(EXIT_FAILED, errors=f"alerta: LOST: a fault of this program: {error!r}\n")
    return handover.print_response(fields, arguments)


def _hand_over(
    program: Sequence[str], arguments: List[str], environment: Dict[str, str], options: Options, began: float
) -> List[bytes]:
    # Send the message as an argument: it may come from a file or standard input. JSON has no NUL byte.
    payload = (options.payload or "").replace("\0", "\1").encode("utf-8", "surrogateescape")
    given = [argument for argument in arguments if "\0" not in argument]
    given += ["--payloadFile=", f"-payload={os.fsdecode(payload)}"]
    end = began + options.limit_seconds - handover.reserved_seconds(options.limit_seconds)
    try:
        return client.call_agent(program, options, (handover.RUN, given, environment, __version__), end)
    except handover.UnansweredError:
        return result_fields(options, _keep(options, began), time.monotonic() - began)
    except handover.NoAgentError:
        return []


def _keep(options: Options, began: float) -> Result:
    """Keep the action where the agent did not respond in time: to deliver it here could deliver it twice."""
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
        result = ticket.wait(max(0.1, end - time.monotonic()), RETRY_WAIT_SECONDS)
        deliverer.stop(0.2)
    return result


def _wait_for_row(deliverer: Deliverer, options: Options, end: float) -> Optional[Result]:
    """Append the action and wait for the outcome from the lock's holder. Return None once this process has the lock."""
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
