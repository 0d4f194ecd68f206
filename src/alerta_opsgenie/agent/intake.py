"""Turns a message into its row in the journal, or into its outcome where no request to Alerta is needed."""

import time
from typing import NamedTuple, Optional, Tuple, Union

from alerta_opsgenie.agent.options import Options, settings_to_json
from alerta_opsgenie.agent.people import FILES
from alerta_opsgenie.core import delivery
from alerta_opsgenie.core.digest import hex_digest
from alerta_opsgenie.core.message import Message, MessageError, parse, with_people
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.people import clean_name
from alerta_opsgenie.journal import New

UNREADABLE = "unreadable"  # The kind of a dead letter that cannot be read as a message


class Request(NamedTuple):
    """An action to deliver. `first_attempt_at`: when another process may have begun an attempt of unknown outcome."""

    payload: Union[str, bytes]
    options: Options
    first_attempt_at: Optional[float] = None


class Report(NamedTuple):
    """One attempt and its outcome, for logs and metrics."""

    target: str
    action: str
    alert: str
    message: Optional[Message]
    outcome: Outcome
    attempt: int = 0
    seconds: float = 0.0


def read_request(request: Request) -> Tuple[Optional[Message], Optional[New], Optional[Outcome]]:
    """Read a message, map its account ids to logins, and apply the rules that need no request to Alerta.

    Return the message, and its row or its outcome.
    """
    now, settings = time.time(), request.options.settings
    try:
        message = with_people(parse(request.payload), FILES.of(request.options.people_file))
    except MessageError as error:
        return None, None, Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))
    outcome = delivery.outcome_without_alerta(message, settings, now)
    if outcome is not None:
        return message, None, outcome
    entry = delivery.journal_entry(message, now)._asdict()
    new = New(**entry, options=settings_to_json(settings), first_attempt_at=request.first_attempt_at)
    return message, new, None


def dead_letter(payload: Union[str, bytes], kind: str) -> New:
    """Return the row of a text that cannot be delivered. Its key is a digest: the same text is one dead letter."""
    raw = payload if isinstance(payload, bytes) else payload.encode("utf-8", "backslashreplace")
    text = raw.decode("utf-8", "replace")
    return New(hex_digest(raw), "", time.time_ns(), clean_name(kind)[:100], text)
