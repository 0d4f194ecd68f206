"""Operations that an account's plan lacks, by key, as learnt from the vendor's refusals. Each is kept for a day."""

import time
from typing import Dict, Optional

from alerta_opsgenie.core.agreed import after_refusal
from alerta_opsgenie.core.refusals import note_instead
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.plugin import LOG
from alerta_opsgenie.plugin.memory import Memory
from alerta_opsgenie.plugin.outbox import OutgoingRequest

REMEMBER_SECONDS = 86_400.0
_NAME = "plan-limits"


class PlanLimits:
    """The missing operations. They are stored in the memory if there is one, so that the next process knows them."""

    def __init__(self, memory: Optional[Memory]) -> None:
        self._memory = memory
        self._until: Optional[Dict[str, float]] = None

    def learn(self, outgoing: OutgoingRequest, text: str) -> Optional[OutgoingRequest]:
        """Store a refusal, and log a new one. Return the note to send instead of the request, if there is one."""
        until, name = self._known(), f"{outgoing.route} {outgoing.request.operation}"
        if not self.lacks(outgoing.route, outgoing.request.operation):
            LOG.warning("opsgenie: the plan of the key %s has no %s (%s); for a day a note is sent instead",
                        outgoing.route, outgoing.request.operation, text)  # fmt: skip
        until[name] = time.time() + REMEMBER_SECONDS
        if self._memory:
            try:
                self._memory.set_facts(_NAME, until)
            except JournalError as error:
                LOG.warning("opsgenie: the operations that the plan lacks could not be stored: %s", error)
        return self._noted(outgoing)

    def fitted(self, outgoing: OutgoingRequest) -> OutgoingRequest:
        """Return the request, or a note instead if the plan lacks the operation."""
        lacks = self.lacks(outgoing.route, outgoing.request.operation)
        return (self._noted(outgoing) if lacks else None) or outgoing

    def lacks(self, route: str, operation: str) -> bool:
        """Whether the key of a route is known to lack an operation."""
        now, until = time.time(), self._known().get(f"{route} {operation}", 0.0)
        return now < until <= now + REMEMBER_SECONDS  # a later time is of a wrong clock

    def correct(self, outgoing: OutgoingRequest) -> None:
        """Correct the memory of the alert: the vendor accepted the request, but did not do it."""
        if self._memory:
            self._memory.note(outgoing.alert, lambda agreed: after_refusal(agreed, outgoing.request.operation))

    @staticmethod
    def _noted(outgoing: OutgoingRequest) -> Optional[OutgoingRequest]:
        note = note_instead(outgoing.request)
        return None if note is None else outgoing._replace(request=note)

    def _known(self) -> Dict[str, float]:
        if self._until is None:
            try:
                found = self._memory.get_facts(_NAME) if self._memory else {}
            except JournalError as error:
                LOG.warning("opsgenie: the operations that the plan lacks could not be read: %s", error)
                found = {}
            self._until = {name: at for name, at in found.items() if isinstance(at, (int, float))}
        return self._until
