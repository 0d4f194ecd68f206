"""Secrets appear in no output, no file and no argument list, at any log level and with any failure."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.vendor.config import JEC
from tests.support.console import NewAlert
from tests.support.executor import Edge, await_true, command_lines
from tests.support.proxy import Proxy
from tests.support.scenarios import JSON, action
from tests.support.tiers import LONG, grows

ALERTA_KEY = "PLANTED-alerta-key-7f3a"
HEADER = "PLANTED-header-9b1c"
DETAIL = "PLANTED-detail-2e4d"
PARAMETER = "PLANTED-parameter-8c5f"
EDGE_KEY = "PLANTED-edge-key-1d2e"
PLANTED = (ALERTA_KEY, HEADER, DETAIL, PARAMETER, EDGE_KEY)

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR") if LONG else ("TRACE", "WARN")

pytestmark = [pytest.mark.faults, grows]


def planted(name: str, alert_id: str, **fields: Any) -> JSON:
    """Return a message with secrets wherever a real one may have them."""
    message = action(name, alert_id, details={"password": DETAIL}, **fields)
    message["headers"] = {"Authorization": HEADER}
    message["params"] = {"token": PARAMETER, "alert": {"details": {"password": DETAIL}}}
    message["mappedActionDto"] = {"mappedAction": "x", "extraField": PARAMETER}
    return message


def refused(_edge: Edge, proxy: Proxy) -> Any:
    body = json.dumps({"status": "error", "message": f"the key {ALERTA_KEY} may not"}).encode()
    return proxy.answering(400, body=body)


SITUATIONS: dict[str, Callable[[Edge, Proxy], Any]] = {
    "an unknown key, which Alerta repeats in its answer": lambda _edge, proxy: proxy.delaying(0),
    "a refusal that repeats the key": refused,
    "no answer": lambda _edge, proxy: proxy.hanging(),
    "a reset": lambda _edge, proxy: proxy.dropping_answers(),
    "503": lambda _edge, proxy: proxy.answering(503),
    "a page": lambda _edge, proxy: proxy.answering(200, {"Content-Type": "text/html"}, ALERTA_KEY.encode()),
    "a redirect": lambda _edge, proxy: proxy.answering(302, {"Location": f"http://x/?k={ALERTA_KEY}"}, b""),
}


@pytest.fixture
def edge(tmp_path: Path, proxy: Proxy) -> Iterator[Edge]:
    with Edge(tmp_path, proxy.url, ALERTA_KEY, dialect=JEC) as made:
        yield made


def assert_hidden(*texts: str) -> None:
    for text in texts:
        for secret in PLANTED:
            assert secret not in text


def assert_hidden_in_files(edge: Edge) -> None:
    files = list(edge.files())
    assert files
    for path in (*files, *(edge.directory / "log").glob("*")):
        content = path.read_bytes()
        for secret in PLANTED:
            assert secret.encode() not in content, path


@pytest.mark.parametrize("situation", SITUATIONS)
def test_they_are_hidden_at_every_level(
    edge: Edge, proxy: Proxy, new_alert: NewAlert, situation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.edge_messages.API_KEY", EDGE_KEY)
    with SITUATIONS[situation](edge, proxy):
        for level in LEVELS:
            edge.arguments = ("--timeLimit", "0.6", "--logLevel", level)
            result = edge.run(planted("AddNote", new_alert(), note="seen"))
            assert EDGE_KEY in result.argv
            assert_hidden(result.stdout, result.stderr, json.dumps(result.callback))
            assert result.stderr.count("\n") <= 1
        await_true((edge.spool_directory / "agent.log").exists)
    edge.kill_agents()
    assert_hidden_in_files(edge)


def test_the_agent_has_them_in_no_argument_and_not_in_its_environment(
    edge: Edge, proxy: Proxy, new_alert: NewAlert
) -> None:
    edge.arguments = ("--timeLimit", "0.5")
    with proxy.hanging():
        edge.run(planted("AddNote", new_alert(), note="seen"), ALERTA_API_KEY=ALERTA_KEY)
        [pid] = edge.agents()
        [line] = [line for number, line in command_lines() if number == pid]
        assert line[1:] == ["-IS", str(edge.script), "--agent", str(edge.spool_directory), "600"]
        assert_hidden(" ".join(line), Path(f"/proc/{pid}/environ").read_text())


def test_the_agent_has_no_descriptor_of_the_connectors(edge: Edge, new_alert: NewAlert) -> None:
    with (edge.directory / "of the connector").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        payload = json.dumps(action("Close", new_alert()))
        edge.call(["--alertaApiUrl", edge.url, "--alertaApiKey", "k", "-payload", payload], pass_fds=[file.fileno()])
    [pid] = edge.agents()
    found = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    assert found[:3] == ["/dev/null"] * 3 or found.count("/dev/null") == 3
    assert not [path for path in found if "of the connector" in path or path.startswith("pipe:")]
    assert os.getsid(pid) == pid


@pytest.mark.parametrize("way", ["argument", "file", "environment"])
def test_the_key_is_hidden_from_each_source(
    edge: Edge, tmp_path: Path, new_alert: NewAlert, way: str
) -> None:
    (tmp_path / "key").write_text(ALERTA_KEY + "\n")
    arguments = {
        "argument": ["--alertaApiKey", ALERTA_KEY],
        "file": ["--alertaApiKeyFile", str(tmp_path / "key")],
        "environment": [],
    }[way]
    environment = {"ALERTA_API_KEY": ALERTA_KEY} if way == "environment" else {}
    payload = json.dumps(planted("Acknowledge", new_alert()))
    rest = ["--alertaApiUrl", edge.url, "--logLevel", "DEBUG", "-payload", payload]
    code, output, errors = edge.call([*arguments, *rest], environment=environment)
    assert code == 1
    assert "Alerta answered HTTP 401" in errors
    assert_hidden(output, errors)
    await_true((edge.spool_directory / "agent.log").exists)
    assert_hidden_in_files(edge)


@pytest.mark.parametrize(
    "payload",
    [
        f'{{"action": "Acknowledge", "secret": "{DETAIL}"',
        f'"{DETAIL}"',
        f'{{"action": {{"{DETAIL}": 1}}}}',
        f'{{"action": "Acknowledge", "alert": "{DETAIL}"}}',
        f'{{"action": "Acknowledge", "alert": {{"alias": "{DETAIL}", "source": "Alerta"}}}}',
        f'{{"action": "Acknowledge", "alert": {{"alias": ["{DETAIL}"], "source": "Alerta"}}}}',
    ],
)
def test_a_message_that_cannot_be_used_is_not_repeated(edge: Edge, payload: str) -> None:
    code, output, errors = edge.call(
        ["--alertaApiUrl", edge.url, "--alertaApiKey", ALERTA_KEY, "--logLevel", "DEBUG", "-payload", payload]
    )
    assert code == 1
    assert errors.startswith("alerta: ")
    if "alias" not in payload or "[" in payload:  # the line names the alias, which is no secret
        assert_hidden(output, errors)


def test_a_delivered_action_leaves_nothing_of_its_message(
    tmp_path: Path, alerta: AlertaServer, alerta_key: str, new_alert: NewAlert
) -> None:
    with Edge(tmp_path, alerta.url, alerta_key) as edge:
        assert edge.run(planted("AddNote", new_alert(), note="for the team alone")).exit_code == 0
        [pid] = edge.agents()
        os.kill(pid, signal.SIGTERM)
        await_true(lambda: not edge.agents(), 30)
        for path in edge.files():
            content = path.read_bytes()
            assert b"for the team alone" not in content
            assert alerta_key.encode() not in content
