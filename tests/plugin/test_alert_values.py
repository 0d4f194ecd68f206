"""Alerta's values as texts, as each supported version of Alerta gives them."""

from __future__ import annotations

from enum import Enum

from alerta_opsgenie.plugin.alert_values import text_of


class OldStatus(str, Enum):
    """As in alerta 8.7.0, 9.0.0 and 9.0.1 (alerta/models/enums.py): `str` gives `OldStatus.Ack`."""

    Ack = "ack"


def test_an_enumeration_gives_its_value() -> None:
    assert str(OldStatus.Ack) != "ack"
    assert text_of(OldStatus.Ack) == "ack"


def test_nothing_is_an_empty_text_and_a_number_is_a_text() -> None:
    assert [text_of(None), text_of(7), text_of("ack")] == ["", "7", "ack"]
