"""The checks of `config check`: what the schema finds, and what a connector accepts but does not do as intended."""

from __future__ import annotations

import os
import re
from typing import Iterator, Mapping

from alerta_opsgenie.core.secret import is_secret_name
from alerta_opsgenie.vendor import arguments
from alerta_opsgenie.vendor.config import (
    DEFAULT_BASE_URLS,
    DOCUMENTED_ACTIONS,
    EXECUTOR_NAMES,
    JEC,
    JEC_CATCH_ALL,
    NATIVE,
    EdgeConfig,
    dialect_of_path,
    dialect_of_url,
    guess_dialect,
)
from alerta_opsgenie.vendor.document import Document, KeyPath, texts_in
from alerta_opsgenie.vendor.problems import ERROR, LEVELS, NOTE, WARNING, Problem, json_path, nearest, shown
from alerta_opsgenie.vendor.structure import OLD_NAMES, Reading, read_structure

_PLACEHOLDER = re.compile(
    r"\{\{[^{}]*\}\}|\$\{\w{1,100}\}|<[^<>]+>|\byour_\w{1,60}_goes_here\b"
    r"|^(…|\.\.\.|change_?me|replace_?me|todo|x[x-]+|api[_-]?key)$"
    r"|^your[\w -]{0,60}(key|token|url|password|secret|host)$",
    re.IGNORECASE,
)


def check_config(
    document: Document,
    *,
    dialect: str | None = None,
    target: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Return all problems of a configuration, errors first. Never raises, whatever the document contains.

    `dialect` is guessed if not given. `target` is the connector that will use the file (`oec`, `jec`, `native`).
    """
    given = os.environ if environment is None else environment
    chosen = dialect or guess_dialect(document, given)
    reading = read_structure(document, dialect=chosen, environment=given, target=target)
    key_given = bool(given.get(f"{chosen.upper()}_API_KEY"))
    problems = [
        *reading.problems,
        *_check_keys(reading, native=target == NATIVE),
        *_check_dialect(document, reading.config, explicit=dialect),
        *_check_placeholders(reading.config, key_given=key_given),
        *_check_mappings(reading.config),
        *_check_arguments(reading.config),
        *_check_alerta_access(reading.config),
    ]
    return sorted(problems, key=lambda problem: LEVELS.index(problem.level))


def _check_keys(reading: Reading, *, native: bool) -> Iterator[Problem]:
    for path, key, known, read_as in reading.unknown_keys:
        old = OLD_NAMES.get(key, "")
        meant = old if old in known else nearest(key, known)
        what = "is not known to the connectors and has no effect" + (f"; {meant} is meant" if meant else "")
        if native and old in known:
            what = f"is ignored by OEC and JEC; here it is read as {meant}"
        elif read_as:
            meant, what = read_as, "is read in any case in JSON, but not in YAML"
        yield Problem(WARNING, json_path(*path, key), what, f"write {meant}" if meant else "remove it")


def _check_dialect(document: Document, config: EdgeConfig, *, explicit: str | None) -> Iterator[Problem]:
    by_url = dialect_of_url(config.base_url)
    expected = explicit or dialect_of_path(document.where)
    if by_url is None or expected is None or by_url == expected:
        return
    advice = f"write {DEFAULT_BASE_URLS[expected]}, or move the file over: alerta-opsgenie config convert --to {by_url}"
    yield Problem(ERROR, "$.baseUrl", f"is {by_url.upper()}'s, and the file is {expected.upper()}'s", advice)


def is_placeholder(text: str) -> bool:
    """Return whether a text is a sample's placeholder."""
    return bool(_PLACEHOLDER.search(text.strip()))


def _check_placeholders(config: EdgeConfig, *, key_given: bool) -> Iterator[Problem]:
    """Find a sample's placeholders. In the arguments of scripts that are not ours they may be intended."""
    # `{{.Payload}}` is harmless as the value of an option that the connector itself passes.
    own = [option for option in arguments.options_in_file(config) if option.name in arguments.CONNECTOR_OPTIONS]
    harmless = {place for option in own for place in option.places} | ({("apiKey",)} if key_given else set())
    for path, text in texts_in(config.document):
        if is_placeholder(text) and path not in harmless:
            level = WARNING if _is_for_others(config, path) else ERROR
            yield Problem(level, json_path(*path), "still holds a placeholder", "put the real value there")


def _is_for_others(config: EdgeConfig, path: KeyPath) -> bool:
    """Return whether a value goes to a script that is not ours: `{{ alert.message }}` may be a template."""
    in_mapping = path[0] == "actionMappings" and len(path) > 3  # noqa: PLR2004 - below args, flags, env, headers
    mapping = config.mappings.get(str(path[1])) if in_mapping else None
    return mapping is not None and not mapping.is_alerta_executor


def _check_mappings(config: EdgeConfig) -> Iterator[Problem]:
    mappings = config.mappings
    executors = [mapping for mapping in mappings.values() if mapping.is_alerta_executor]
    for mapping in executors:
        if mapping.type == "http":
            what = 'is "http"; actions on alerts come with the type "custom", and others are dropped'
            path = json_path("actionMappings", mapping.name, "type")
            yield Problem(ERROR, path, what, 'remove it, or write "custom"')
    if not executors:
        if mappings and all(mapping.filepath for mapping in mappings.values()):
            what = "starts the Alerta executor for no action; only scripts of others are mapped"
            advice = f"map the actions to {' or '.join(sorted(EXECUTOR_NAMES))}"
            yield Problem(WARNING, "$.actionMappings", what, advice)
        return
    dropped = "is not mapped: the connector drops this action, and it never reaches Alerta"
    wanted = dict.fromkeys(DOCUMENTED_ACTIONS, dropped)
    if config.dialect == JEC:
        wanted[JEC_CATCH_ALL] = "is not mapped; which name a plain JEC integration asks for is not documented"
    for name in [name for name in wanted if name not in mappings]:
        advice = f"map it to {shown(executors[0].filepath)} as the others"
        yield Problem(WARNING, json_path("actionMappings", name), wanted[name], advice)


def _check_arguments(config: EdgeConfig) -> Iterator[Problem]:
    for option in arguments.options_in_file(config):
        path = json_path(*option.places[0])
        if option.name in arguments.CONNECTOR_OPTIONS:
            what = f"-{option.name} is passed by the connector itself; of two the last counts"
            yield Problem(WARNING, path, what, "remove it and its value")
        elif is_secret_name(option.name) and option.value:
            what = f"-{option.name} shows a secret to every user of the host (ps)"
            ours = f'use "--{arguments.KEY_FILE_OPTION}" and a path, or "{arguments.KEY_VARIABLE}=…" in globalEnv'
            advice = ours if option.name == arguments.KEY_OPTION else "give it to the script in a file, or in globalEnv"
            yield Problem(WARNING, path, what, advice)


def _check_alerta_access(config: EdgeConfig) -> Iterator[Problem]:
    ours = [mapping for mapping in config.mappings.values() if mapping.is_alerta_executor]
    keys = (arguments.KEY_OPTION, arguments.KEY_FILE_OPTION)
    for missing, names in (("Alerta's URL", (arguments.URL_OPTION,)), ("Alerta's key", keys)):
        # One problem is enough. It is a note: the service's environment may set it.
        without = next((mapping for mapping in ours if not arguments.gives_option(config, mapping, names)), None)
        if without is not None:
            what = f"starts the Alerta executor, and nothing in this file sets {missing}"
            where = " or ".join(arguments.VARIABLES[name] for name in names)
            advice = f'set {where} for the connector\'s service, or put "--{names[-1]}" into globalArgs'
            yield Problem(NOTE, json_path("actionMappings", without.name), what, advice)
