"""Alertas to attack, one for each way in which a team may have set it up; each is started once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from tests.attacks.people import BRIDGE_LOGIN, Site
from tests.support.plugin import SECRET, fingerprint, plugged

SIGN_UP_OPEN = {"SIGNUP_ENABLED": True, "EMAIL_VERIFICATION": False}
"""Alerta's own defaults: anybody may register any login that is free."""

SLOW_PATTERN = ".*(db|sql).*(down|dead).*"

# Loaded by Python itself before anything else: stands for a fault in our code.
_FAULT = """
from alerta_opsgenie.core import publish

def fail(*_args, **_kwargs):
    raise ZeroDivisionError("a planted fault")

publish.publish = fail
"""


@pytest.fixture(scope="session")
def closed(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """AUTH_REQUIRED is on, sign-up too; the old setting with the bridge's login is still there."""
    settings = {
        **SIGN_UP_OPEN,
        "OPSGENIE_BRIDGE_USER": BRIDGE_LOGIN,
        "OPSGENIE_ROUTES": [{"match": {"text": SLOW_PATTERN}}, {"match": {"text": "(a+)+b"}}],
    }
    with plugged(alerta.postgres, tmp_path_factory.mktemp("closed"), settings=settings) as run:
        yield Site(run)


@pytest.fixture(scope="session")
def unauthenticated(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """AUTH_REQUIRED is off, as Alerta's default is; the webhook has a secret."""
    settings = {**SIGN_UP_OPEN, "AUTH_REQUIRED": False}
    with plugged(alerta.postgres, tmp_path_factory.mktemp("open"), settings=settings, workers=1) as run:
        yield Site(run)


@pytest.fixture(scope="session")
def without_secret(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """AUTH_REQUIRED is off, and the webhook has no secret: nothing was set up at all."""
    settings = {"AUTH_REQUIRED": False, "OPSGENIE_WEBHOOK_SECRET": ""}
    with plugged(alerta.postgres, tmp_path_factory.mktemp("nothing"), settings=settings, workers=1) as run:
        yield Site(run)


@pytest.fixture(scope="session")
def not_enabled(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The package is installed, and PLUGINS does not name it."""
    settings = {"AUTH_REQUIRED": False, "PLUGINS": []}
    with plugged(alerta.postgres, tmp_path_factory.mktemp("installed"), settings=settings, workers=1) as run:
        yield Site(run)


@pytest.fixture(scope="session")
def customers(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """CUSTOMER_VIEWS is on, and the webhook's secret is bound to one customer."""
    settings = {"CUSTOMER_VIEWS": True, "OPSGENIE_WEBHOOK_CUSTOMERS": ["acme"]}
    with plugged(alerta.postgres, tmp_path_factory.mktemp("customers"), settings=settings, workers=1) as run:
        yield Site(run)


@pytest.fixture(scope="session")
def faulty(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The plugin has a fault: whatever it wants to tell Opsgenie, it fails at."""
    directory: Path = tmp_path_factory.mktemp("faulty")
    (directory / "sitecustomize.py").write_text(_FAULT)
    env = {"PYTHONPATH": str(directory)}
    with plugged(alerta.postgres, directory / "plugin", workers=1, env=env) as run:
        yield Site(run)


@pytest.fixture(scope="session")
def by_id(alerta: AlertaServer) -> Iterator[tuple[AlertaServer, str]]:
    """The bridge is named by its key's id; gives its key too."""
    key = secrets.token_urlsafe(30)
    settings = {"PLUGINS": ["opsgenie"], "OPSGENIE_WEBHOOK_SECRET": SECRET}
    with AlertaServer(postgres=alerta.postgres, workers=1, settings=settings) as server:
        made = server.call("POST", "/key", {"user": BRIDGE_LOGIN, "scopes": ["write:alerts"], "text": "", "key": key})
        server.settings["OPSGENIE_BRIDGE_KEY"] = json.dumps([made["data"]["id"], fingerprint("another")])
        server.restart()
        yield server, key
