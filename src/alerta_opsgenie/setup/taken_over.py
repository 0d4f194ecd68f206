"""The configuration of another connector, which the one that is installed begins with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterator, Mapping

from alerta_opsgenie.setup.connector_config import Existing, read_existing
from alerta_opsgenie.setup.host import Host
from alerta_opsgenie.setup.layout import Layout
from alerta_opsgenie.vendor.config import EXECUTOR_NAMES, NATIVE
from alerta_opsgenie.vendor.convert import convert_config
from alerta_opsgenie.vendor.document import Document, parse_document, syntax_of


def take_over(host: Host, layout: Layout, path: str, dialect: str | None) -> tuple[Existing, list[str]]:
    """Convert the configuration at `path` for a layout; gives a line on each change, and on what is left to do.

    It is read with the rights of whoever can write it. The integration's key stays behind: the other product's
    integration has another. Alerta's key comes along. Raises `OSError` and `ConfigError`.
    """
    old = parse_document(host.files.read(path, host.files.writer(path)), syntax=syntax_of(path), where=path)
    to = layout.edge if layout.edge != NATIVE else dialect or NATIVE
    made = convert_config(old, to=to, environment={})
    begun = read_existing(host, layout, dialect, Document(made.document, "json", path))
    key = begun.alerta_key or read_existing(host, layout, dialect, old).alerta_key
    notes = [note for note in made.notes if not note.startswith("$.apiKey")]
    return replace(begun, alerta_key=key), [*notes, *_to_copy(host, old.value, made.document)]


def _to_copy(host: Host, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Name the files of other scripts that are not at their new place yet."""
    for there, here in {(a, b) for a, b in zip(_scripts(old), _scripts(new)) if a != b}:
        if here.rpartition("/")[2] not in EXECUTOR_NAMES and host.files.look(here) is None:
            yield f"to do: cp -p {there} {here}"


def _scripts(document: Mapping[str, Any]) -> Iterator[str]:
    mappings = document.get("actionMappings")
    for mapping in mappings.values() if isinstance(mappings, dict) else ():
        yield str(mapping.get("filepath")) if isinstance(mapping, dict) else ""
