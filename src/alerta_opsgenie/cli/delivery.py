"""Deliver actions for a command: through the agent, or in this process if no agent can be started.

An agent cannot be started as a user who may not read this program, for example if it is installed below /root.
"""

from __future__ import annotations

from alerta_opsgenie.agent import client
from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.handover import NoAgentError, UnsafeError
from alerta_opsgenie.agent.intake import Request
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.target_queue import RETRY_WAIT_SECONDS
from alerta_opsgenie.core.outcome import Outcome

_STOP_SECONDS = 5.0


class DeliveryClient:
    """Delivers the actions of one state directory; call `close` at the end."""

    def __init__(self, state_directory: str) -> None:
        self._directory = state_directory
        self._own: Deliverer | None = None

    def wake(self, options: Options) -> None:
        """Try all waiting actions for this Alerta now. Raises NoAgentError, OSError, JournalError."""
        try:
            client.wake(options)
        except NoAgentError as error:
            self._deliver_here(error).wake(options)

    def submit(self, options: Options, payload: str) -> tuple[Outcome, bool]:
        """Deliver an action; return the outcome, and whether the journal has the action. Raises as `wake` does."""
        try:
            reply = client.submit(options, payload)
        except NoAgentError as error:
            (ticket,) = self._deliver_here(error).submit([Request(payload, options)])
            result = ticket.wait(options.limit_seconds, RETRY_WAIT_SECONDS)
            return result.outcome, result.kept
        return reply.outcome, reply.kept

    def _deliver_here(self, error: NoAgentError) -> Deliverer:
        if self._own is None:
            own = Deliverer(self._directory, workers=4)
            if isinstance(error, UnsafeError) or not own.start():
                raise error
            self._own = own
        return self._own

    def close(self) -> None:
        """Stop the deliverer of this process, if there is one."""
        if self._own is not None:
            self._own.stop(_STOP_SECONDS)
