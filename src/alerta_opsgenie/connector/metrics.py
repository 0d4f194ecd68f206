"""The metrics of `/metrics` (docs/reference/metrics.md). Every label value exists from the start."""

from __future__ import annotations

from typing import Any, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from alerta_opsgenie import __version__
from alerta_opsgenie.core.outcome import REASONS, Kind, Outcome
from alerta_opsgenie.core.relay import HANDLERS
from alerta_opsgenie.journal import Counts

CUSTOM = "custom"
UNREADABLE = "unreadable"
ACTIONS = (*HANDLERS, CUSTOM, UNREADABLE)
"""Values of the label `action`. Custom actions share one: their names are free text, so unlimited."""

_RESULTS = {
    "scripts": ("succeeded", "failed", "timed-out", "refused"),
    "callbacks": ("sent", "refused", "failed", "dropped"),
    "heartbeats": ("sent", "failed", "withheld"),
    "reloads": ("taken", "refused"),
}
_LATENCY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_ATTEMPT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self) -> None:
        # Debian 12 has version 0.16, which cannot leave out the `_created` series.
        getattr(prometheus_client, "disable_created_metrics", lambda: None)()
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry, "namespace": "alerta_opsgenie"}

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, **made)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, **made)

        self.info = gauge("build", "The version that runs; always 1.", "version")
        self.actions = counter("actions", "How attempts to deliver actions ended.", "action", "outcome", "reason")
        latency = "From the message's own time (updatedAt) until Alerta had done it."
        self.latency = Histogram("latency_seconds", latency, buckets=_LATENCY_SECONDS, **made)
        attempt = "What one attempt to deliver an action took."
        self.attempt = Histogram("attempt_seconds", attempt, buckets=_ATTEMPT_SECONDS, **made)
        self.scripts = counter("scripts", "Scripts of others that were run.", "result")
        self.callbacks = counter("callbacks", "Results sent to Opsgenie or JSM.", "result")
        self.heartbeats = counter("heartbeats", "Heartbeats to Alerta.", "result")
        self.reloads = counter("reloads", "Configurations read again.", "result")

        self.taken = counter("taken", "Messages received from a queue.", "queue")
        self.deleted = counter("deleted", "Messages deleted from a queue.", "queue")
        self.lag = gauge("lag_seconds", "Age of the message received last; 0 when the queue had none.", "queue")
        self.undeleted = gauge("undeleted_messages", "Messages that are done and not deleted yet.", "queue")
        self.polled = gauge("last_poll_timestamp_seconds", "When the queue last answered, since the epoch.", "queue")

        self.held = gauge("held_messages", "Messages taken that have no outcome yet.")
        self.in_hand = gauge("in_hand", "Actions being delivered now, and scripts that run.")
        self.spool_waiting = gauge("spool_waiting", "Actions in the journals that wait.")
        self.spool_dead = gauge("spool_dead", "Dead letters in the journals.")
        self.spool_oldest = gauge("spool_oldest_seconds", "How long the oldest action has waited in a journal.")
        self.spool_usable = gauge("spool_usable", "1 while the journals can be used.")
        self.callbacks_waiting = gauge("callbacks_waiting", "Results that wait to be sent.")
        self.credentials_age = gauge("credentials_age_seconds", "Since queue credentials last came.")
        left = "Until the held queue credentials expire; negative: they have."
        self.credentials_left = gauge("credentials_left_seconds", left)
        failures = "Failed tries to get queue credentials since the last success."
        self.credentials_failures = gauge("credentials_failures", failures)
        people = "Actions whose people file could not be used: ids are shown as they are."
        self.people_failures = gauge("people_failures", people)
        refuses = "1 while Alerta refuses the key or what answers is not Alerta."
        self.alerta_refuses = gauge("alerta_refuses", refuses)
        self._start_at_zero()

    def queue(self, name: str) -> None:
        """Create the metrics of a queue."""
        for metric in (self.taken, self.deleted, self.lag, self.undeleted, self.polled):
            metric.labels(name)

    def ended(self, action: str, outcome: Outcome) -> None:
        """Count how an action ended; `action` is the message's own name for it."""
        label = action if action in HANDLERS or action == UNREADABLE else CUSTOM
        self.actions.labels(label, outcome.kind.value, outcome.reason.value).inc()

    def journals(self, counts: Sequence[Counts], scripts: int) -> None:
        """Set the metrics of all journals; `scripts` is the number of running scripts."""
        self.in_hand.set(sum(one.in_flight for one in counts) + scripts)
        self.spool_waiting.set(sum(one.waiting for one in counts))
        self.spool_dead.set(sum(one.dead for one in counts))
        self.spool_oldest.set(max((one.oldest_waiting_seconds for one in counts), default=0.0))

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _start_at_zero(self) -> None:
        self.info.labels(__version__).set(1)
        self.spool_usable.set(1)
        for action in ACTIONS:
            for kind in Kind:
                for reason in REASONS[kind]:
                    self.actions.labels(action, kind.value, reason.value)
        for counter, results in _RESULTS.items():
            for result in results:
                getattr(self, counter).labels(result)
