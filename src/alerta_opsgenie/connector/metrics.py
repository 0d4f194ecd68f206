"""The numbers of `/metrics`, each with every label from the start, so that a rate is right from the first event on.

docs/reference/metrics.md describes them; a test compares the two.
"""

from __future__ import annotations

from typing import Any, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from alerta_opsgenie import __version__
from alerta_opsgenie.core.outcome import REASONS, Kind, Outcome
from alerta_opsgenie.core.relay import PLANS
from alerta_opsgenie.journal import Counts

CUSTOM = "custom"
UNREADABLE = "unreadable"
ACTIONS = (*PLANS, CUSTOM, UNREADABLE)
"""The label `action`: custom actions share one value, since their names are the team's own and without number."""

STATES = ("waiting", "in-flight", "done", "dead")
SCRIPT_RESULTS = ("succeeded", "failed", "timed-out", "refused")
CALLBACK_RESULTS = ("sent", "refused", "failed", "dropped")
HEARTBEAT_RESULTS = ("sent", "failed", "withheld")
_LATENCY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_ATTEMPT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """All numbers, in a registry of their own."""

    def __init__(self) -> None:
        # Debian 12 has version 0.16, which cannot leave out the `_created` series.
        getattr(prometheus_client, "disable_created_metrics", lambda: None)()
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry, "namespace": "alerta_opsgenie"}
        self.info = Gauge("build", "The version that runs; always 1.", ["version"], **made)
        self.taken = Counter("taken", "Messages received from a queue.", ["queue"], **made)
        self.deleted = Counter("deleted", "Messages deleted from a queue.", ["queue"], **made)
        self.actions = Counter(
            "actions", "How attempts to deliver actions ended.", ["action", "outcome", "reason"], **made
        )
        self.latency = Histogram(
            "latency_seconds",
            "From the message's own time (updatedAt) until Alerta had done it.",
            buckets=_LATENCY_SECONDS,
            **made,
        )
        self.attempt = Histogram(
            "attempt_seconds",
            "What one attempt to deliver an action took.",
            buckets=_ATTEMPT_SECONDS,
            **made,
        )
        self.lag = Gauge(
            "lag_seconds", "Age of the message received last; 0 when the queue had none.", ["queue"], **made
        )
        self.held = Gauge("held_messages", "Messages taken that have no outcome yet.", **made)
        self.undeleted = Gauge(
            "undeleted_messages", "Messages that are done and not deleted yet.", ["queue"], **made
        )
        self.polled = Gauge(
            "last_poll_timestamp_seconds", "When the queue last answered, since the epoch.", ["queue"], **made
        )
        self.in_hand = Gauge("in_hand", "Actions being delivered now, and scripts that run.", **made)
        self.journal = Gauge("journal_actions", "Actions in the journals, by their state.", ["state"], **made)
        self.spool_waiting = Gauge("spool_waiting", "Actions in the journals that wait.", **made)
        self.spool_dead = Gauge("spool_dead", "Dead letters in the journals.", **made)
        self.spool_oldest = Gauge("spool_oldest_seconds", "How long the oldest action has waited in a journal.", **made)
        self.spool_usable = Gauge("spool_usable", "1 while the journals can be used.", **made)
        self.credentials_age = Gauge("credentials_age_seconds", "Since queue credentials last came.", **made)
        self.credentials_left = Gauge(
            "credentials_left_seconds", "Until the held queue credentials expire; negative: they have.", **made
        )
        self.credentials_failures = Gauge(
            "credentials_failures", "Failed tries to get queue credentials since the last success.", **made
        )
        self.people_failures = Gauge(
            "people_failures", "Actions whose people file could not be used: ids are shown as they are.", **made
        )
        self.alerta_refuses = Gauge(
            "alerta_refuses", "1 while Alerta refuses the key or what answers is not Alerta.", **made
        )
        self.scripts = Counter("scripts", "Scripts of others that were run.", ["result"], **made)
        self.callbacks = Counter("callbacks", "Results told to Opsgenie or JSM.", ["result"], **made)
        self.callbacks_waiting = Gauge("callbacks_waiting", "Results that wait to be told.", **made)
        self.heartbeats = Counter("heartbeats", "Heartbeats to Alerta.", ["result"], **made)
        self.reloads = Counter("reloads", "Configurations read again.", ["result"], **made)
        self._start_at_zero()

    def queue(self, name: str) -> None:
        """Make the numbers of a queue appear."""
        for metric in (self.taken, self.deleted, self.lag, self.undeleted, self.polled):
            metric.labels(name)

    def ended(self, action: str, outcome: Outcome) -> None:
        """Count how an action ended; `action` is the message's own name for it."""
        label = action if action in PLANS or action == UNREADABLE else CUSTOM
        self.actions.labels(label, outcome.kind.value, outcome.reason.value).inc()

    def journals(self, counts: Sequence[Counts], scripts: int) -> None:
        """Take over what lies in the journals of all targets; `scripts` are being run."""
        waiting, dead = sum(one.waiting for one in counts), sum(one.dead for one in counts)
        in_flight = sum(one.in_flight for one in counts)
        for state, count in zip(STATES, (waiting, in_flight, sum(one.done for one in counts), dead)):
            self.journal.labels(state).set(count)
        self.in_hand.set(in_flight + scripts)
        self.spool_waiting.set(waiting)
        self.spool_dead.set(dead)
        self.spool_oldest.set(max((one.oldest_waiting_seconds for one in counts), default=0.0))

    def render(self) -> bytes:
        """Give all in Prometheus' text format."""
        return generate_latest(self.registry)

    def _start_at_zero(self) -> None:
        self.info.labels(__version__).set(1)
        self.spool_usable.set(1)
        for state in STATES:
            self.journal.labels(state)
        for action in ACTIONS:
            for kind in Kind:
                for reason in REASONS[kind]:
                    self.actions.labels(action, kind.value, reason.value)
        for result in SCRIPT_RESULTS:
            self.scripts.labels(result)
        for result in CALLBACK_RESULTS:
            self.callbacks.labels(result)
        for result in HEARTBEAT_RESULTS:
            self.heartbeats.labels(result)
        for result in ("taken", "refused"):
            self.reloads.labels(result)
