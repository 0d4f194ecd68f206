"""The connector's process among all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerta_opsgenie.doctor.processes import (
    Process,
    connector_log,
    is_connector,
    list_processes,
    read_tail,
    read_version,
)


def process(*arguments: str) -> Process:
    return Process(1, 0, 0, arguments)


@pytest.mark.parametrize(
    ("edge", "arguments", "is_it"),
    [
        ("oec", ("/usr/local/bin/OpsgenieEdgeConnector", "-oec-metrics", "7070"), True),
        ("oec", ("./OpsgenieEdgeConnector",), True),
        ("oec", ("/usr/local/bin/JiraEdgeConnector",), False),
        ("oec", ("vi", "notes", "/x/OpsgenieEdgeConnector"), False),
        ("jec", ("/usr/local/bin/JiraEdgeConnector",), True),
        ("native", ("/opt/v/bin/python3", "/opt/v/bin/alerta-opsgenie", "run", "--config", "x"), True),
        ("native", ("/usr/bin/alerta-opsgenie", "run"), True),
        ("native", ("/opt/v/bin/python3", "/opt/v/bin/alerta-opsgenie", "doctor"), False),
        ("native", ("/usr/bin/alerta-opsgenie", "spool", "list"), False),
        ("oec", (), False),
    ],
)
def test_the_connector_is_told_from_other_commands(edge: str, arguments: tuple[str, ...], is_it: bool) -> None:
    assert is_connector(process(*arguments), edge) is is_it


def test_a_proc_of_vanishing_processes_is_read_without_them(tmp_path: Path) -> None:
    (tmp_path / "12").mkdir()
    (tmp_path / "13").mkdir()
    (tmp_path / "13/cmdline").write_bytes(b"/bin/sleep\x00600\x00")
    (tmp_path / "self").mkdir()
    found = list(list_processes(tmp_path))
    assert [(one.pid, one.arguments, one.environment) for one in found] == [(13, ("/bin/sleep", "600"), None)]


def test_the_log_of_its_process_goes_before_a_newer_one(tmp_path: Path) -> None:
    for name in ("oec7.log", "oec8.log", "oecAlertaExecutor.log"):
        (tmp_path / name).write_text("OEC version is 1.2.3\n")
    assert connector_log(str(tmp_path), "oec", 7) == str(tmp_path / "oec7.log")
    assert connector_log(str(tmp_path), "oec", 99) in {str(tmp_path / "oec7.log"), str(tmp_path / "oec8.log")}
    assert connector_log(str(tmp_path / "none"), "oec", 7) is None
    assert read_version(str(tmp_path / "oec7.log")) == "1.2.3"


def test_the_end_of_a_large_log_is_read_in_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert read_tail(str(log), most_bytes=100)[-1] == "line 999"
    assert all(line.startswith("line ") for line in read_tail(str(log), most_bytes=100))
    assert read_tail(str(tmp_path / "none")) == []
