"""The reference agrees with the code: generated parts are up to date, and written parts are complete."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from alerta_opsgenie.agent import handover, options
from alerta_opsgenie.clients import opsgenie
from alerta_opsgenie.connector import settings as connector_settings
from alerta_opsgenie.core.outcome import REASONS
from alerta_opsgenie.plugin.settings import Settings, read_settings
from alerta_opsgenie.vendor.structure import SCHEMA
from tests.docs.console_blocks import all_commands, name_of, pages
from tests.docs.generate import DOCS, PAGES, commands, fill, page

OF_OTHERS = {
    "--jecNamedPipe",  # JEC's, in an error message of another script
    "--yes",  # pip uninstall
    "--now",  # systemctl enable
    "--from-file",  # kubectl
}
_OPTION = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*")
_VARIABLE = re.compile(r"\b(?:ALERTA|OPSGENIE|OEC|JEC)_[A-Z][A-Z_]*[A-Z]\b")
_ROW = re.compile(r"^\| (.+?) \|", re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_generated_parts_of_a_page_are_up_to_date(name: str) -> None:
    """If not: python -m tests.docs.generate."""
    text = page(name).read_text(encoding="utf-8")
    assert fill(text) == text, f"{name}.md is stale: run python -m tests.docs.generate"


def test_each_command_is_shown_on_another_page() -> None:
    """Readers do not find a command that no page shows."""
    shown = [command.text for command in all_commands()]
    used = "\n".join(shown)
    leaves = [context.command_path for context in commands() if not isinstance(context.command, click.Group)]
    by_make = {"alerta-opsgenie demo"}
    assert [path for path in leaves if path not in used and path not in by_make] == []


def test_all_outcomes_are_documented_with_their_kind() -> None:
    text = (DOCS / "outcomes.md").read_text(encoding="utf-8").partition("## Of what the plugin sends")[0]
    rows = re.findall(r"^\| (applied|already|ignored|rejected|kept) \| (.+?) \|", text, re.MULTILINE)
    written = {(kind, reason) for kind, reasons in rows for reason in re.findall(r"`([\w-]+)`", reasons)}
    assert written == {(kind.value, reason.value) for kind, reasons in REASONS.items() for reason in reasons}


def test_all_reasons_of_the_plugin_are_documented() -> None:
    text = (DOCS / "outcomes.md").read_text(encoding="utf-8").partition("## Of what the plugin sends")[2]
    rows = re.findall(r"^\| [^|]+ \| (`.+?) \|", text, re.MULTILINE)
    written = [reason for reasons in rows for reason in re.findall(r"`([\w-]+)`", reasons)]
    assert sorted(written) == sorted(reason.value for reason in opsgenie.Reason)


# -- Settings


class _RecordedEnvironment(Mapping[str, str]):
    """An environment that records the names that are read."""

    def __init__(self, **there: str) -> None:
        self.names: set[str] = set()
        self._there = there

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self._there[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._there)

    def __len__(self) -> int:
        return len(self._there)


def plugin_settings() -> set[str]:
    """Return the names of all settings that the plugin reads."""
    asked = _RecordedEnvironment()
    assert isinstance(read_settings({}, asked), Settings)
    return asked.names


def executor_variables() -> set[str]:
    """Return the names of all variables that the executor reads."""
    asked = _RecordedEnvironment(ALERTA_API_KEY="", ALERTA_API_KEY_FILE="/dev/null", HOME="/")
    with pytest.raises(options.UsageError):
        options.read_options({"alertaApiUrl": [""], "alertaApiKey": [""]}, [], asked)
    asked_with_url = _RecordedEnvironment(ALERTA_API_URL="http://a", ALERTA_API_KEY="k")
    options.read_options({}, [], asked_with_url)
    place = {"ALERTA_OPSGENIE_SPOOL_DIR", "XDG_STATE_HOME", "HOME"}  # `handover.state_directory` reads a copy
    assert place <= set(handover.VARIABLES)
    return (asked.names | asked_with_url.names | place) - {"HTTPS_PROXY", "NO_PROXY"}


def _first_column(text: str) -> set[str]:
    return {name for cell in _ROW.findall(text) for name in re.findall(r"`([A-Za-z_]\w*)`", cell)}


def test_all_settings_of_the_plugin_are_documented() -> None:
    text = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    assert _first_column(text.partition("Severities, where")[0]) == plugin_settings()


def test_all_variables_of_the_executor_are_documented() -> None:
    text = (DOCS / "reference" / "executor.md").read_text(encoding="utf-8").partition("## Environment")[2]
    by_transport = {"https_proxy", "http_proxy", "no_proxy"}
    assert _first_column(text.partition("An argument wins")[0]) == executor_variables() | by_transport


def test_all_keys_of_the_connectors_are_documented() -> None:
    text = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8").partition("## Of a connector")[2]
    assert _first_column(text.partition("Where it is looked for")[0]) == set(SCHEMA["properties"])
    mapping = SCHEMA["$defs"]["mapping"]["properties"]
    for key in (
        *mapping,
        *(key for part in ("pollerConf", "poolConf") for key in SCHEMA["properties"][part]["properties"]),
    ):
        assert f"`{key}`" in text


def test_all_keys_of_the_native_connector_are_documented_with_their_defaults() -> None:
    text = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8").partition("connector's own\n")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| `?([^|`]+?)`? \|$", text, re.MULTILINE))
    own = connector_settings.ConnectorSettings()
    assert rows == {name: str(getattr(own, found[0])) for name, found in connector_settings._SETTINGS.items()}


def _known_options() -> set[str]:
    of_commands = {
        option for context in commands() for parameter in context.command.params for option in parameter.opts
    }
    of_executor = {f"--{name}" for name in (*options._HELP, *options._FLAGS)}
    return of_commands | of_executor | OF_OTHERS


def _named(pattern: re.Pattern[str], path: Path) -> set[str]:
    return set(pattern.findall(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", pages(), ids=name_of)
def test_each_option_on_a_page_exists(path: Path) -> None:
    written_otherwise = {"--alerta-api-url"}  # reference/executor.md, on the spellings of a name
    assert _named(_OPTION, path) - _known_options() - written_otherwise == set()


@pytest.mark.parametrize("path", pages(), ids=name_of)
def test_each_variable_on_a_page_is_read_by_the_code(path: Path) -> None:
    of_each = ("API_KEY", "CONF_LOCAL_FILEPATH", "CONF_SOURCE_TYPE")
    connectors = {f"{name}_{what}" for name in ("OEC", "JEC") for what in of_each}
    known = plugin_settings() | executor_variables() | connectors
    assert _named(_VARIABLE, path) - known == set()
