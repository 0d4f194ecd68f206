"""What edge connectors ask of the stand-in: queue credentials, and callbacks (contracts 1.5 and 2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from lab.cloud import Integration, Queue

from tests.support.cloud import ALIAS, Running, running_cloud

QUEUE = Queue("http://127.0.0.1:1/000000000000/oec", "eu-west-1")
PATHS = {
    "oec": ("/v1/oec/credentials", "/v1/oec/callback"),
    "jec": ("/jsm/ops/jec/v1/credentials", "/jsm/ops/jec/v1/callback"),
}
KINDS = pytest.mark.parametrize("kind", ["oec", "jec"])


@pytest.fixture
def run() -> Iterator[Running]:
    with running_cloud(expect_violations=True) as running:
        yield running


def add(run: Running, kind: str) -> Integration:
    # No server is behind the queue here, so messages are made while the deliveries are detached.
    run.cloud.attach(None, lambda: None)
    adder = run.cloud.add_oec if kind == "oec" else run.cloud.add_jec
    return adder(queues=(QUEUE,))


def get_credentials(run: Running, integration: Integration, **query: str) -> requests.Response:
    headers = {"Authorization": f"GenieKey {integration.key}", f"X-{integration.type_name}-Client-Info": "test 1.0"}
    url = run.server.base_url + PATHS[integration.kind][0]
    return requests.get(url, headers=headers, params=query, timeout=60)


def read_token(response: requests.Response) -> Any:
    return json.loads(response.headers["Token"])


def post_callback(run: Running, integration: Integration, body: Any, **headers: str) -> requests.Response:
    given = {"Authorization": f"GenieKey {integration.key}", **headers}
    return requests.post(run.server.base_url + PATHS[integration.kind][1], json=body, headers=given, timeout=60)


def result_for(run: Running, integration: Integration, **fields: Any) -> dict[str, Any]:
    run.cloud.person("alice@example.com").create("m", ALIAS, source="Alerta")
    message = run.cloud.sent(integration)[-1]
    result = {"requestId": message["requestId"], "action": message["action"], "actionType": "custom"}
    return {**result, "entityId": message["entity"]["id"], "entityType": "alert", "isSuccessful": True, **fields}


@KINDS
def test_the_token_header_has_what_the_go_connectors_read(run: Running, kind: str) -> None:
    integration = add(run, kind)
    response = get_credentials(run, integration)
    token = read_token(response)
    (properties,) = token["queueProperties"]
    credentials = properties["assumeRoleResult"]["credentials"]
    assert response.status_code == 200
    assert token["ownerId"] == integration.owner_id
    assert set(credentials) == {"accessKeyId", "secretAccessKey", "sessionToken", "expireTimeMillis"}
    assert properties["queueConfiguration"] == {
        "queueUrl": QUEUE.url,
        "region": "eu-west-1",
        "credentialSuccessRefreshPeriod": 60,
        "credentialErrorRefreshPeriod": 60,
    }
    assert run.cloud.records.client_infos == ["test 1.0"]


def test_what_was_given_out_expires_by_time_and_on_demand(run: Running) -> None:
    credentials, integration = run.cloud.credentials, add(run, "oec")

    def fetch() -> tuple[str, str]:
        role = read_token(get_credentials(run, integration))["queueProperties"][0]["assumeRoleResult"]
        return role["credentials"]["accessKeyId"], role["credentials"]["sessionToken"]

    first = fetch()
    assert credentials.check(*first) is None
    assert credentials.check(first[0], "another") == "InvalidClientTokenId"
    run.cloud.advance(3601)
    assert credentials.check(*first) == "ExpiredToken"
    second = fetch()
    credentials.expire()
    assert credentials.check(*second) == "ExpiredToken"
    assert credentials.check(*fetch()) is None
    assert credentials.check(credentials.own.access_key_id, credentials.own.session_token) is None


@KINDS
def test_a_callback_is_accepted_and_recorded(run: Running, kind: str) -> None:
    integration = add(run, kind)
    result = result_for(run, integration)
    assert post_callback(run, integration, result).status_code == 202
    (callback,) = run.cloud.records.callbacks
    assert (callback.integration_id, callback.body) == (integration.integration_id, result)
    run.cloud.assert_no_violations()


def test_a_callback_context_is_jecs_alone(run: Running) -> None:
    jec, oec = add(run, "jec"), add(run, "oec")
    assert post_callback(run, jec, result_for(run, jec, callbackContext="{}")).status_code == 202
    run.cloud.assert_no_violations()
    assert post_callback(run, oec, result_for(run, oec, callbackContext="{}")).status_code == 422
    assert len(run.cloud.take_violations()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"requestId": ""},
        {"requestId": 7},
        {"action": None},
        {"nonsense": 1},
        {"isSuccessful": "yes"},
        {"isSuccessful": False},
        {"failureMessage": "but it did succeed"},
    ],
)
def test_a_malformed_callback_is_a_violation(run: Running, change: dict[str, Any]) -> None:
    integration = add(run, "oec")
    assert post_callback(run, integration, {**result_for(run, integration), **change}).status_code == 422
    assert len(run.cloud.take_violations()) == 1
    assert not run.cloud.records.callbacks


def test_a_callback_for_a_message_that_was_never_sent_is_a_violation(run: Running) -> None:
    integration = add(run, "oec")
    assert post_callback(run, integration, {**result_for(run, integration), "requestId": "x"}).status_code == 202
    assert "requestId" in run.cloud.take_violations()[0]
