"""An installation for each test, with a stand-in for Opsgenie, and the session's real Alerta."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer
from lab.cloud import Queue

from tests.support.cloud import Running, running_cloud
from tests.support.installed import Installed, install_oec, open_directory, put_python


@pytest.fixture
def opsgenie() -> Iterator[Running]:
    """A new stand-in for each test: one check reads its list of alerts."""
    with running_cloud(expect_violations=True) as run:
        yield run


@pytest.fixture
def installed(opsgenie: Running, alerta: AlertaServer, alerta_key: str, tmp_path: Path) -> Iterator[Installed]:
    """A healthy installation."""
    if put_python(tmp_path / "probe") is None:
        pytest.skip("no Python 3.9 or later that every user may start")
    key = opsgenie.cloud.add_oec(queues=(Queue("http://127.0.0.1:1/queue"),)).key
    with open_directory() as directory:
        made = install_oec(
            directory,
            alerta_url=alerta.api_url,
            alerta_key=alerta_key,
            base_url=opsgenie.server.base_url,
            api_key=key,
        )
        try:
            yield made
        finally:
            made.stop_connector()
            made.end_agent()
