"""Fixtures of every test: the session's real Alerta and what goes with it."""

from __future__ import annotations

import fcntl
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from lab.alerta_server import AlertaServer
from lab.versions import as_numbers, under_test

from tests.support.console import Console, NewAlert
from tests.support.proxy import Proxy
from tests.support.tiers import LONG

# A busy machine would break limits on the time of an example at random.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")

BRIDGE_USER = "opsgenie-bridge@example.com"

_PAYLOADS = Path(__file__).parent / "payloads"


_TESTS = Path(__file__).parent

# These look at all processes and users of the host, and make some that are to be found: never two at a time.
_OF_THE_HOST = ("doctor/", "setup/test_host.py", "cli/", "e2e/test_install.py")

# Where the markers come from the path. A test that uses the fixture `alerta` is marked wherever it lies.
_WITH_ALERTA = ("e2e/", "lab/test_alerta_server.py", "lab/test_demo.py")
_WITH_FAULTS = ("faults/",)
_WITH_BROWSER = ("browser/",)

_LONG_SECONDS = 3600  # for a test of `make test-long`: it tells an end from a hang

_LONGEST_FIRST = ("faults/", "e2e/", "lab/", "docs/", "setup/", "executor/", "connector/")
"""The order in which files begin, so that no long file is left to one process at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its path and fixtures, and let the long rooms begin."""
    for item in items:
        if _lies_in(item.path, _OF_THE_HOST):
            item.add_marker(pytest.mark.timeout(600))  # it may have to wait for the others
        if _lies_in(item.path, _WITH_ALERTA) or "alerta" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.alerta)
        for marker in item.iter_markers("since"):
            if as_numbers(under_test()) < as_numbers(marker.args[0]):
                item.add_marker(pytest.mark.skip(reason=f"alerta before {marker.args[0]}: {marker.args[1]}"))
        if _lies_in(item.path, _WITH_FAULTS):
            item.add_marker(pytest.mark.faults)
        if _lies_in(item.path, _WITH_BROWSER):
            item.add_marker(pytest.mark.browser)
        if LONG:
            item.add_marker(pytest.mark.timeout(_LONG_SECONDS), append=False)
    items.sort(key=lambda item: _place(item.path))


def _place(path: Path) -> int:
    return next((place for place, room in enumerate(_LONGEST_FIRST) if _lies_in(path, (room,))), len(_LONGEST_FIRST))


def _lies_in(path: Path, rooms: tuple[str, ...]) -> bool:
    return path.relative_to(_TESTS).as_posix().startswith(rooms)


@pytest.fixture(scope="module", autouse=True)
def _alone_on_the_host(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let no two of those modules run at once, in whichever process."""
    if not _lies_in(request.path, _OF_THE_HOST):
        yield
        return
    with Path(tempfile.gettempdir(), "alerta-opsgenie-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def alerta() -> Iterator[AlertaServer]:
    """The session's Alerta, started by the first test that needs it. Leave it running and thawed behind you."""
    with AlertaServer() as server:
        yield server


@pytest.fixture(scope="session")
def console(alerta: AlertaServer) -> Console:
    """A person at Alerta's console, with the administrator's key."""
    return Console(alerta.url, alerta.admin_key)


@pytest.fixture(scope="session")
def new_alert(console: Console) -> NewAlert:
    return lambda: str(console.create_alert()["id"])


@pytest.fixture(scope="session")
def alerta_key(alerta: AlertaServer) -> str:
    """The bridge's own API key, with the least scopes that its calls need."""
    return alerta.create_key(BRIDGE_USER)


@pytest.fixture
def proxy(alerta: AlertaServer) -> Iterator[Proxy]:
    """A proxy of the test's own in front of Alerta."""
    with Proxy(alerta.url) as server:
        yield server


@pytest.fixture(scope="session")
def payload() -> Callable[[str], dict[str, Any]]:
    """Load tests/payloads/NAME.json: `payload("Acknowledge.oec")`. A fresh dict each time."""

    def load(name: str) -> dict[str, Any]:
        return dict(json.loads((_PAYLOADS / f"{name}.json").read_text()))

    return load
