"""Alerta servers to attack, one per set-up. Each is started once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from tests.attacks.people import BRIDGE_LOGIN, Site
from tests.support.plugin import SECRET, fingerprint, plugged

SIGN_UP_OPEN = {"SIGNUP_ENABLED": True, "EMAIL_VERIFICATION": False}
"""Alerta's own defaults: anybody may register any login that is free."""

SLOW_PATTERN = ".*(db|sql).*(down|dead).*"

# Python loads it first; it simulates an error in the plugin's code.
_FAULT = """
from alerta_opsgenie.core import publish

def fail(*_args, **_kwargs):
    raise ZeroDivisionError("a planted fault")

publish.publish = fail
"""


@pytest.fixture(scope="session")
def start(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Return a function that starts an Alerta with these settings. It runs until the tests end."""
    with ExitStack() as running:

        def begin(workers: int = 1, env: dict[str, str] | None = None, **settings: Any) -> Site:
            directory = tmp_path_factory.mktemp("site")
            made = plugged(alerta.postgres, directory, settings=settings, workers=workers, env=env)
            return Site(running.enter_context(made))

        yield begin


@pytest.fixture(scope="session")
def closed(start: Callable[..., Site]) -> Site:
    """AUTH_REQUIRED and sign-up are on; the old setting with the bridge's login is still set."""
    routes = [{"match": {"text": SLOW_PATTERN}}, {"match": {"text": "(a+)+b"}}]
    return start(2, **SIGN_UP_OPEN, OPSGENIE_BRIDGE_USER=BRIDGE_LOGIN, OPSGENIE_ROUTES=routes)


@pytest.fixture(scope="session")
def unauthenticated(start: Callable[..., Site]) -> Site:
    """AUTH_REQUIRED is off, which is Alerta's default; the webhook has a secret.

    A delete needs the scope delete:alerts, and an alert that is deleted in Opsgenie is deleted in Alerta.
    """
    deleting = {"DELETE_SCOPES": ["delete:alerts"], "OPSGENIE_WEBHOOK_ON_DELETE": "delete"}
    return start(**SIGN_UP_OPEN, AUTH_REQUIRED=False, **deleting)


@pytest.fixture(scope="session")
def without_secret(start: Callable[..., Site]) -> Site:
    """AUTH_REQUIRED is off, and the webhook has no secret."""
    return start(AUTH_REQUIRED=False, OPSGENIE_WEBHOOK_SECRET="")


@pytest.fixture(scope="session")
def not_enabled(start: Callable[..., Site]) -> Site:
    """The package is installed, and PLUGINS does not name it."""
    return start(AUTH_REQUIRED=False, PLUGINS=[])


@pytest.fixture(scope="session")
def customers(start: Callable[..., Site]) -> Site:
    """CUSTOMER_VIEWS is on, and the webhook's secret is bound to one customer."""
    return start(CUSTOMER_VIEWS=True, OPSGENIE_WEBHOOK_CUSTOMERS=["acme"])


@pytest.fixture(scope="session")
def faulty(start: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The plugin has an error: it cannot build any request to Opsgenie."""
    directory = tmp_path_factory.mktemp("faulty")
    (directory / "sitecustomize.py").write_text(_FAULT)
    return start(env={"PYTHONPATH": str(directory)})


@pytest.fixture(scope="session")
def by_id(alerta: AlertaServer) -> Iterator[tuple[AlertaServer, str]]:
    """The bridge's key is configured by its id. Returns the server and the key."""
    key = secrets.token_urlsafe(30)
    settings = {"PLUGINS": ["opsgenie"], "OPSGENIE_WEBHOOK_SECRET": SECRET}
    with AlertaServer(postgres=alerta.postgres, workers=1, settings=settings) as server:
        made = server.call("POST", "/key", {"user": BRIDGE_LOGIN, "scopes": ["write:alerts"], "text": "", "key": key})
        server.settings["OPSGENIE_BRIDGE_KEY"] = json.dumps([made["data"]["id"], fingerprint("another")])
        server.restart()
        yield server, key
