"""What the plugin says at start about the Alerta around it."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.plugin.host import UnsupportedError, check_version, remarks

USUAL = {"DATABASE_URL": "postgresql:///alerta", "PLUGINS": ["opsgenie"], "ACK_TIMEOUT": 0, "SHELVE_TIMEOUT": 7200}


@pytest.mark.parametrize("version", ["8.7.0", "9.0.0", "9.0.4", "9.1.0", "10.0.0", "9.2.0rc1"])
def test_a_version_from_the_oldest_on_is_taken(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["8.6.5", "8.0.0", "7.5.7", "3.1", ""])
def test_an_older_one_is_refused_in_one_line_that_names_both(version: str) -> None:
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
def test_what_undoes_what_people_do_is_said_in_one_line(settings: dict[str, Any], words: list[str]) -> None:
    said = remarks({**USUAL, **settings}, "9.1.0")
    assert len(said) == bool(words)
    assert all(word in said[0] for word in words)


def test_a_version_that_was_never_tried_is_said() -> None:
    assert remarks(USUAL, "10.1.0") == ["alerta-server 10.1.0 is newer than 9.1.0, the newest that was tried"]
