"""The connectors' logs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from alerta_opsgenie.doctor.logs import connector_log, last_error, read_tail, read_version


def test_the_log_of_its_process_goes_before_a_newer_one(tmp_path: Path) -> None:
    for name in ("oec7.log", "oec8.log", "oecAlertaExecutor.log"):
        (tmp_path / name).write_text("OEC version is 1.2.3\n")

    def found(directory: Path, pid: int) -> str | None:
        inst: Any = SimpleNamespace(edge="oec", log_directory=str(directory), process=SimpleNamespace(pid=pid))
        return connector_log(inst)

    assert found(tmp_path, 7) == str(tmp_path / "oec7.log")
    assert found(tmp_path, 99) in {str(tmp_path / "oec7.log"), str(tmp_path / "oec8.log")}
    assert found(tmp_path / "none", 7) is None
    assert read_version(str(tmp_path / "oec7.log")) == "1.2.3"


def test_the_end_of_a_large_log_is_read_in_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert read_tail(str(log), most_bytes=100)[-1] == "line 999"
    assert all(line.startswith("line ") for line in read_tail(str(log), most_bytes=100))
    assert read_tail(str(tmp_path / "none")) == []


@pytest.mark.parametrize(
    "line",
    [
        "\x1b[31mERRO\x1b[0m[2026-01-05T10:00:00.123456789Z] no such host                         ",
        "ERRO[2026-01-05T10:00:00Z] no such host",
        'time="2026-01-05T11:00:00+01:00" level=error msg="no such host"',
    ],
)
def test_the_last_error_is_found_however_it_is_written(line: str) -> None:
    lines = ["ERRO[2026-01-04T10:00:00Z] older", line, "INFO[2026-01-05T10:00:01Z] newer", "no log line"]
    at, text = last_error(lines)
    assert (int(at), text) == (1767607200, "no such host")


def test_a_log_without_errors_has_none() -> None:
    assert last_error(["INFO[2026-01-05T10:00:01Z] well", "ERRO[not a time] x", ""]) == (0.0, "")
