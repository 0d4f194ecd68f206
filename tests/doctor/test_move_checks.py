"""`doctor --move`: each step of the move, with a test's connectors, a real Alerta and the stand-in for JSM."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from lab.alerta_server import AlertaServer
from lab.cloud import Queue

from alerta_opsgenie.agent.state import journal_of, prepare, target_name
from alerta_opsgenie.cli.doctor import doctor
from alerta_opsgenie.doctor.finding import Finding
from alerta_opsgenie.journal import New
from tests.support.cloud import Running, running_cloud
from tests.support.console import Console
from tests.support.edge_messages import edge_document
from tests.support.plugin import wait_until

PERSON = "alice@example.com"
Findings = dict[str, list[Finding]]
Look = Callable[..., tuple[int, Findings]]


@pytest.fixture
def cloud() -> Iterator[Running]:
    with running_cloud(expect_violations=True) as run:
        yield run


class MoveHost:
    """A host with Opsgenie's connector and JSM's, and the key for JSM's alerts."""

    def __init__(self, directory: Path, cloud: Running, alerta: AlertaServer, alerta_key: str) -> None:
        self.old, self.new, self.key = (directory / name for name in ("oec.json", "jec.json", "jsm.key"))
        self.state = directory / "state"
        self._url, self._base = alerta.api_url, cloud.server.base_url
        shared = {"globalEnv": [f"ALERTA_API_KEY={alerta_key}"]}
        queue = (Queue("http://127.0.0.1:1/queue"),)
        for path, key in ((self.old, "old-key"), (self.new, cloud.cloud.add_jec(queues=queue).key)):
            arguments = ["--alertaApiUrl", self._url, "--spoolDir", str(self.state / path.stem)]
            base = cloud.server.base_url if path == self.new else "https://api.opsgenie.com"
            value = edge_document(**shared, apiKey=key, baseUrl=base, globalArgs=arguments)
            if path == self.new:
                value["actionMappings"]["postActionToJEC"] = value["actionMappings"]["Close"]
            self.write(path, json.dumps(value))
        self.write(self.key, cloud.jsm_key.key)
        self._jsm_url = cloud.server.jsm_url

    @staticmethod
    def write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)

    def keep(self, *, done: bool) -> None:
        """Record an action that Opsgenie's connector received a minute ago."""
        directory, name, at = str(self.state / "oec"), target_name(self._url), time.time() - 60.0
        prepare(directory)
        with journal_of(directory, name) as journal:
            journal.append([New(f"k{done}", "a", 1, "Close", "{}")], at)
            (action,) = journal.claim(at, 1, 1.0)
            if done:
                journal.done(action, at, "applied")
            else:
                journal.dead(action, at, "refused", "no")

    def look(self, *arguments: str) -> tuple[int, Findings]:
        """Run the command; return its exit code, and the findings by check."""
        places = ["--config", str(self.new), "--old-config", str(self.old), "--dialect", "jec", "--edge", "jec"]
        keys = ["--jsm-key-file", str(self.key), "--jsm-url", self._jsm_url]
        result = CliRunner().invoke(doctor, ["--move", "--json", *places, *keys, *arguments])
        assert result.exit_code in (0, 1), result.output
        found: Findings = {}
        for one in json.loads(result.stdout)["findings"]:
            found.setdefault(one.pop("check"), []).append(Finding(**one))
        return result.exit_code, found


@pytest.fixture
def place(tmp_path: Path, cloud: Running, alerta: AlertaServer, alerta_key: str) -> MoveHost:
    return MoveHost(tmp_path, cloud, alerta, alerta_key)


def test_jsms_connector_is_checked_by_the_checks_of_doctor(place: MoveHost) -> None:
    _code, found = place.look("--only", "jsm-connector", "--time-limit", "2")
    texts = {finding.what: finding.level for finding in found["jsm-connector"]}
    assert texts["vendor: Jira Service Management accepts the key"] == "ok"
    assert any(what.startswith("script: ") and level == "fail" for what, level in texts.items()), "it is not there"


def test_a_refused_key_fails_with_the_meaning_of_the_response(place: MoveHost, cloud: Running) -> None:
    with cloud.cloud.faults.status(410, r"/jec/v\d/"):
        code, found = place.look("--only", "jsm-connector")
    refused = next(one for one in found["jsm-connector"] if one.what.startswith("vendor: "))
    assert (code, refused.level) == (1, "fail")
    assert "410" in refused.what
    assert "switched off" in refused.advice


def test_without_a_configuration_for_jsm_the_advice_is_the_install_command(place: MoveHost) -> None:
    place.new.unlink()
    code, found = place.look("--only", "jsm-configuration")
    (finding,) = found["jsm-configuration"]
    assert (code, finding.advice) == (
        1, f"alerta-opsgenie install --edge jec --from {place.old} --api-key-file integration.key",
    )  # fmt: skip


def test_only_open_alerts_that_jsm_lacks_are_reported(
    place: MoveHost, cloud: Running, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerta_opsgenie.doctor.move_checks._MOST_NAMED", 10_000)  # other tests leave alerts too
    lacking, there, ended, normal = (console.create_alert()["id"] for _ in range(4))
    cloud.jsm.create(alias=there)
    cloud.jsm.create(alias=ended)
    cloud.jsm.act("close", ended)
    console.action(normal, "close")
    assert wait_until(lambda: cloud.cloud.alert(there) and getattr(cloud.cloud.alert(ended), "closed", False))
    code, found = place.look("--only", "jsm-alerts")
    (finding,) = found["jsm-alerts"]
    assert (code, finding.level) == (1, "fail")
    assert lacking in finding.what
    assert ended in finding.what, "closed there, open here"
    assert there not in finding.what
    assert normal not in finding.what


def test_if_jsm_has_all_open_alerts_the_check_is_ok(place: MoveHost, cloud: Running, console: Console) -> None:
    ids = [alert["id"] for alert in console.call("GET", "/alerts?status!=closed&page-size=1000")["alerts"]]
    for alert_id in ids:
        cloud.jsm.create(alias=alert_id)
    assert wait_until(lambda: all(map(cloud.cloud.alert, ids)))
    code, found = place.look("--only", "jsm-alerts")
    assert (code, found["jsm-alerts"][0].level) == (0, "ok"), found


def test_with_a_refused_key_no_alert_is_reported_as_missing(place: MoveHost, console: Console) -> None:
    console.create_alert()
    place.write(place.key, "00000000-0000-4000-8000-000000000000")
    code, found = place.look("--only", "jsm-alerts")
    assert code == 1
    assert "it is not known whether they are in JSM" in found["jsm-alerts"][0].what


def test_the_last_action_from_opsgenie_and_waiting_actions_are_reported(place: MoveHost) -> None:
    place.keep(done=True)
    _code, found = place.look("--only", "from-opsgenie")
    assert found["from-opsgenie"][0].what.startswith("the last action from Opsgenie came 1 min ago")
    place.keep(done=False)
    code, found = place.look("--only", "from-opsgenie")
    first = found["from-opsgenie"][0]
    assert (code, first.level) == (1, "fail")
    assert first.what == "1 actions from Opsgenie wait, or were refused permanently"


def test_what_is_not_documented_is_reported_as_not_known_and_fails_nothing(place: MoveHost) -> None:
    code, found = place.look("--only", "not-known", "--only", "way-back", "--only", "days-left")
    assert code == 0
    assert {one.level for one in found["not-known"]} == {"skip"}
    assert "what Opsgenie answers to its keys" in found["not-known"][0].what
    assert "uninstall --edge jec" in found["way-back"][0].what


def test_no_key_is_shown(place: MoveHost, cloud: Running, alerta_key: str) -> None:
    _code, found = place.look()
    text = str(found)
    assert not [key for key in (alerta_key, cloud.jsm_key.key, "old-key") if key in text]
