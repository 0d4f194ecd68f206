"""The stand-in as a process: it says how to reach it, is driven through its control routes, and ends on SIGTERM."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from lab.cloud.queues import client

from tests.support.cloud import ALIAS, ApiClient


class Process:
    """A running `python -m lab.cloud`."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "lab.cloud", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said: Any = json.loads(self.process.stdout.readline())
        self.api = ApiClient(self.said["base_url"], self.said["keys"]["opsgenie"])

    def control(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(method, f"{self.said['base_url']}/_cloud/{path}", json=body, timeout=60)

    def person(self, action: str, **fields: Any) -> Any:
        return self.control("POST", "person", {"username": "alice@example.com", "action": action, **fields}).json()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.api.session.close()
        return code


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    running = Process()
    yield running
    assert running.stop() == 0


def test_a_person_acts_through_the_control_routes(process: Process) -> None:
    process.api.create(alias="a")
    assert process.person("acknowledge", alias="a") == {"success": True, "status": "Processed acknowledge"}
    assert process.person("add_tags", arguments=["a", "x", "y"])["success"] is True
    state = process.control("GET", "state").json()
    (alert,) = (one for one in state["alerts"] if one["alias"] == "a")
    assert (alert["acknowledged"], alert["tags"], state["violations"]) == (True, ["x", "y"], [])
    assert [one["action"] for one in process.control("GET", "sent").json()][-1] == "AddTags"


def test_messages_reach_the_queues_that_it_names(process: Process) -> None:
    process.api.create(alias="q")
    (url,) = process.said["queues"]["oec"]
    grant = requests.get(
        f"{process.said['base_url']}/v1/oec/credentials",
        headers={"Authorization": f"GenieKey {process.said['keys']['oec']}"},
        timeout=60,
    ).headers["Token"]
    given = json.loads(grant)["queueProperties"][0]["assumeRoleResult"]["credentials"]
    sqs = client(
        process.said["queue_endpoint"],
        aws_access_key_id=given["accessKeyId"],
        aws_secret_access_key=given["secretAccessKey"],
        aws_session_token=given["sessionToken"],
    )
    aliases = set()
    while "q" not in aliases:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
        aliases |= {json.loads(message["Body"])["alert"]["alias"] for message in messages}


def test_faults_are_switched_on_and_off(process: Process) -> None:
    assert process.control("POST", "faults", {"kind": "status", "status": 503}).status_code == 200
    assert process.api.create(alias="f").status_code == 503
    assert process.control("DELETE", "faults").status_code == 200
    assert process.api.create(alias="f").status_code == 202
    assert process.control("POST", "faults", {"kind": "nonsense"}).status_code == 400


def test_time_and_switches_can_be_set(process: Process) -> None:
    switches = process.control("POST", "switches", {"note_of_action": "separate"}).json()
    assert switches["note_of_action"] == "separate"
    assert process.control("POST", "switches", {"nonsense": 1}).status_code == 400
    process.api.create(alias="t")
    process.person("snooze_for", alias="t", seconds=60)
    process.control("POST", "advance", {"seconds": 61})
    assert process.api.get("t")["snoozed"] is False


def test_an_integration_can_be_added(process: Process) -> None:
    made = process.control("POST", "integrations", {"kind": "api", "name": "more"}).json()
    more = ApiClient(process.said["base_url"], made["key"])
    assert more.create(alias="i").status_code == 202
    more.session.close()


def test_an_unknown_action_of_a_person_is_refused(process: Process) -> None:
    assert "no action" in process.person("_act", alias=ALIAS)["error"]
    assert "no action" in process.person("cloud", alias=ALIAS)["error"]


def test_callbacks_are_listed(process: Process) -> None:
    process.api.create(alias="c")
    (message,) = (
        one
        for one in process.control("GET", "sent").json()
        if one["integrationType"] == "OEC" and one["alert"]["alias"] == "c"
    )
    result = {"requestId": message["requestId"], "action": "Create", "actionType": "custom", "isSuccessful": True}
    headers = {"Authorization": f"GenieKey {process.said['keys']['oec']}"}
    url = f"{process.said['base_url']}/v1/oec/callback"
    assert requests.post(url, json=result, headers=headers, timeout=60).status_code == 202
    assert result in process.control("GET", "callbacks").json()
