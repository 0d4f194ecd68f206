"""Integrations of the stand-in: keys that may use the API, webhooks, and the queues of edge connectors."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["api", "webhook", "oec", "jec"]
Product = Literal["opsgenie", "jsm"]
RIGHTS = frozenset({"read", "write", "delete"})


@dataclass(frozen=True)
class Queue:
    """A queue of an edge connector, as its credentials answer names it (a URL that the connector can reach)."""

    url: str
    region: str = "us-east-1"


@dataclass(frozen=True)
class WebhookPolicy:
    """How a webhook is delivered; the vendor's own policy is UNCONFIRMED (contracts 1.4), so it is a parameter.

    After each of `retry_delays_seconds` a failed message is posted again; then it is given up.
    """

    timeout_seconds: float = 10.0
    retry_delays_seconds: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Integration:
    """One integration of the account.

    `source_filter` lets only messages of alerts with that source out (None: all); `actions` are the subscribed
    actions (None: all); `team` makes it a team's integration: it hears of an added team as Create (contracts 1.4).
    `mapped_actions` names custom actions that have a mapping (`mappedActionV2.name`).
    """

    kind: Kind
    name: str
    product: Product = "opsgenie"
    integration_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    key: str = field(default_factory=lambda: str(uuid.uuid4()), repr=False)
    enabled: bool = True
    rights: frozenset[str] = RIGHTS
    team: str = ""
    source_filter: str | None = None
    actions: frozenset[str] | None = None
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    policy: WebhookPolicy = WebhookPolicy()
    alert_details: bool = True
    queues: tuple[Queue, ...] = ()
    owner_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    mapped_actions: dict[str, str] = field(default_factory=dict)

    @property
    def type_name(self) -> str:
        """Return `integrationType` as messages name it."""
        return {"api": "API", "webhook": "Webhook", "oec": "OEC", "jec": "JEC"}[self.kind]

    @property
    def on_queue(self) -> bool:
        """Return whether messages go to a queue."""
        return self.kind in ("oec", "jec")
