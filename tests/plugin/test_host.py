"""Alerta's version and settings are checked at start."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.plugin.host import UnsupportedError, check_version, warnings

USUAL = {"DATABASE_URL": "postgresql:///alerta", "PLUGINS": ["opsgenie"], "ACK_TIMEOUT": 0, "SHELVE_TIMEOUT": 7200}


@pytest.mark.parametrize("version", ["8.7.0", "9.0.0", "9.0.4", "9.1.0", "10.0.0", "9.2.0rc1"])
def test_a_supported_version_is_accepted(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["8.6.5", "8.0.0", "7.5.7", "3.1", ""])
def test_an_older_version_is_refused_with_both_versions(version: str) -> None:
    with pytest.raises(UnsupportedError, match=f"^alerta-server {version} is not supported: .* needs 8.7.0 or later$"):
        check_version(version)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, []),
        ({"ACK_TIMEOUT": 2}, ["ACK_TIMEOUT ends an acknowledge after 2 s"]),
        ({"PLUGINS": ["opsgenie", "timeout"]}, ["the plugin timeout ends a snooze after SHELVE_TIMEOUT, 7200 s"]),
        ({"PLUGINS": ["timeout", "opsgenie"]}, []),
        ({"ALARM_MODEL": "ISA_18_2"}, ["a close is refused"]),
        ({"DATABASE_URL": "mongodb://db/alerta"}, ["experimental"]),
        (
            {"PLUGINS": ["opsgenie", "timeout"], "ACK_TIMEOUT": 2, "SHELVE_TIMEOUT": 60},
            ["ACK_TIMEOUT", "SHELVE_TIMEOUT, 60 s"],
        ),
    ],
)
def test_settings_that_undo_actions_are_one_warning(settings: dict[str, Any], words: list[str]) -> None:
    found = warnings({**USUAL, **settings}, "9.1.0")
    assert len(found) == bool(words)
    assert all(word in found[0] for word in words)


def test_a_newer_version_is_a_warning() -> None:
    assert warnings(USUAL, "10.1.0") == ["alerta-server 10.1.0 is newer than 9.1.0, the newest that was tried"]
