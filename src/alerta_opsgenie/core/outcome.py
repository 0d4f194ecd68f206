"""Outcomes of actions: kinds, reasons, and what each HTTP status of Alerta means.

`Reason` is a closed set: it is also a label of metrics and a word that operators search for. The core uses named tuples
and no dataclasses: `dataclasses` imports `inspect`, which costs time in the script that OEC starts once per action
(docs/decisions/0002-named-tuples.md).
"""

from enum import Enum
from typing import Any, Mapping, NamedTuple, Optional


class Kind(str, Enum):
    """The five kinds of outcomes."""

    APPLIED = "applied"
    ALREADY = "already"
    IGNORED = "ignored"
    REJECTED = "rejected"
    KEPT = "kept"


class Reason(str, Enum):
    """The reason of an outcome."""

    DONE = "done"
    IN_STATE = "in-state"
    REDELIVERED = "redelivered"
    MERGED = "merged"

    NO_ALERT = "no-alert"
    NO_ALIAS = "no-alias"
    FOREIGN = "foreign"
    ECHO = "echo"
    STALE = "stale"
    NOT_WANTED = "not-wanted"
    UNKNOWN_ACTION = "unknown-action"

    BAD_MESSAGE = "bad-message"
    BAD_ALIAS = "bad-alias"
    NOT_FOUND = "not-found"
    REFUSED = "refused"

    NETWORK = "network"
    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    CONFLICT = "conflict"
    BEHIND = "behind"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_ALERTA = "not-alerta"
    FAULT = "fault"


REASONS: Mapping[Kind, "frozenset[Reason]"] = {
    Kind.APPLIED: frozenset({Reason.DONE}),
    Kind.ALREADY: frozenset({Reason.IN_STATE, Reason.REDELIVERED, Reason.MERGED}),
    Kind.IGNORED: frozenset({
        Reason.NO_ALERT, Reason.NO_ALIAS, Reason.FOREIGN, Reason.ECHO, Reason.STALE, Reason.NOT_WANTED,
        Reason.UNKNOWN_ACTION,
    }),
    Kind.REJECTED: frozenset({Reason.BAD_MESSAGE, Reason.BAD_ALIAS, Reason.NOT_FOUND, Reason.REFUSED}),
    Kind.KEPT: frozenset({
        Reason.NETWORK, Reason.TIMEOUT, Reason.THROTTLED, Reason.UNAVAILABLE, Reason.CONFLICT, Reason.BEHIND,
        Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.NOT_ALERTA, Reason.FAULT,
    }),
}  # fmt: skip
"""The reasons that each kind can have; these pairs are labels of metrics."""

ADVICE: Mapping[Reason, str] = {
    Reason.UNAUTHORIZED: "give an API key that Alerta knows (--alertaApiKeyFile, ALERTA_API_KEY or --alertaApiKey)",
    Reason.FORBIDDEN: "give the API key the scopes read and write:alerts (delete:alerts too, to pass deletes on)",
    Reason.NOT_ALERTA: "check --alertaApiUrl: what answers there is not Alerta's API",
}
"""What to do about the reasons that do not pass by waiting."""


class Outcome(NamedTuple):
    """The outcome of one action.

    `detail` is a sentence for people (never a secret). `retry_after_seconds` is the `Retry-After` of Alerta, if any.
    """

    kind: Kind
    reason: Reason
    detail: str = ""
    retry_after_seconds: Optional[float] = None

    @property
    def needs_person(self) -> bool:
        """Whether a person has to do something before the action can succeed."""
        return self.kind is Kind.REJECTED or self.reason in ADVICE

    @property
    def is_warning(self) -> bool:
        """Whether to log it as a warning: somebody's action was not done."""
        return self.needs_person or self.reason is Reason.STALE

    @property
    def advice(self) -> str:
        """The next thing to do, or an empty string."""
        return ADVICE.get(self.reason, "")


class Answer(NamedTuple):
    """Alerta's response to one call.

    `on_behalf_of` is the header that only our plugin returns. The plugin also reports `alert_status`, the status after
    the call, and `alert_timeout_seconds`, after which Alerta ends the ack or shelve (0: never; None: not
    reported). `clock_ahead_seconds` is how far Alerta's clock is ahead of ours, from the `Date` header.
    """

    status: int
    body: Any = None
    on_behalf_of: str = ""
    alert_status: str = ""
    retry_after_seconds: Optional[float] = None
    clock_ahead_seconds: float = 0.0
    alert_timeout_seconds: Optional[int] = None

    @property
    def ok(self) -> bool:
        """Whether Alerta itself reports success. The page of a proxy is no success, whatever its status."""
        return self.status in (200, 201) and isinstance(self.body, dict) and self.body.get("status") == "ok"

    @property
    def message(self) -> str:
        """Alerta's message, cut, on one line."""
        text = self.body.get("message") if isinstance(self.body, dict) else None
        return " ".join(text.split())[:200] if isinstance(text, str) else ""

    @property
    def has_no_transition(self) -> bool:
        """Whether Alerta's state machine has no such transition from the alert's status."""
        return self.status == CONFLICT and not self.message.startswith(STALE_MARK)

    @property
    def from_alerta(self) -> bool:
        """Whether it is an error of Alerta: `{"status": "error", "message": ...}`."""
        return isinstance(self.body, dict) and self.body.get("status") == "error"


_PASSING = {408: Reason.UNAVAILABLE, 425: Reason.UNAVAILABLE, 429: Reason.THROTTLED}
_KEY_REFUSED = {401: Reason.UNAUTHORIZED, 403: Reason.FORBIDDEN}

CONFLICT = 409
_ACCEPTED, _CLIENT_ERROR, _NOT_FOUND, _WRONG_METHOD, _SERVER_ERROR = 202, 400, 404, 405, 500

STALE_MARK = "stale:"
"""The beginning of the message of a 409 with which our plugin refuses a stale action."""

REDELIVERED_MARK = "redelivered:"
"""The beginning of the message of a success that our plugin returns if the note exists already."""

MERGED_MARK = "merged:"
"""The same, for an action that another integration has delivered already."""

# Alerta 9.1.0's message for an unknown id (views/alerts.py); the one for a wrong URL is longer.
_ALERT_NOT_FOUND = "not found"


def outcome_of_refusal(answer: Answer) -> Outcome:
    """Return the outcome for an answer other than success, for each HTTP status from 100 to 599.

    Only an error of Alerta itself rejects an action. An error page of a proxy, a redirect or an empty 204 is a fault of
    the configuration, and the action is kept until that is corrected.
    """
    status = answer.status
    shown = f"HTTP {status}" + (f": {answer.message}" if answer.message else "")
    if status in _PASSING or status >= _SERVER_ERROR:
        reason = _PASSING.get(status, Reason.UNAVAILABLE)
        return Outcome(Kind.KEPT, reason, f"Alerta answered {shown}", answer.retry_after_seconds)
    if status in _KEY_REFUSED:
        return Outcome(Kind.KEPT, _KEY_REFUSED[status], f"Alerta answered {shown}")
    if status == _NOT_FOUND and answer.from_alerta and answer.message == _ALERT_NOT_FOUND:
        return Outcome(Kind.REJECTED, Reason.NOT_FOUND, "Alerta has no such alert")
    if status == CONFLICT:
        if answer.message.startswith(STALE_MARK):
            return Outcome(Kind.IGNORED, Reason.STALE, answer.message[len(STALE_MARK) :].strip())
        return Outcome(Kind.KEPT, Reason.CONFLICT, f"Alerta answered {shown}")
    # A 405, and a 404 that is not about an alert, mean a wrong URL.
    is_refusal = answer.from_alerta and status >= _CLIENT_ERROR and status not in (_NOT_FOUND, _WRONG_METHOD)
    # 202 with status ok is Alerta's ForwardingLoop: one of its plugins stopped the action.
    is_loop = status == _ACCEPTED and isinstance(answer.body, dict) and answer.body.get("status") == "ok"
    if is_refusal or is_loop:
        return Outcome(Kind.REJECTED, Reason.REFUSED, f"Alerta refuses it, {shown}")
    return Outcome(Kind.KEPT, Reason.NOT_ALERTA, f"no answer of Alerta's API: {shown}")
