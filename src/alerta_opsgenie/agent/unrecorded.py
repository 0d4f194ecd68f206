"""What a worker gets to do, and how it delivers an action that could not be written down."""

import time
from typing import NamedTuple, Optional

from alerta_opsgenie.agent.attempts import Attempts
from alerta_opsgenie.agent.ends import Ends
from alerta_opsgenie.agent.intake import Report
from alerta_opsgenie.agent.target import Target
from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Outcome
from alerta_opsgenie.core.relay import Settings
from alerta_opsgenie.journal import Action


class Job(NamedTuple):
    """Something for a worker. `action` is None where the journal could not be used; then there is all the rest."""

    target: Target
    action: Optional[Action]
    message: Optional[Message] = None
    settings: Optional[Settings] = None
    ticket: Optional[Ticket] = None


def deliver_unrecorded(job: Job, attempts: Attempts, ends: Ends, patience_seconds: float) -> Report:
    """Try an action for so long, tell its ticket, and say how that went."""
    target, _, message, settings, ticket = job
    assert message is not None and settings is not None and ticket is not None  # noqa: S101, PT018 - see `Job`

    def failed(outcome: Outcome, pause: float) -> None:
        again_at = time.monotonic() + pause
        ticket.resolve(Result(message, outcome, kept=False, again_at=again_at, trouble=ends.trouble))

    began = time.monotonic()
    outcome, count = attempts.persist(target, message, settings, patience_seconds, failed)
    ticket.resolve(Result(message, outcome, kept=False, trouble=ends.trouble))
    return Report(target.name, message.action, "", message, outcome, count, time.monotonic() - began)
