"""Helpers for tests that use the stand-in for Atlassian's cloud: a plain HTTP client, a webhook receiver, start-up.

A test says `with running_cloud() as run:`, uses `run.api`, `run.jsm` and `run.cloud.person(...)`, and fails at the end
if a rule of the vendor was broken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from lab.cloud import (
    Cloud,
    CloudServer,
    Double,
    Integration,
    Moto,
    Queue,
    QueueHost,
    Switches,
)

from tests.support.wire import Message, Server, Wire

JSON = dict[str, Any]
ALIAS = "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"
CLIENT_SECONDS = 60


@dataclass
class ApiClient:
    """A client of the REST API that hides nothing: each method returns the `requests` response."""

    base_url: str
    key: str
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Send one request to `/v2/alerts` + `path`."""
        headers = {"Authorization": f"GenieKey {self.key}", **options.pop("headers", {})}
        return self.session.request(
            method,
            f"{self.base_url}/v2/alerts{path}",
            json=body,
            headers=headers,
            timeout=options.pop("timeout", CLIENT_SECONDS),
            **options,
        )

    def create(self, message: str = "Disk usage 97% on web01", **fields: Any) -> requests.Response:
        """Create an alert, by default with the alias `ALIAS` and the source Alerta."""
        return self.call("POST", "", {"message": message, "alias": ALIAS, "source": "Alerta", **fields})

    def act(self, action: str, alias: str = ALIAS, **fields: Any) -> requests.Response:
        """Post an action (`acknowledge`, `close`, `notes`, ...) on an alias."""
        return self.call("POST", f"/{alias}/{action}?identifierType=alias", fields)

    def get(self, alias: str = ALIAS, path: str = "") -> Any:
        """Return `data` of a read by alias, or None for 404."""
        response = self.call("GET", f"/{alias}{path}?identifierType=alias")
        return None if response.status_code == 404 else response.json()["data"]

    def status_of(self, response: requests.Response) -> requests.Response:
        """Ask for the status of the request that was answered with 202."""
        assert response.status_code == 202, response.text
        return self.call("GET", f"/requests/{response.json()['requestId']}")


@dataclass
class Running:
    """A cloud that serves, with a client for each product."""

    cloud: Cloud
    server: CloudServer
    key: Integration
    jsm_key: Integration
    api: ApiClient
    jsm: ApiClient


@contextmanager
def running_cloud(
    switches: Switches | None = None, *, expect_violations: bool = False, **settings: Any
) -> Iterator[Running]:
    """Serve a cloud with one API key for each product; fail at the end if a rule of the vendor was broken."""
    cloud = Cloud(switches=switches, **settings)
    key, jsm_key = cloud.add_api(), cloud.add_api("Alerta JSM", product="jsm")
    with CloudServer(cloud) as server:
        api, jsm = ApiClient(server.base_url, key.key), ApiClient(server.jsm_url, jsm_key.key)
        yield Running(cloud, server, key, jsm_key, api, jsm)
        for client in (api, jsm):
            client.session.close()
    if not expect_violations:
        cloud.assert_no_violations()


@dataclass
class RunningEdge(Running):
    """A cloud that serves, with an edge integration and the server that holds its queues."""

    integration: Integration
    host: QueueHost

    @property
    def queue(self) -> Queue:
        """Return the first queue."""
        return self.integration.queues[0]


@contextmanager
def running_edge(
    kind: str = "oec", *, moto: bool = False, queues: int = 1, settings: JSON | None = None, **options: Any
) -> Iterator[RunningEdge]:
    """Serve a cloud with an OEC or JEC integration over `moto`'s queues or the double's (which checks credentials).

    `settings` are fields of the integration, `options` those of `running_cloud`.
    """
    with running_cloud(**options) as run:
        host: QueueHost = Moto() if moto else Double(run.cloud.credentials.check)
        try:
            made = tuple(host.create(f"{kind}-{number}") for number in range(queues))
            add = run.cloud.add_oec if kind == "oec" else run.cloud.add_jec
            integration = add(queues=made, **(settings or {}))
            yield RunningEdge(**vars(run), integration=integration, host=host)
        finally:
            host.stop()


class Receiver(Server):
    """A webhook receiver; it answers with `statuses` in turn, then with 200."""

    def __init__(self) -> None:
        super().__init__()
        self.posts: list[Message] = []
        self.statuses: list[int] = []

    def actions(self) -> list[str]:
        """Return the names of the actions that came, in order."""
        return [json.loads(post.body)["action"] for post in self.posts]

    def serve(self, wire: Wire) -> None:
        while (post := wire.read_request()) is not None:
            self.posts.append(post)
            status = self.statuses.pop(0) if self.statuses else 200
            wire.send(f"HTTP/1.1 {status} As told\r\nContent-Length: 0\r\n\r\n".encode())
