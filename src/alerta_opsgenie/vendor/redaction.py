"""Configurations that may be shown: the same document with `***` where a secret stands.

When in doubt it is hidden: what is lost to a reader by `***` is little, what leaks cannot be taken back.
"""

from __future__ import annotations

import re
from typing import Any, Mapping
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"

_SECRET_WORDS = ("key", "token", "password", "passwd", "passphrase", "secret", "credential", "authorization", "cookie")
_NOT_SECRET_ENDINGS = ("file", "filepath", "path", "name", "id", "url", "dir")
_TOKEN = re.compile(r"(?=[^/]*\d)[A-Za-z0-9_+=-]{20,}")
_OPTION = re.compile(r"--?(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?P<value>=.*)?", re.DOTALL)
_SHORTEST_TELLING = 8  # a shorter secret stands inside innocent words by chance
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LISTS_OF_ARGUMENTS = {"globalargs", "args"}
_LISTS_OF_VARIABLES = {"globalenv", "env", "environmentvariables"}


def is_secret_name(name: str) -> bool:
    """Whether a key, option or variable of this name holds a secret (`alertaApiKey`, but not `alertaApiKeyFile`)."""
    folded = name.casefold().replace("-", "_")
    if folded in {"projectkey", "issuekey"} or folded.endswith(_NOT_SECRET_ENDINGS):
        return False
    return any(word in folded for word in _SECRET_WORDS)


def redact(value: Any, *, name: str = "", hide: bool = False) -> Any:
    """Give a copy of a document, or of the part of it that stands under the key `name`, with the secrets hidden.

    With `hide`, all texts and numbers in it are hidden.
    """
    folded = name.casefold()
    hide = hide or is_secret_name(name)
    if isinstance(value, dict):
        if folded == "actionmappings":
            # A custom action may be called "Rotate key"; its mapping is no secret for that.
            return {key: redact(item) for key, item in value.items()}
        # Any header can carry a credential under a name of the receiver's choosing.
        return {key: redact(item, name=key, hide=hide or folded == "headers") for key, item in value.items()}
    if hide:
        return HIDDEN if value else value
    if isinstance(value, list):
        return _redact_list(value, folded)
    return redact_text(value) if isinstance(value, str) else value


def _redact_list(items: list[Any], folded: str) -> list[Any]:
    texts = all(isinstance(item, str) for item in items)
    if texts and folded in _LISTS_OF_VARIABLES:
        return [_redact_variable(item) for item in items]
    if texts and folded in _LISTS_OF_ARGUMENTS:
        return redact_arguments(items)
    return [redact(item) for item in items]


def redact_arguments(args: list[str]) -> list[str]:
    """Give an argument list with the values of secret options hidden, whether behind `=` or by themselves."""
    shown_args: list[str] = []
    hide_next = False
    for argument in args:
        option = _OPTION.fullmatch(argument)
        if hide_next and option is None:
            shown_args.append(HIDDEN)
        elif option is not None and option["value"] and is_secret_name(option["name"]):
            shown_args.append(f"{argument.partition('=')[0]}={HIDDEN}")
        else:
            shown_args.append(redact_text(argument))
        hide_next = option is not None and not option["value"] and is_secret_name(option["name"])
    return shown_args


def _redact_variable(entry: str) -> str:
    name, mark, value = entry.partition("=")
    return f"{name}={HIDDEN}" if mark and value and is_secret_name(name) else redact_text(entry)


def redact_text(text: str) -> str:
    """Hide what looks like a token, and the user information and query of a URL."""
    if _URL.match(text):
        return safe_url(text)
    return HIDDEN if _TOKEN.fullmatch(text) else text


def safe_url(url: str) -> str:
    """Give a URL without user information, query and fragment, each of which may carry a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{HIDDEN}@{host}" if "@" in parts.netloc else host
    query = HIDDEN if parts.query else ""
    return urlunsplit((parts.scheme, netloc, parts.path, query, HIDDEN if parts.fragment else ""))


def redact_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give a configuration that may be shown; values equal to one of its secrets are hidden wherever they stand."""
    secrets = {text for text in _secret_texts(document, "") if text}
    redacted: dict[str, Any] = _hide(redact(dict(document)), secrets)
    return redacted


def _secret_texts(value: Any, name: str) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in _secret_texts(item, key)]
    if isinstance(value, list):
        return [text for item in value for text in _secret_texts(item, name)]
    return [value] if isinstance(value, str) and is_secret_name(name) else []


def _hide(value: Any, secrets: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _hide(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_hide(item, secrets) for item in value]
    if not isinstance(value, str):
        return value
    if value in secrets:
        return HIDDEN
    for secret in secrets:
        value = value.replace(secret, HIDDEN) if len(secret) >= _SHORTEST_TELLING else value
    return value
