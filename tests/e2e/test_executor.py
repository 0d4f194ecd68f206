"""The built one-file executor, started as OEC and JEC start it, changes a real Alerta."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS, JEC, OEC, EdgeConfig
from alerta_opsgenie.vendor.runner import prepare_scripts, run_message
from alerta_opsgenie.vendor.structure import read_config
from tests.support.console import Console, NewAlert
from tests.support.executor import NAMES, PYTHON_MINORS, Edge, find_python
from tests.support.proxy import Proxy
from tests.support.scenarios import action

BY = "zoë@example.com"

# As the documentation has it, with its key that the connectors do not know (visibilityTimeoutInSec).
DOCUMENTED = """
{ "apiKey": "…", "baseUrl": "https://api.opsgenie.com", "logLevel": "WARN",
  "globalArgs": ["--alertaApiUrl", "https://alerta.example.com/api/alert", "--alertaApiKey", "…"], "globalFlags": {},
  "actionMappings": { "Acknowledge": { "filepath": "/home/opsgenie/oec/scripts/oecAlertaExecutor.py",
      "sourceType": "local", "env": [],
      "stderr": "/var/log/opsgenie/oecAlertaExecutor-errors.log", "stdout": "/var/log/opsgenie/oecAlertaExecutor.log" }
  },
  "pollerConf": { "pollingWaitIntervalInMillis": 100, "visibilityTimeoutInSec": 30, "maxNumberOfMessages": 10 },
  "poolConf": { "maxNumberOfWorker": 12, "minNumberOfWorker": 4, "monitoringPeriodInMillis": 15000,
    "keepAliveTimeInMillis": 6000, "queueSize": 0 } }
"""



@pytest.fixture
def edge(tmp_path: Path, alerta: AlertaServer, alerta_key: str) -> Iterator[Edge]:
    with Edge(tmp_path, alerta.url, alerta_key) as made:
        yield made


def documented_config(edge: Edge, url: str, dialect: str) -> EdgeConfig:
    """Change keys, URLs and paths of the documented configuration and nothing else."""
    document = json.loads(DOCUMENTED)
    document["apiKey"] = "an-edge-key"
    document["baseUrl"] = {OEC: "https://api.opsgenie.com", JEC: "https://api.atlassian.com"}[dialect]
    document["globalArgs"] = ["--alertaApiUrl", url, "--alertaApiKey", edge.key]
    mapping = document["actionMappings"]["Acknowledge"]
    mapping["filepath"] = str(edge.script)
    mapping["stdout"], mapping["stderr"] = (str(edge.directory / name) for name in ("out.log", "err.log"))
    document["actionMappings"] = dict.fromkeys(DOCUMENTED_ACTIONS, mapping)
    path = edge.directory / "config.json"
    path.write_text(json.dumps(document))
    return read_config(path, environment=edge.environment)


class TestDocumentedConfiguration:
    @pytest.mark.parametrize(("dialect", "name"), [(OEC, NAMES[0]), (JEC, NAMES[1])])
    def test_all_seven_actions_arrive_under_both_names_and_from_both_connectors(
        self, tmp_path: Path, alerta: AlertaServer, console: Console, alerta_key: str, dialect: str, name: str
    ) -> None:
        with Edge(tmp_path, alerta.url, alerta_key, name=name) as edge:
            config = documented_config(edge, f"{alerta.api_url}/alert", dialect)
            assert config.dialect == dialect
            assert prepare_scripts(config) == []
            alert_id = console.create_alert()["id"]

            def act(what: str, **fields: Any) -> dict[str, Any]:
                message = action(what, alert_id, by=BY, **fields)
                message["integrationType"] = dialect.upper()
                result = run_message(config, message, host=edge.host)
                assert (result.exit_code, result.stderr) == (0, "")
                assert result.succeeded
                assert f"applied {what} {alert_id} by {BY}: done" in result.stdout
                assert result.stdout.count("\n") == 1
                told = json.loads(result.callback["callbackContext"]) if dialect == JEC and result.callback else {}
                assert told.get("outcome", "applied") == "applied"
                return console.get(alert_id)

            assert act("Acknowledge")["status"] == "ack"
            assert act("AddNote", note="sieht übel aus 🔥")["status"] == "ack"
            assert act("UnAcknowledge")["status"] == "open"
            assert act("AssignOwnership", owner="bob@example.com")["attributes"]["owner"] == "bob@example.com"
            assert act("TakeOwnership")["attributes"]["owner"] == BY
            shelved = act("Snooze", snoozedUntil=int((time.time() + 1800) * 1000))
            assert shelved["status"] == "shelved"
            assert act("Close")["status"] == "closed"
            texts = [note["text"] for note in console.notes(alert_id)]
            assert texts.count(f"{BY}: sieht übel aus 🔥") == 1
            timeouts = [entry["timeout"] for entry in shelved["history"] if entry["type"] == "shelve"]
            assert len(timeouts) == 1
            assert 1700 < timeouts[0] <= 1800
            assert (edge.directory / "out.log").read_text().count("\n") == len(DOCUMENTED_ACTIONS)
            assert edge.entries() == []


def test_the_usual_action_costs_one_call_and_two_where_acked_by_is_ours_to_set(
    edge: Edge, proxy: Proxy, new_alert: NewAlert
) -> None:
    edge.url = proxy.url
    for name, calls in (("Close", 1), ("AddNote", 1), ("Acknowledge", 2), ("AddTags", 1)):
        before = len(proxy.exchanges)
        assert edge.run(action(name, new_alert(), note="n", addedTags="a")).exit_code == 0
        assert len(proxy.exchanges) - before == calls, proxy.exchanges[before:]


@pytest.mark.parametrize("minor", PYTHON_MINORS)
def test_each_python_runs_the_file(
    tmp_path: Path, alerta: AlertaServer, alerta_key: str, console: Console, new_alert: NewAlert, minor: int
) -> None:
    python = find_python(minor) or pytest.skip(f"this machine has no working python3.{minor} on its PATH")
    with Edge(tmp_path, alerta.url, alerta_key, python=python) as edge:
        alert_id = new_alert()
        for what in ("Acknowledge", "AddNote", "Close"):
            result = edge.run(action(what, alert_id, by=BY, note="größer"))
            assert (result.exit_code, result.stderr) == (0, ""), result.stdout
        assert console.status(alert_id) == "closed"


class TestSurroundings:
    """Nothing around the file changes what it does."""

    def acknowledged(self, edge: Edge, console: Console, alert_id: str, **environment: str) -> str:
        result = edge.run(action("Acknowledge", alert_id, by=BY), **environment)
        assert (result.exit_code, result.stderr) == (0, "")
        assert console.status(alert_id) == "ack"
        return result.stdout

    @pytest.mark.parametrize("name", NAMES)
    def test_files_that_lie_beside_it(
        self, tmp_path: Path, alerta: AlertaServer, alerta_key: str, console: Console, new_alert: NewAlert, name: str
    ) -> None:
        with Edge(tmp_path, alerta.url, alerta_key, name=name) as edge:
            shadowed = "http json alerta_opsgenie typing os fcntl sitecustomize usercustomize ssl"
            for module in shadowed.split():
                (edge.script.parent / f"{module}.py").write_text("raise SystemExit('the wrong module')\n")
            alert_id = new_alert()
            self.acknowledged(edge, console, alert_id)
            edge.url = "http://127.0.0.1:9"
            edge.arguments = ("--timeLimit", "0.5")
            assert edge.run(action("AddNote", alert_id, note="kept")).exit_code == 0
            assert len(edge.entries()) == 1

    def test_the_directory_that_it_is_started_in(
        self, edge: Edge, console: Console, new_alert: NewAlert, tmp_path: Path
    ) -> None:
        nowhere = tmp_path / "gone"
        nowhere.mkdir()
        (nowhere / "json.py").write_text("raise SystemExit('the wrong module')\n")
        alert_id = new_alert()
        payload = json.dumps(action("Acknowledge", alert_id))
        arguments = ["--alertaApiUrl", edge.url, "--alertaApiKey", edge.key, "-payload", payload]

        def vanish() -> None:
            os.chdir(nowhere)
            (nowhere / "json.py").unlink()
            nowhere.rmdir()

        code, _, errors = edge.call(arguments, preexec_fn=vanish)
        assert (code, errors) == (0, "")
        assert console.status(alert_id) == "ack"

    def test_a_locale_without_letters_beyond_ascii(self, edge: Edge, console: Console, new_alert: NewAlert) -> None:
        for environment in (
            {"LANG": "C"},
            {"LC_ALL": "POSIX"},
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            {"PYTHONIOENCODING": "ascii:strict"},
        ):
            alert_id = new_alert()
            assert BY in self.acknowledged(edge, console, alert_id, **environment)
            assert console.history(alert_id)[-1]["text"] == f"Acknowledged by {BY} in Opsgenie", environment

    def test_no_home(self, edge: Edge, console: Console, new_alert: NewAlert, tmp_path: Path) -> None:
        del edge.environment["HOME"]
        edge.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
        self.acknowledged(edge, console, new_alert())
        assert (tmp_path / "state" / "alerta-opsgenie" / "targets").is_dir()

    def test_hardly_a_path(self, edge: Edge, console: Console, new_alert: NewAlert) -> None:
        edge.environment["PATH"] = str(edge.directory / "bin")
        self.acknowledged(edge, console, new_alert())

    def test_an_open_umask_leaves_its_files_private(self, edge: Edge, console: Console, new_alert: NewAlert) -> None:
        before = os.umask(0)
        try:
            self.acknowledged(edge, console, new_alert())
            edge.arguments = ("--timeLimit", "0.5")
            edge.url = "http://127.0.0.1:9"
            edge.run(action("AddNote", new_alert(), note="kept"))
        finally:
            os.umask(before)
        for path in edge.home.rglob("*"):
            assert path.stat().st_mode & 0o077 == 0, path

    @pytest.mark.parametrize("closed", [(0,), (1, 2), (0, 1, 2)])
    def test_closed_standard_streams(
        self, edge: Edge, console: Console, new_alert: NewAlert, closed: tuple[int, ...]
    ) -> None:
        alert_id = new_alert()
        arguments = ["--alertaApiUrl", edge.url, "--alertaApiKey", edge.key, "-payload"]

        def close() -> None:
            for number in closed:
                os.close(number)

        code, _, _ = edge.call([*arguments, json.dumps(action("Acknowledge", alert_id))], preexec_fn=close)
        assert code == 0
        assert console.status(alert_id) == "ack"
        names = {path.name.partition("-")[0] for path in edge.files()}
        assert names <= {"agent.lock", "agent.log", "journal.db", "journal.db.lock"}
        # And a failure, which has a line for each stream.
        code, _, _ = edge.call([*arguments, json.dumps(action("AddNote", alert_id))], preexec_fn=close)
        assert code == 1

    @pytest.mark.parametrize("sink", ["/dev/full", "a pipe without a reader"])
    def test_an_output_that_takes_nothing(self, edge: Edge, console: Console, new_alert: NewAlert, sink: str) -> None:
        alert_id = new_alert()
        arguments = ["--alertaApiUrl", edge.url, "--alertaApiKey", edge.key, "--logLevel", "DEBUG", "-payload"]
        if sink == "/dev/full":
            output = os.open(sink, os.O_WRONLY)
        else:
            reader, output = os.pipe()
            os.close(reader)
        for name, expected in (("Acknowledge", 0), ("AddNote", 1)):
            payload = json.dumps(action(name, alert_id))
            code, _, _ = edge.call([*arguments, payload], stdout=output, stderr=output)
            assert code == expected
        os.close(output)
        assert console.status(alert_id) == "ack"

    def test_a_proxy_in_the_environment_is_used_and_no_proxy_keeps_from_it(
        self, edge: Edge, console: Console, new_alert: NewAlert
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        edge.arguments = ("--timeLimit", "0.5")
        proxied = edge.run(action("Close", new_alert()), http_proxy=f"http://127.0.0.1:{port}")
        assert "kept" in proxied.stdout
        alert_id = new_alert()
        self.acknowledged(edge, console, alert_id, http_proxy=f"http://127.0.0.1:{port}", no_proxy="127.0.0.1")

    def test_stray_arguments_and_a_debug_level_change_only_the_lines(
        self, edge: Edge, console: Console, new_alert: NewAlert
    ) -> None:
        edge.arguments = ("--newOption", "7", "--logLevel", "debug")
        alert_id = new_alert()
        output = self.acknowledged(edge, console, alert_id)
        assert "DEBUG passed over an argument --newOption" in output
        assert edge.key not in output


def test_what_it_prints_is_read_by_a_shell(edge: Edge, new_alert: NewAlert) -> None:
    """The executor is fit for use by hand: a message on standard input, the key in the environment."""
    message = json.dumps(action("Acknowledge", new_alert()))
    line = f'"{edge.script}" --alertaApiUrl {edge.url} --payloadFile - | grep -c applied'
    environment = {**edge.environment, "ALERTA_API_KEY": edge.key}
    done = subprocess.run(
        ["sh", "-c", line], env=environment, input=message, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
