"""How an action ends: kinds, reasons, and what each HTTP status of Alerta means for it.

`Reason` is a closed set, because it is also the label of a metric and the word that operators search for. The names
are tuples and not dataclasses throughout the core: `dataclasses` imports `inspect`, which the script that is started
once per action would pay for each time (docs/decisions/0002-named-tuples.md).
"""

from enum import Enum
from typing import Any, Mapping, NamedTuple, Optional


class Kind(str, Enum):
    """The five endings of an action."""

    APPLIED = "applied"
    ALREADY = "already"
    IGNORED = "ignored"
    REJECTED = "rejected"
    KEPT = "kept"


class Reason(str, Enum):
    """Why an action ended as it did."""

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
"""Which reasons each kind can have; with the actions, the label pairs of every metric."""

ADVICE: Mapping[Reason, str] = {
    Reason.UNAUTHORIZED: "give an API key that Alerta knows (--alertaApiKeyFile, ALERTA_API_KEY or --alertaApiKey)",
    Reason.FORBIDDEN: "give the API key the scopes read and write:alerts (delete:alerts too, to pass deletes on)",
    Reason.NOT_ALERTA: "check --alertaApiUrl: what answers there is not Alerta's API",
}
"""What to do about the reasons that waiting does not help against; these endings are loud."""


class Outcome(NamedTuple):
    """How one action ended.

    `detail` is a sentence for people (never a secret). `retry_after_seconds` is what Alerta asked for, if it did.
    """

    kind: Kind
    reason: Reason
    detail: str = ""
    retry_after_seconds: Optional[float] = None

    @property
    def loud(self) -> bool:
        """Whether a person has to do something before this can go on."""
        return self.kind is Kind.REJECTED or self.reason in ADVICE

    @property
    def warns(self) -> bool:
        """Whether a log should warn of it: somebody's action was not done."""
        return self.loud or self.reason is Reason.STALE

    @property
    def advice(self) -> str:
        """The next thing to do, or an empty string."""
        return ADVICE.get(self.reason, "")


class Answer(NamedTuple):
    """What Alerta answered to one call.

    `on_behalf_of` is the header that only our plugin sends back; `alert_status` the state that the plugin says the
    alert has now, `alert_timeout_seconds` after how long Alerta ends by itself what was begun (0: never; None: not
    said). `clock_ahead_seconds` is how far Alerta's clock is ahead of ours, from the `Date` header.
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
        """Whether Alerta itself did what was asked (a proxy's page is no success, whatever its status)."""
        return self.status in (200, 201) and isinstance(self.body, dict) and self.body.get("status") == "ok"

    @property
    def message(self) -> str:
        """Alerta's own words, cut, on one line."""
        text = self.body.get("message") if isinstance(self.body, dict) else None
        return " ".join(text.split())[:200] if isinstance(text, str) else ""

    @property
    def no_way(self) -> bool:
        """Whether Alerta's state machine has no such transition from the status that the alert has."""
        return self.status == CONFLICT and not self.message.startswith(STALE_MARK)

    @property
    def from_alerta(self) -> bool:
        """Whether the error has the shape of Alerta's own: `{"status": "error", "message": ...}`."""
        return isinstance(self.body, dict) and self.body.get("status") == "error"


_PASSING = {408: Reason.UNAVAILABLE, 425: Reason.UNAVAILABLE, 429: Reason.THROTTLED}
_KEY_REFUSED = {401: Reason.UNAUTHORIZED, 403: Reason.FORBIDDEN}

CONFLICT = 409
_ACCEPTED, _CLIENT_ERROR, _NOT_FOUND, _WRONG_METHOD, _SERVER_ERROR = 202, 400, 404, 405, 500

STALE_MARK = "stale:"
"""How the message of a 409 begins with which our plugin refuses what comes behind something newer."""

REDELIVERED_MARK = "redelivered:"
"""How the message of a success begins with which our plugin tells that a note was there already."""

MERGED_MARK = "merged:"
"""The same, for an act that another integration has brought already."""

# What Alerta 9.1.0 says for an id that it does not know (views/alerts.py); a wrong URL has a longer message.
_ALERT_NOT_FOUND = "not found"


def outcome_of_refusal(answer: Answer) -> Outcome:
    """Tell what an answer other than success means, for every HTTP status from 100 to 599.

    Only Alerta itself may refuse an action for good: an error page of something between us and Alerta, a redirect or
    an empty 204 is a matter of configuration, and the action is kept until that is corrected.
    """
    status = answer.status
    said = f"HTTP {status}" + (f": {answer.message}" if answer.message else "")
    if status in _PASSING or status >= _SERVER_ERROR:
        reason = _PASSING.get(status, Reason.UNAVAILABLE)
        return Outcome(Kind.KEPT, reason, f"Alerta answered {said}", answer.retry_after_seconds)
    if status in _KEY_REFUSED:
        return Outcome(Kind.KEPT, _KEY_REFUSED[status], f"Alerta answered {said}")
    if status == _NOT_FOUND and answer.from_alerta and answer.message == _ALERT_NOT_FOUND:
        return Outcome(Kind.REJECTED, Reason.NOT_FOUND, "Alerta has no such alert")
    if status == CONFLICT:
        if answer.message.startswith(STALE_MARK):
            return Outcome(Kind.IGNORED, Reason.STALE, answer.message[len(STALE_MARK) :].strip())
        return Outcome(Kind.KEPT, Reason.CONFLICT, f"Alerta answered {said}")
    # A 404 that names no alert, and a 405, tell of a wrong URL.
    is_refusal = answer.from_alerta and status >= _CLIENT_ERROR and status not in (_NOT_FOUND, _WRONG_METHOD)
    # 202 with status ok is Alerta's ForwardingLoop: one of its plugins stopped the action.
    is_loop = status == _ACCEPTED and isinstance(answer.body, dict) and answer.body.get("status") == "ok"
    if is_refusal or is_loop:
        return Outcome(Kind.REJECTED, Reason.REFUSED, f"Alerta refuses it, {said}")
    return Outcome(Kind.KEPT, Reason.NOT_ALERTA, f"no answer of Alerta's API: {said}")
