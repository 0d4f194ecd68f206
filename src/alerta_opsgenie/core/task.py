"""One action message from Opsgenie or JSM, and the calls to Alerta's API that it can need."""

from typing import Any, Callable, Dict, FrozenSet, Generator, Mapping, NamedTuple, Optional, Sequence

from . import message as fields
from .message import Message
from .order import incident_ns
from .outcome import Answer, Outcome


class Call(NamedTuple):
    """One request to Alerta's API; `path` is relative to the API's base URL."""

    method: str
    path: str
    body: Optional[Mapping[str, Any]]
    on_behalf_of: str


ON_DELETE = frozenset({"close", "delete", "ignore"})


class Settings(NamedTuple):
    """The team's settings. `own_names` are in lower case. With `ack_timeout_seconds` of None an ack does not expire."""

    sources: FrozenSet[str] = frozenset({"Alerta"})
    own_names: FrozenSet[str] = frozenset({"alerta"})
    all_notes: bool = False
    on_delete: str = "close"
    custom_actions: Mapping[str, str] = {}
    ack_timeout_seconds: Optional[int] = None


class AttemptContext(NamedTuple):
    """What the caller knows in addition to the message.

    `now_seconds` is the current time since the epoch. `attempted_at_seconds` is the start of the first attempt that
    ended in KEPT or whose end is unknown: any of its calls may have had its effect. It is None for a first attempt.
    `superseded` are the registers that a newer action has written (`order.superseded`). `equal_lines` is the number of
    other actions since then that wrote an equal history entry: a person who acknowledges, unacknowledges and
    acknowledges again writes two.
    """

    now_seconds: float
    attempted_at_seconds: Optional[float] = None
    superseded: FrozenSet[str] = frozenset()
    equal_lines: int = 0


Steps = Generator[Call, Answer, Outcome]

CAN_BE_OF_AN_EARLIER_OUTAGE_SECONDS = 30.0
"""Before an older change of state the alert is read once: it may have ended and re-opened since."""


class Task(NamedTuple):
    """One message, with the calls about its alert."""

    message: Message
    settings: Settings
    context: AttemptContext

    def call(self, method: str, path: str = "", body: Optional[Dict[str, Any]] = None) -> Call:
        """Return a call about the alert."""
        return Call(method, f"/alert/{fields.alias(self.message)}{path}", body, self.actor)

    def act(
        self, action: str, what: str, timeout_seconds: Optional[int] = None, note: str = "",
        words: Optional[str] = None,
    ) -> Call:  # fmt: skip
        """Return the call for an action of Alerta. Its text is made of `what` and the person's `note`."""
        text, plain = self.with_name(what, note), self.without_name(what, note)
        body: Dict[str, Any] = {"action": action, "text": text, "bridge": self.for_plugin(plain, words)}
        if timeout_seconds is not None:
            body["timeout"] = timeout_seconds
        return self.call("PUT", "/action", body)

    def attributes(self, **values: Optional[str]) -> Call:
        """Return the call that sets attributes. Underscores in names become dashes; None removes an attribute."""
        body = {"attributes": {name.replace("_", "-"): value for name, value in values.items()}}
        return self.call("PUT", "/attributes", {**body, "bridge": self.for_plugin()})

    @property
    def actor(self) -> str:
        """The name of the person who acted."""
        return fields.actor(self.message)

    @property
    def actor_id(self) -> str:
        """The name or id of that person in the message."""
        return fields.claimed_actor(self.message) or self.actor

    @property
    def was_attempted(self) -> bool:
        """Whether an earlier attempt may have had its effect."""
        return self.context.attempted_at_seconds is not None

    @property
    def acted_seconds(self) -> float:
        """When the person acted, in seconds since the epoch; 0 if the message has no time."""
        return self.message.updated_ns / 1e9

    @property
    def can_be_of_an_earlier_outage(self) -> bool:
        """Whether the action is so old that the alert may have ended and re-opened since."""
        age_seconds = self.context.now_seconds - self.acted_seconds
        return bool(self.message.updated_ns) and age_seconds > CAN_BE_OF_AN_EARLIER_OUTAGE_SECONDS

    def with_name(self, what: str, note: str = "") -> str:
        """Return the text with the person's name, for an Alerta without our plugin."""
        return f"{what} by {self.actor} in {fields.console(self.message)}" + (f": {note}" if note else "")

    def without_name(self, what: str, note: str = "") -> str:
        """Return the text without the name, for an Alerta where our plugin shows it."""
        return f"{what} in {fields.console(self.message)}" + (f": {note}" if note else "")

    def for_plugin(self, text: str = "", words: Optional[str] = None, names: Sequence[str] = ()) -> Dict[str, Any]:
        """Return the data for our plugin that Alerta has no field for. Alerta without the plugin ignores it.

        `words` is the text by which the plugin detects duplicates (None: no check); `names` are the names of people in
        both texts.
        """
        updated_ns = self.message.updated_ns
        # An action without a time is never stale, so the time of its alert must not make it stale.
        incident = incident_ns(self.message, self.context.now_seconds) if updated_ns else 0
        more = {
            "id": self.actor_id if self.actor_id != self.actor else "",
            "integration": "" if words is None else fields.integration(self.message),
            "words": "" if words == text else words,
            "names": list(names),
        }
        values = {"text": text, "updatedAt": updated_ns, "incident": incident, "key": self.message.key}
        return {**values, **{name: value for name, value in more.items() if value}}


def run_relay(steps: Steps, send: Callable[[Call], Answer]) -> Outcome:
    """Run a relay with a `send` that always returns an answer."""
    try:
        call = next(steps)
        while True:
            call = steps.send(send(call))
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
