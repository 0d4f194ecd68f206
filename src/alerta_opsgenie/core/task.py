"""One action of Opsgenie's or JSM's on its way to Alerta, and the calls that it can need."""

from typing import Any, Callable, Dict, FrozenSet, Generator, Mapping, NamedTuple, Optional, Sequence

from . import message as fields
from .message import Message
from .order import incident_ns
from .outcome import Answer, Outcome


class Call(NamedTuple):
    """One request to Alerta's API; `path` begins behind the API's base URL."""

    method: str
    path: str
    body: Optional[Mapping[str, Any]]
    on_behalf_of: str


class Settings(NamedTuple):
    """How a team wants it. `own_names` are in lower case; `ack_timeout_seconds` of None lets an ack stand for good."""

    sources: FrozenSet[str] = frozenset({"Alerta"})
    own_names: FrozenSet[str] = frozenset({"alerta"})
    all_notes: bool = False
    on_delete: str = "close"
    custom_actions: Mapping[str, str] = {}
    ack_timeout_seconds: Optional[int] = None


class Circumstances(NamedTuple):
    """What the driver knows beside the message.

    `now_seconds` is the present instant since the epoch. `attempted_at_seconds` is when the first attempt of this
    very message began that ended in KEPT or in nothing known: any of its calls may have had its effect. It is None
    for a first attempt. `superseded` are the registers that something newer has written (`order.superseded`).
    `equal_lines` counts the other actions since then that are known to have left the same line in the alert's history:
    a person who acknowledges, unacknowledges and acknowledges again leaves two.
    """

    now_seconds: float
    attempted_at_seconds: Optional[float] = None
    superseded: FrozenSet[str] = frozenset()
    equal_lines: int = 0


Steps = Generator[Call, Answer, Outcome]

CAN_BE_OF_AN_EARLIER_OUTAGE_SECONDS = 30.0
"""A change of state older than that costs one look at the alert, which may have ended and come again since."""


class Task(NamedTuple):
    """One message, with the calls that concern its alert."""

    message: Message
    settings: Settings
    circumstances: Circumstances

    def call(self, method: str, path: str = "", body: Optional[Dict[str, Any]] = None) -> Call:
        """Make a call about the alert."""
        return Call(method, f"/alert/{fields.alias(self.message)}{path}", body, self.actor)

    def act(
        self, action: str, what: str, timeout_seconds: Optional[int] = None, note: str = "",
        words: Optional[str] = None,
    ) -> Call:  # fmt: skip
        """Ask for an action of Alerta's; `what` is its word in the history, `note` what the person wrote."""
        text, plain = self.with_name(what, note), self.without_name(what, note)
        body: Dict[str, Any] = {"action": action, "text": text, "bridge": self.for_plugin(plain, words)}
        if timeout_seconds is not None:
            body["timeout"] = timeout_seconds
        return self.call("PUT", "/action", body)

    def attributes(self, **values: Optional[str]) -> Call:
        """Set attributes, with dashes for underscores; None removes one."""
        body = {"attributes": {name.replace("_", "-"): value for name, value in values.items()}}
        return self.call("PUT", "/attributes", {**body, "bridge": self.for_plugin()})

    @property
    def actor(self) -> str:
        """Who acted."""
        return fields.actor(self.message)

    @property
    def actor_id(self) -> str:
        """Who acted, as the message has it."""
        return fields.claimed_actor(self.message) or self.actor

    @property
    def was_attempted(self) -> bool:
        """Whether an earlier attempt may have had its effect."""
        return self.circumstances.attempted_at_seconds is not None

    @property
    def acted_seconds(self) -> float:
        """When the person acted, in seconds since the epoch; 0 where the message does not say."""
        return self.message.updated_ns / 1e9

    @property
    def can_be_of_an_earlier_outage(self) -> bool:
        """Whether so much time has passed that the alert may have ended and come again since."""
        age_seconds = self.circumstances.now_seconds - self.acted_seconds
        return bool(self.message.updated_ns) and age_seconds > CAN_BE_OF_AN_EARLIER_OUTAGE_SECONDS

    def with_name(self, what: str, note: str = "") -> str:
        """Say who it was in the text itself, for an Alerta without our plugin."""
        return f"{what} by {self.actor} in {fields.console(self.message)}" + (f": {note}" if note else "")

    def without_name(self, what: str, note: str = "") -> str:
        """Say the same where our plugin shows the person."""
        return f"{what} in {fields.console(self.message)}" + (f": {note}" if note else "")

    def for_plugin(self, text: str = "", words: Optional[str] = None, names: Sequence[str] = ()) -> Dict[str, Any]:
        """Tell our plugin what Alerta has no field for; an Alerta without it passes over this.

        By `words` it knows an act that comes by another integration too (None: there is no need); `names` are those of
        people in both texts.
        """
        updated_ns = self.message.updated_ns
        # Without a time of its own an action is never late; so its alert's time must not make it late either.
        incident = incident_ns(self.message, self.circumstances.now_seconds) if updated_ns else 0
        more = {
            "id": self.actor_id if self.actor_id != self.actor else "",
            "integration": "" if words is None else fields.integration(self.message),
            "words": "" if words == text else words,
            "names": list(names),
        }
        values = {"text": text, "updatedAt": updated_ns, "incident": incident, "key": self.message.key}
        return {**values, **{name: value for name, value in more.items() if value}}


def drive(steps: Steps, send: Callable[[Call], Answer]) -> Outcome:
    """Run a relay over a `send` that always gives an answer."""
    try:
        call = next(steps)
        while True:
            call = steps.send(send(call))
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
