"""Text lines and JSON lines, without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from alerta_opsgenie.connector import logs


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:], logger.level = handlers, level
    logging.getLogger("alerta_opsgenie").setLevel(logging.NOTSET)


def written(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_a_line_for_people_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "info")
    logging.getLogger("alerta_opsgenie.x").info("first\nsecond \udcff")
    line = written(capsys)
    assert line.count("\n") == 1
    assert "INFO first | second \\udcff" in line


def test_a_line_for_machines_is_json_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json", "info")
    logging.getLogger("alerta_opsgenie.x").warning("kept", extra={"fields": {"reason": "network"}})
    fields = json.loads(written(capsys))
    assert (fields["level"], fields["message"], fields["reason"]) == ("warning", "kept", "network")


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_secrets_are_hidden_even_in_a_traceback(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    logs.set_up(log_format, "info")
    logs.hide(["the-secret-key", "k"])
    try:
        int("the-secret-key")
    except ValueError:
        logging.getLogger("alerta_opsgenie.x").exception("with the-secret-key")
    text = written(capsys)
    assert "the-secret-key" not in text
    assert "***" in text
    assert "Traceback" in text
