"""The connector's process among all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerta_opsgenie.setup.processes import Process, is_connector, list_processes


def process(*arguments: str) -> Process:
    return Process(1, 0, 0, arguments)


@pytest.mark.parametrize(
    ("edge", "arguments", "is_it"),
    [
        ("oec", ("/usr/local/bin/OpsgenieEdgeConnector", "-oec-metrics", "7070"), True),
        ("oec", ("vi", "notes", "/x/OpsgenieEdgeConnector"), False),
        ("jec", ("/usr/local/bin/JiraEdgeConnector",), True),
        ("native", ("/opt/v/bin/python3", "/opt/v/bin/alerta-opsgenie", "run", "--config", "x"), True),
        ("native", ("/opt/v/bin/python3", "/opt/v/bin/alerta-opsgenie", "doctor"), False),
    ],
)
def test_a_connector_is_recognised_by_its_command_line(edge: str, arguments: tuple[str, ...], is_it: bool) -> None:
    assert is_connector(process(*arguments), edge) is is_it


def test_processes_that_end_while_proc_is_read_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "12").mkdir()
    (tmp_path / "13").mkdir()
    (tmp_path / "13/cmdline").write_bytes(b"/bin/sleep\x00600\x00")
    (tmp_path / "self").mkdir()
    found = list(list_processes(tmp_path))
    assert [(one.pid, one.arguments, one.environment) for one in found] == [(13, ("/bin/sleep", "600"), None)]
