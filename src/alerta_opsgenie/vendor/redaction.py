"""A configuration for display: the file's, or the one in effect, with `***` for each secret."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from alerta_opsgenie.core.secret import HIDDEN, is_secret_name, mask, redact_text, safe_url
from alerta_opsgenie.vendor.arguments import find_options, script_argv
from alerta_opsgenie.vendor.config import JEC, EdgeConfig
from alerta_opsgenie.vendor.document import texts_in

_LISTS_OF_ARGUMENTS = {"globalargs", "args", "startedas"}


def effective_config(config: EdgeConfig) -> dict[str, Any]:
    """Return the configuration in effect, in the file's format: with defaults and command lines, secrets hidden."""
    pipe_path = "<pipe>" if config.dialect == JEC else None
    mappings = config.document.get("actionMappings", {})
    shown = {
        name: {**mappings[name], "startedAs": list(script_argv(config, mapping, "<message>", pipe_path=pipe_path))}
        for name, mapping in config.mappings.items()
    }
    in_effect = {
        "apiKey": config.api_key.reveal(),
        "baseUrl": safe_url(config.base_url),
        "logLevel": config.log_level.upper(),
        "pollerConf": dict(config.poller),
        "poolConf": dict(config.pool),
        "actionMappings": shown,
    }
    return redact_document({"dialect": config.dialect, "file": config.where, **config.document, **in_effect})


def redact(value: Any, *, name: str = "", hide: bool = False) -> Any:
    """Return a copy of a document, or of its part under the key `name`, with the secrets hidden.

    With `hide`, hide all texts and numbers.
    """
    folded = name.casefold()
    hide = hide or is_secret_name(name)
    if isinstance(value, dict):
        if folded == "actionmappings":
            # A custom action may be named "Rotate key"; its mapping is not a secret.
            return {key: redact(item) for key, item in value.items()}
        # The receiver chooses the names of headers, so any header can carry a credential.
        return {key: redact(item, name=key, hide=hide or folded == "headers") for key, item in value.items()}
    if hide:
        return HIDDEN if value else value
    if isinstance(value, list):
        if folded in _LISTS_OF_ARGUMENTS and all(isinstance(item, str) for item in value):
            return redact_arguments(value)
        return [redact(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_arguments(args: list[str]) -> list[str]:
    """Return an argument list with the values of secret options hidden, after `=` or as an argument of their own."""
    shown = [redact_text(argument) for argument in args]
    for option in find_options(args):
        if is_secret_name(option.name) and option.value:
            last = int(option.places[-1][0])
            shown[last] = HIDDEN if option.places[1:] else f"{args[last].partition('=')[0]}={HIDDEN}"
    return shown


def redact_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a configuration with its secrets hidden everywhere, also where a secret is repeated."""
    shown: dict[str, Any] = redact(dict(document))
    named = (([step for step in path if isinstance(step, str)], text) for path, text in texts_in(document))
    secrets = {text for names, text in named if is_secret_name(names[-1])}
    # One search over all texts: a search for each secret in each text would take quadratic time.
    texts = iter(mask("\0".join(text.replace("\0", " ") for _, text in texts_in(shown)), secrets).split("\0"))
    masked: dict[str, Any] = map_texts(shown, lambda _: next(texts))
    return masked


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of a document with `change` applied to each text in order, and not to keys."""
    if isinstance(value, dict):
        return {key: map_texts(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [map_texts(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
