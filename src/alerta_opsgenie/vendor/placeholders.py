"""Replace names, addresses and texts in a vendor's message or response, so that it can be published.

The structure and types stay. Every text that is not known to be harmless is replaced. Equal texts get equal
placeholders, so equal fields can still be recognised. The vendor's own words, times, the length of ids, and empty texts
stay.
"""

from __future__ import annotations

import re
from typing import Any

from alerta_opsgenie.core.message import PRIORITIES
from alerta_opsgenie.core.relay import HANDLERS
from alerta_opsgenie.core.secret import HIDDEN, is_secret_name

_OWN_WORDS = frozenset({
    *HANDLERS, *PRIORITIES, "1", "2", "3", "4", "5", "Create", "postActionToOEC", "postActionToJEC", "custom", "http",
    "web", "API", "api", "mobile", "system", "integration", "alert", "user", "team", "escalation", "OEC", "JEC",
    "Webhook", "System", "Alert API", "Alerta", "open", "closed", "acked", "resolved", "snoozed",
})  # fmt: skip
"""Words that the vendor chose, not a person."""

_FREE = frozenset({"details", "extraproperties", "headers", "content"})
"""Fields (lower case) in which a person chooses all keys and values."""

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_TIMES = frozenset({"createdAt", "updatedAt", "insertedAt", "snoozedUntil", "snoozeEndDate", "lastOccurredAt"})


class Placeholders:
    """The placeholders of one archive: each text has the same placeholder in all its files."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def replace(self, value: Any, field: str = "", *, free: bool = False) -> Any:
        """Return a copy of the JSON value of `field` with placeholders; `free`: a person chose the keys above it."""
        if isinstance(value, dict):
            free = free or field.lower() in _FREE
            return {self._key(key, free=free): self.replace(item, key, free=free) for key, item in value.items()}
        if isinstance(value, list):
            return [self.replace(item, field, free=free) for item in value]
        if isinstance(value, str):
            return self._text(value, field, free=free)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return type(value)(0) if free and is_number else value

    def _key(self, key: str, *, free: bool) -> str:
        return key if _KEY.fullmatch(key) and not free else self._numbered(key, "key{}")

    def _text(self, text: str, field: str, *, free: bool) -> str:
        if not text:
            return text
        if is_secret_name(field):
            return HIDDEN
        if not free and (text in _OWN_WORDS or _INSTANT.fullmatch(text)):
            return text
        if field in _TIMES and text.isascii() and text.isdigit():
            return text
        if _UUID.search(text):
            return self._ids(text)
        if text.isascii() and text.isdigit():
            return "0" * len(text)
        return self._numbered(text, _form_of(text))

    def _ids(self, text: str) -> str:
        """Replace only the ids in a text like `UUID-MILLISECONDS`; replace any other text as a whole."""
        if not all(re.fullmatch(r"[-:]?\d{0,20}[-:]?", part, re.ASCII) for part in _UUID.split(text)):
            return self._numbered(text, _form_of(text))
        return _UUID.sub(lambda match: self._numbered(match.group(), "00000000-0000-4000-8000-{:012d}"), text)

    def _numbered(self, text: str, form: str) -> str:
        return self._known.setdefault(text, form.format(len(self._known) + 1))


def _form_of(text: str) -> str:
    """Return the form of the placeholder: an e-mail address for an address, a URL for a URL, else a text."""
    if re.fullmatch(r"[^\s@]+@[^\s@]+", text):
        return "person{}@example.com"
    if "://" in text:
        return "https://example.com/{}"
    return "text {}"
