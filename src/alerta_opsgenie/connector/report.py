"""A log line and a metric for the outcome of each action."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque

from alerta_opsgenie.agent.executor_output import outcome_text
from alerta_opsgenie.agent.intake import Report
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.outcome import ADVICE, Kind, Outcome, Reason
from alerta_opsgenie.page.view import Row

MOST_REMEMBERED = 1000  # Ignored actions that are kept for the page

_NS = 1e9
_log = logging.getLogger(__name__)


class Reporter:
    """Counts and logs outcomes; `ignored` are the last ignored actions, which no journal has."""

    def __init__(self, metrics: Metrics) -> None:
        self.alerta_problem = ""
        self.ended_kinds: Counter[str] = Counter()
        self.ignored: deque[Row] = deque(maxlen=MOST_REMEMBERED)
        self._metrics = metrics

    def attempted(self, report: Report) -> None:
        """Record an attempt of the deliverer."""
        message, outcome = report.message, report.outcome
        alert, person = report.alert, ""
        if message is not None:
            alert, person = fields.shown_alias(message), fields.actor(message)
            if outcome.kind is Kind.APPLIED and message.updated_ns:
                self._metrics.latency.observe(max(0.0, time.time() - message.updated_ns / _NS))
        self._note_alerta(outcome)
        self._metrics.attempt.observe(report.seconds)
        self.ended(report.action, alert, person, outcome, seconds=report.seconds, attempt=report.attempt)

    def ended(
        self, action: str, alert: str, person: str, outcome: Outcome, *, seconds: float = 0.0, attempt: int = 0
    ) -> None:
        """Count an outcome, keep it for the page if no journal has it, and log it."""
        kind, reason, milliseconds = outcome.kind.value, outcome.reason.value, round(seconds * 1000)
        self._metrics.ended(action, outcome)
        self.ended_kinds[kind] += 1
        if outcome.kind is Kind.IGNORED:
            row = Row("", "", action[:200], alert[:200], person, kind, reason, outcome.detail, time.time())
            self.ignored.append(row)
        is_warned = outcome.kind is Kind.KEPT or outcome.reason is Reason.STALE
        level = logging.ERROR if outcome.needs_person else logging.WARNING if is_warned else logging.INFO
        if not _log.isEnabledFor(level):
            return
        who, advice = f" by {person}" if person else "", f"; {outcome.advice}" if outcome.advice else ""
        text = f"{kind} {action} {alert or 'no alert'}{who}: {outcome_text(outcome)}{advice}"
        text += f" ({milliseconds} ms{f', attempt {attempt}' if attempt > 1 else ''})"
        values = {
            "action": action, "alert": alert, "person": person, "outcome": kind, "reason": reason,
            "milliseconds": milliseconds, "attempt": attempt,
        }  # fmt: skip
        _log.log(level, "%s", " ".join(text.split()), extra={"fields": values})

    def summary(self) -> str:
        """Return the number of actions for each kind of outcome."""
        total = sum(self.ended_kinds.values())
        parts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.ended_kinds.items()))
        return f"{total} actions" + (f": {parts}" if parts else "")

    def _note_alerta(self, outcome: Outcome) -> None:
        if outcome.reason in ADVICE:
            self.alerta_problem = f"{outcome.detail}; {outcome.advice}"
        elif outcome.kind is Kind.APPLIED or outcome.reason in (Reason.IN_STATE, Reason.NOT_FOUND):
            self.alerta_problem = ""
