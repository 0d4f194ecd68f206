"""`alerta-opsgenie status`: an overview on one screen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.cli import status
from alerta_opsgenie.cli.target import find_state_directory
from alerta_opsgenie.doctor import installation
from alerta_opsgenie.doctor.running_checks import Ready
from alerta_opsgenie.setup.processes import Process
from tests.cli.state_directory import NOWHERE, PROGRAM, StateDirectory, call_on_terminal


def test_waiting_actions_and_dead_letters_are_shown_per_target(place: StateDirectory) -> None:
    place.keep("Acknowledge", age_seconds=7200)
    place.keep("Close", dead=True)
    output = place.run("status").output
    assert f"{NOWHERE}\n  0 in flight; 1 waiting, the oldest for 2 h; 1 dead\n" in output
    assert "attention  1 wait, and no process delivers them\n      try  alerta-opsgenie spool drain" in output
    assert "Opsgenie ends in" in output or "Opsgenie has ended" in output
    found = json.loads(place.run("status", "--json").output)
    assert (found["targets"][NOWHERE]["waiting"], found["is_well"]) == (1, False)


def test_without_an_installation_the_advice_is_install_and_unknown_parts_are_named(place: StateDirectory) -> None:
    result = place.run("status")
    assert (result.exit_code, "nothing has been kept yet" in result.output) == (1, True)
    assert "alerta-opsgenie install" in result.output
    assert f"there is no directory {place.directory}" in result.output
    found = json.loads(place.run("status", "--json").output)
    assert (found["config"], found["is_well"]) == (None, None)


def test_all_is_well_only_if_a_connector_is_found(place: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[Process] = []
    monkeypatch.setattr(installation, "list_processes", lambda _: running)  # other tests run connectors, too
    place.directory.mkdir(mode=0o700)
    config = place.directory.parent / "config.json"
    config.write_text(json.dumps({"apiKey": "k", "actionMappings": {}}))
    said = place.run("status", "--config", str(config))
    assert (said.exit_code, said.output.startswith("Whether all is well is not known")) == (1, True)
    assert "no process of OpsgenieEdgeConnector is seen" in said.output
    running.append(Process(os.getpid(), os.geteuid(), os.getegid(), ("OpsgenieEdgeConnector",), {}))
    said = place.run("status", "--config", str(config))
    assert (said.exit_code, said.output.startswith("All is well")) == (0, True)


def test_watch_runs_until_interrupted(place: StateDirectory) -> None:
    command = [*PROGRAM, "status", "--watch", "--json", "--spool-dir", str(place.directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert len(lines) == 2
    assert "Traceback" not in errors


def test_web_serves_the_page_with_a_token_until_interrupted(place: StateDirectory) -> None:
    place.keep("Close", dead=True)
    command = [*PROGRAM, "status", "--web", "--spool-dir", str(place.directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, _, token = process.stdout.readline().split()[-1].partition("#token=")
        (dead,) = place.actions()
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert dead.alert in answer.read().decode()
        fields = {"do": "retry", "target": "http-127.0.0.1-9-", "key": dead.key, "token": token}
        with urllib.request.urlopen(url + "decide", urllib.parse.urlencode(fields).encode(), timeout=10) as answer:
            assert "It waits again" in answer.read().decode()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert place.states() == [("Close", "waiting")]
    assert (process.returncode, "Traceback" in errors) == (0, False)


@pytest.mark.parametrize(
    ("own", "ready", "says"),
    [
        ({}, Ready(ready=True), (None, "OpsgenieEdgeConnector takes messages and does not report")),
        # JSM may change from SQS to a channel by itself.
        ({"alertaOpsgenie": {}}, Ready(ready=True, transport="channel"), (True, "messages are taken by the channel")),
        ({"alertaOpsgenie": {}}, Ready(ready=False, why="no key"), (False, "no key")),
    ],
)
def test_the_queue_line_names_the_connector_and_its_state_if_known(
    place: StateDirectory, monkeypatch: pytest.MonkeyPatch, own: dict[str, Any], ready: Ready, says: tuple[Any, str]
) -> None:
    config = place.directory.parent / "config.json"
    config.write_text(json.dumps({"apiKey": "k", "actionMappings": {}, **own}))
    monkeypatch.setattr(status, "ask_ready", lambda _: ready)
    part = status._queue(find_state_directory(str(config), None))
    assert (part.is_well, part.what.startswith(says[1])) == (says[0], True)


@pytest.mark.parametrize("no_color", ["", "1"])
def test_no_color_removes_the_colours(tmp_path: Path, no_color: str) -> None:
    """https://no-color.org"""
    command = ("doctor", "--config", str(tmp_path / "none.json"), "--only", "config")
    code, output = call_on_terminal(*command, NO_COLOR=no_color)
    assert code == 1
    assert ("\x1b[" in output) is not bool(no_color)
