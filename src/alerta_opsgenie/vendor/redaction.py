"""Configurations that may be shown: the document, or the configuration in effect, with `***` for each secret."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from alerta_opsgenie.core.secret import HIDDEN, is_secret_name, mask, redact_text, safe_url
from alerta_opsgenie.vendor.arguments import find_options, script_argv
from alerta_opsgenie.vendor.config import JEC, EdgeConfig
from alerta_opsgenie.vendor.document import texts_in

_LISTS_OF_ARGUMENTS = {"globalargs", "args", "startedas"}


def shown_config(config: EdgeConfig) -> dict[str, Any]:
    """Give what a connector works with, in the file's own terms: defaults filled in, how scripts are started."""
    pipe_path = "<pipe>" if config.dialect == JEC else None
    mappings = config.document.get("actionMappings", {})
    shown = {
        name: {**mappings[name], "startedAs": list(script_argv(config, mapping, "<message>", pipe_path=pipe_path))}
        for name, mapping in config.mappings.items()
    }
    effective = {
        "apiKey": config.api_key.reveal(),
        "baseUrl": safe_url(config.base_url),
        "logLevel": config.log_level.upper(),
        "pollerConf": dict(config.poller),
        "poolConf": dict(config.pool),
        "actionMappings": shown,
    }
    return redact_document({"dialect": config.dialect, "file": config.where, **config.document, **effective})


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
    shown = [redact_text(argument) for argument in args]
    for option in find_options(args):
        if is_secret_name(option.name) and option.value:
            last = int(option.places[-1][0])
            shown[last] = HIDDEN if option.places[1:] else f"{args[last].partition('=')[0]}={HIDDEN}"
    return shown


def redact_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give a configuration that may be shown; the secrets in it are hidden wherever else they stand, too."""
    shown: dict[str, Any] = redact(dict(document))
    named = (([step for step in path if isinstance(step, str)], text) for path, text in texts_in(document))
    secrets = {text for names, text in named if is_secret_name(names[-1])}
    # One search over all texts: one in each of them would take the square of the time.
    texts = iter(mask("\0".join(text.replace("\0", " ") for _, text in texts_in(shown)), secrets).split("\0"))
    masked: dict[str, Any] = with_texts(shown, lambda _: next(texts))
    return masked


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Give a copy of a document with each text changed, in their order; keys stay."""
    if isinstance(value, dict):
        return {key: with_texts(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [with_texts(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
