"""What is not confirmed about the vendor, as switches: each test that depends on one runs it both ways.

Each switch names the line of the project's public contracts that leaves the question open. The defaults are what
the captures show where there is one, and else what documentation suggests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass
class Switches:
    """Unconfirmed behaviour of Atlassian's cloud; every field may be changed while the stand-in runs."""

    echo_source_name: Literal["body", "address", "empty"] = "address"
    """Does the `source` of a REST body come back as `source.name` of the message, or the client's address, or "".
    Contracts 6, "whether REST body `source` appears as outgoing source.name (captures show ip/""/"web")"."""

    own_key_messages: bool = True
    """Does an integration get the messages of changes that came in with its own API key. Contracts 6."""

    mapped_name: Literal["raw", "postActionTo"] = "raw"
    """`raw`: no `mappedActionV2`, the connector looks the action's own name up; `postActionTo`: `mappedActionV2.name`
    is `postActionToOEC` or `postActionToJEC`. Contracts 1.1 (plain OEC capture) and 2, UNCONFIRMED."""

    edge_source: bool = True
    """Is the top-level `source` in an OEC or JEC body. Contracts 1.1, "... => optional"."""

    jsm_undocumented_actions: bool = False
    """Does JSM's integration API take more than create, acknowledge, close and add note. Contracts 3.5, UNCONFIRMED."""

    jsm_missing_status: Literal[404, 405] = 404
    """What JSM answers to an action that it does not have. Contracts 3.4 (both are documented), 3.5."""

    snoozed_until_type: Literal["integer", "string"] = "integer"
    """JSON type of `snoozedUntil` (milliseconds). Contracts 1.2, "int64 (string in mattermost typing)"."""

    snooze_end_date_format: Literal["iso", "iso-millis", "space"] = "iso"
    """`2025-07-04T12:00:00Z`, `2025-07-04T12:00:00.000Z` or `2025-07-04 12:00:00`. Contracts 1.2, UNCONFIRMED."""

    snooze_ended_on_webhooks: bool = True
    """Is SnoozeEnded sent to webhooks. Contracts 1.3 (two webhook handlers know it, the documentation does not)."""

    snooze_ended_on_queues: bool = False
    """Is SnoozeEnded sent to OEC and JEC. Contracts 1.3, "states nothing arrives via OEC at snooze end"."""

    responder_type: Literal["string", "object"] = "string"
    """Shape of `responder` in AddResponder. Contracts 1.2, "responder type UNCONFIRMED"."""

    priority_type: Literal["string", "integer"] = "string"
    """`"P3"`, or `3` as in webhook captures of 2017. Contracts 1.2, "accept all"."""

    take_ownership_owner: bool = False
    """Does TakeOwnership carry `owner`. Contracts 1.3, "owner optional, else username"."""

    note_of_action: Literal["inline", "separate"] = "inline"
    """Does the note of an acknowledge, close, ... come in that message, or as an AddNote of its own. Contracts 1.2."""

    past_snooze: Literal["refuse", "end"] = "refuse"
    """A snooze that ends in the past: 422, or taken and ended at once. Contracts 3.2 ("must be in the future")."""

    retry_after: bool = False
    """Does a 429 carry `Retry-After`. Contracts 3.4, UNCONFIRMED."""

    length_in: Literal["characters", "utf-16"] = "characters"
    """What the limits of contracts 3.1 count: code points, or UTF-16 units (an emoji is then two). Not documented."""

    webhook_extras: bool = True
    """Do webhooks carry `actorUserId` and `alertFlowContext`. Contracts 1.1, captures of 2017 only."""

    fresh_credentials: Literal["always", "when-due"] = "when-due"
    """Are queue credentials sent with each answer, or left out while those that the connector named are good. Both
    Go connectors send what they hold as `?<region>=<expireTimeMillis>` and keep it when the answer has none."""

    jec_match: Literal["ownerId", "channelId"] = "ownerId"
    """Which message attribute equals the token's `ownerId`. JEC's queue/job.go takes a message if either does."""

    duplicate_share: float = 0.0
    """Share of queue messages that are delivered twice. Contracts 1.5, "SQS standard may duplicate"."""

    disorder_share: float = 0.0
    """Share of queue messages that are overtaken by the next. Contracts 1.5, "no ordering"."""

    has_heartbeats: bool = True
    """Does the account's plan have heartbeats; else 402. Contracts 3.7."""

    plan_lacks: Sequence[str] = ()
    """Actions that the plan lacks: taken with a 202 and refused in the request's status. Contracts 3.6."""
