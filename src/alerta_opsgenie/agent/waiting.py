"""Who waits for which action of which alert."""

import threading
from typing import Dict, List, Tuple

from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Action, New

BEHIND = Outcome(Kind.KEPT, Reason.BEHIND, "earlier actions on this alert wait")


class Waiting:
    """The tickets of actions that have not ended. Any thread may call it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._tickets: Dict[Tuple[str, str], Dict[str, List[Ticket]]] = {}

    def add(self, target: str, new: New, ticket: Ticket) -> None:
        """Let a ticket have the results of an action that is about to be appended: it may end before that returns."""
        ticket.row, ticket.key = (target, new.alert, 0), new.key
        with self._mutex:
            self._tickets.setdefault((target, new.alert), {}).setdefault(new.key, []).append(ticket)

    def resolve(self, target: str, action: Action, result: Result) -> None:
        """Give a result to all who wait for an action; those who want more stay, unless it is final."""
        with self._mutex:
            tickets = self._tickets.get((target, action.alert), {}).pop(action.key, [])
            more = [ticket for ticket in tickets if ticket.wants_more and result.outcome.kind is Kind.KEPT]
            if more:
                self._tickets[target, action.alert][action.key] = more
            self._tidy((target, action.alert))
        for ticket in tickets:
            ticket.resolve(result._replace(message=result.message or ticket.message))

    def resolve_behind(self, target: str, action: Action) -> None:
        """Tell those who wait for other actions of the alert that this one holds them up."""
        with self._mutex:
            rows = self._tickets.get((target, action.alert), {})
            tickets = [ticket for key, found in rows.items() if key != action.key for ticket in found]
        for ticket in tickets:
            if ticket.is_committed:  # else nobody may be told yet that it is kept
                ticket.resolve(Result(ticket.message, BEHIND))

    def forget(self, ticket: Ticket) -> None:
        """Let go of a ticket: nobody waits for it any more."""
        target, alert, _ = ticket.row
        with self._mutex:
            tickets = self._tickets.get((target, alert), {}).get(ticket.key, [])
            if ticket in tickets:
                tickets.remove(ticket)
            self._tidy((target, alert))

    def _tidy(self, where: Tuple[str, str]) -> None:
        rows = self._tickets.get(where, {})
        for key in [key for key, tickets in rows.items() if not tickets]:
            del rows[key]
        if not rows:
            self._tickets.pop(where, None)
