"""Configurations that may be shown: the same document with `***` where a secret stands."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping

from alerta_opsgenie.core.secret import HIDDEN, is_secret_name, mask, redact_text, safe_url

__all__ = ["HIDDEN", "is_secret_name", "redact", "redact_arguments", "redact_document", "redact_text", "safe_url"]

MOST_SECRETS = 1000
"""A document with more of them is no configuration; all of it is hidden."""

_OPTION = re.compile(r"--?(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?P<value>=.*)?", re.DOTALL)
_LISTS_OF_ARGUMENTS = {"globalargs", "args"}


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
        if folded in _LISTS_OF_ARGUMENTS and all(isinstance(item, str) for item in value):
            return redact_arguments(value)
        return [redact(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_arguments(args: list[str]) -> list[str]:
    """Give an argument list with the values of secret options hidden, whether behind `=` or by themselves."""
    shown_args: list[str] = []
    hide_next = False
    for argument in args:
        option = _OPTION.fullmatch(argument)
        secret = option is not None and is_secret_name(option["name"])
        if hide_next and option is None:
            shown_args.append(HIDDEN)
        elif secret and option is not None and option["value"]:
            shown_args.append(f"{argument.partition('=')[0]}={HIDDEN}")
        else:
            shown_args.append(redact_text(argument))
        hide_next = secret and option is not None and not option["value"]
    return shown_args


def redact_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give a configuration that may be shown; the secrets in it are hidden wherever else they stand, too."""
    shown: dict[str, Any] = redact(dict(document))
    secrets = set(_texts(document, of_secrets=True))
    if len(secrets) > MOST_SECRETS:
        hidden: dict[str, Any] = redact(shown, hide=True)
        return hidden
    # One search over all texts: one in each of them would take the square of the time.
    texts = iter(mask("\0".join(text.replace("\0", " ") for text in _texts(shown)), secrets).split("\0"))
    masked: dict[str, Any] = _with_texts(shown, texts)
    return masked


def _texts(value: Any, name: str = "", *, of_secrets: bool = False) -> Iterator[str]:
    """Give the texts of a document in their order; or those alone that stand under the name of a secret."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, key, of_secrets=of_secrets)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, name, of_secrets=of_secrets)
    elif isinstance(value, str) and (not of_secrets or is_secret_name(name)):
        yield value


def _with_texts(value: Any, texts: Iterator[str]) -> Any:
    """Give a copy of a document with other texts, in the order of `_texts`."""
    if isinstance(value, dict):
        return {key: _with_texts(item, texts) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_texts(item, texts) for item in value]
    return next(texts) if isinstance(value, str) else value
