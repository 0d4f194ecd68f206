"""One Chromium and one `run` for all tests here, with a stand-in for the vendor's cloud and one for Alerta."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import chromium
from tests.browser.chromium import Browser
from tests.browser.site import TOKEN, Site
from tests.cli.state_directory import StateDirectory
from tests.connector.rig import Rig
from tests.support.bad_server import BadServer


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium.MISSING:
        pytest.skip(chromium.MISSING)
    with chromium.chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(window: Browser) -> Browser:
    """The window as a person finds it: light, wide, with scripts, and with no token in it."""
    window.look_as()
    window.complaints()
    return window


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    token = directory / "page.token"
    token.write_text(TOKEN + "\n")
    own = {"pageTokenFile": str(token)}
    with BadServer("ok") as alerta, Rig(alerta.url, "the-key-of-alerta", directory, own=own) as rig:
        connector = rig.start()
        connector.wait_page("/readyz", 200)
        yield Site(rig, connector, alerta.url, StateDirectory(rig.spool))
