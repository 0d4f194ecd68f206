"""What the REST API takes for each operation: fields, types and limits (contracts 3.1 and 3.2), without I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

JSON = dict[str, Any]

PRIORITIES = ("P1", "P2", "P3", "P4", "P5")
DETAILS_LIMIT = 8000  # keys and values together; the vendor cuts the rest without an error
RECIPIENT_TYPES = ("team", "user", "escalation", "schedule")


@dataclass(frozen=True)
class Field:
    """One field of a request: its kind, whether it must be there, its length and its number of items."""

    kind: str
    required: bool = False
    limit: int = 0
    items: int = 0
    types: tuple[str, ...] = ()


@dataclass
class Checked:
    """A request body after the check.

    `fields` is what the vendor keeps, `errors` goes into the 422, `unknown` names fields that the vendor ignores
    silently, `cut` those that it shortens silently.
    """

    fields: JSON = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


COMMON = {
    "user": Field("text", limit=100),
    "source": Field("text", limit=100),
    "note": Field("text", limit=25000),
}
TAGS = Field("texts", limit=50, items=20)
REQUIRED_TAGS = Field("texts", required=True, limit=50, items=20)
RESPONDERS = Field("recipients", items=50, types=RECIPIENT_TYPES)

# https://docs.opsgenie.com/docs/alert-api
OPERATIONS: Mapping[str, Mapping[str, Field]] = {
    "create": {
        **COMMON,
        "message": Field("text", required=True, limit=130),
        "alias": Field("text", limit=512),
        "description": Field("text", limit=15000),
        "responders": RESPONDERS,
        "visibleTo": Field("recipients", items=50, types=("team", "user")),
        "actions": Field("texts", limit=50, items=10),
        "tags": TAGS,
        "details": Field("map", limit=DETAILS_LIMIT),
        "entity": Field("text", limit=512),
        "priority": Field("priority"),
    },
    "acknowledge": COMMON,
    "unacknowledge": COMMON,
    "close": COMMON,
    "snooze": {**COMMON, "endTime": Field("instant", required=True)},
    "add_note": {**COMMON, "note": Field("text", required=True, limit=25000)},
    "assign": {**COMMON, "owner": Field("recipient", required=True, types=("user",))},
    "escalate": {**COMMON, "escalation": Field("recipient", required=True, types=("escalation",))},
    "add_responder": {**COMMON, "responder": Field("recipient", required=True, types=RECIPIENT_TYPES)},
    "add_team": {**COMMON, "team": Field("recipient", required=True, types=("team",))},
    "custom": COMMON,
    "add_tags": {**COMMON, "tags": REQUIRED_TAGS},
    "remove_tags": {**COMMON, "tags": REQUIRED_TAGS},
    "add_details": {**COMMON, "details": Field("map", required=True, limit=DETAILS_LIMIT)},
    "remove_details": {**COMMON, "keys": Field("texts", required=True, items=10_000)},
    "update_priority": {"priority": Field("priority", required=True)},
    "update_message": {"message": Field("text", required=True, limit=130)},
    "update_description": {"description": Field("text", required=True, limit=15000)},
    "delete": {"user": COMMON["user"], "source": COMMON["source"]},
}


class Invalid(Exception):  # noqa: N818 - the model's word for a 422, not a failure of ours
    """One field breaks a limit; the text is what the 422 says of it."""


def check(operation: str, body: JSON, *, now_ms: int, utf16: bool = False, past_snooze: bool = False) -> Checked:
    """Check `body` against the rules of `operation`, a key of `OPERATIONS`.

    `now_ms` is the cloud's time, `utf16` counts lengths in UTF-16 units, `past_snooze` lets a snooze end in the past.
    """
    rules = OPERATIONS[operation]
    checked = Checked(unknown=sorted(set(body) - set(rules)))
    for name, rule in rules.items():
        value = body.get(name)
        if value is None or value in ("", [], {}):
            if rule.required:
                checked.errors[name] = f"{name[:1].upper()}{name[1:]} can not be empty."
            continue
        try:
            checked.fields[name] = _CHECKS[rule.kind](value, rule, utf16)
        except Invalid as error:
            checked.errors[name] = str(error)
    _check_instant(checked, now_ms, past_snooze)
    _cut_details(checked, utf16)
    return checked


def measure(text: str, *, utf16: bool) -> int:
    """Return the length of `text` in code points, or in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 if utf16 else len(text)


def _text(value: Any, rule: Field, utf16: bool) -> str:
    if not isinstance(value, str):
        raise Invalid("should be a string")
    if not value.strip():
        raise Invalid("can not be empty.")
    if measure(value, utf16=utf16) > rule.limit > 0:
        raise Invalid(f"can not be longer than {rule.limit} characters")
    return value


def _texts(value: Any, rule: Field, utf16: bool) -> list[str]:
    if not isinstance(value, list):
        raise Invalid("should be a list of strings")
    if len(value) > rule.items:
        raise Invalid(f"can not have more than {rule.items} items")
    return [_text(item, rule, utf16) for item in value]


def _map(value: Any, _rule: Field, _utf16: bool) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Invalid("should be a map of strings")
    for key, item in value.items():
        if not isinstance(item, str):
            raise Invalid(f"value of [{key}] should be a string")
    return dict(value)


def _recipients(value: Any, rule: Field, utf16: bool) -> list[JSON]:
    if not isinstance(value, list):
        raise Invalid("should be a list")
    if len(value) > rule.items:
        raise Invalid(f"can not have more than {rule.items} items")
    return [_recipient(item, rule, utf16, typed=True) for item in value]


def _recipient(value: Any, rule: Field, _utf16: bool, *, typed: bool = False) -> JSON:
    if not isinstance(value, dict):
        raise Invalid("should be an object with id, name or username")
    names = {"id", "name", "username", "type"}
    if set(value) - names or not any(isinstance(value.get(key), str) for key in names - {"type"}):
        raise Invalid("should be an object with id, name or username")
    # Only one kind of recipient is possible in owner, team and escalation, so that `type` may be left out there.
    if (typed or len(rule.types) > 1 or "type" in value) and value.get("type") not in rule.types:
        raise Invalid(f"type should be one of [ {', '.join(rule.types)} ]")
    return dict(value)


def _priority(value: Any, _rule: Field, _utf16: bool) -> str:
    if value not in PRIORITIES:
        raise Invalid(f"should be one of [ {', '.join(PRIORITIES)} ]")
    return str(value)


def _instant(value: Any, _rule: Field, _utf16: bool) -> int:
    """Read an ISO 8601 instant with a zone as milliseconds since 1970."""
    try:
        read = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError as error:
        raise Invalid("should be a date and time as in ISO 8601") from error
    if read.tzinfo is None:
        raise Invalid("should have a time zone")
    return round(read.astimezone(timezone.utc).timestamp() * 1000)


_CHECKS: Mapping[str, Callable[[Any, Field, bool], Any]] = {
    "text": _text,
    "texts": _texts,
    "map": _map,
    "recipients": _recipients,
    "recipient": _recipient,
    "priority": _priority,
    "instant": _instant,
}


def _check_instant(checked: Checked, now_ms: int, past_snooze: bool) -> None:
    end_ms = checked.fields.get("endTime")
    if end_ms is not None and end_ms <= now_ms and not past_snooze:
        checked.errors["endTime"] = "should be in the future"


def _cut_details(checked: Checked, utf16: bool) -> None:
    details = checked.fields.get("details")
    if not details:
        return
    kept, room = {}, DETAILS_LIMIT
    for key, value in details.items():
        room -= measure(key, utf16=utf16)
        if room <= 0:
            break
        kept[key] = value[:room]
        room -= measure(value, utf16=utf16)
    if kept != details:
        checked.fields["details"] = kept
        checked.cut.append("details")
