"""The plugin as an operator gets it: a wheel, put by pip into an environment of Alerta's own, under its servers.

uWSGI is one of the last in which Python's threads stand still between requests unless it is told otherwise.
"""

from __future__ import annotations

import os
import signal
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from lab.alerta_server import SERVERS, AlertaServer

from tests.e2e.conftest import Environment, make_environment
from tests.support.executor import command_lines
from tests.support.plugin import plugged, wait_until

UWSGI = "pyuwsgi<2.0.27"
SENDER_PROCESS = "alerta_opsgenie.plugin.sender_process"
PERSON = "alice@example.com"
SERVERS_BY_TIER = [SERVERS[0], *(pytest.param(name, marks=pytest.mark.long) for name in SERVERS[1:])]
OLDER = {
    "alerta_opsgenie.py": "class OpsgeniePlugin:\n    pass\n",
    "alerta_opsgenie-5.0.3.dist-info/METADATA": "Metadata-Version: 2.1\nName: alerta-opsgenie\nVersion: 5.0.3\n",
    "alerta_opsgenie-5.0.3.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "alerta_opsgenie-5.0.3.dist-info/entry_points.txt": "[alerta.plugins]\nopsgenie = alerta_opsgenie:OpsgeniePlugin\n",
}
"""What the plugin of alerta-contrib looks like to pip: the same name, one module, the same entry point."""


@dataclass(frozen=True)
class OfAlerta(Environment):
    """Alerta's own Python environment; `before` and `after` are what it held without and with our wheel."""

    before: set[str]
    after: set[str]


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> OfAlerta:
    place = tmp_path_factory.mktemp("installed")
    older = place / "alerta_opsgenie-5.0.3-py3-none-any.whl"
    with zipfile.ZipFile(older, "w") as archive:
        for name, text in OLDER.items():
            archive.writestr(name, text)
        record = [*OLDER, "alerta_opsgenie-5.0.3.dist-info/RECORD"]
        archive.writestr(record[-1], "".join(f"{name},,\n" for name in record))
    made = make_environment(place / "venv")
    same = [f"{name}=={version(name)}" for name in ("alerta-server", "psycopg2-binary", "gunicorn")]
    made.install(*same, UWSGI, str(older))
    before = made.packages()
    made.install(str(wheel))
    return OfAlerta(made.directory, before, made.packages())


def test_pip_takes_the_older_plugin_away(environment: OfAlerta) -> None:
    look = "from importlib.metadata import distribution as d, entry_points as e; print(d('alerta-opsgenie').version,"
    look += " *(p.value for p in e(group='alerta.plugins') if p.name == 'opsgenie'))"
    assert environment.run("-c", look).split()[1:] == ["alerta_opsgenie.plugin.plugin:OpsgeniePlugin"]
    assert not list(environment.directory.rglob("alerta_opsgenie.py"))


def test_alertas_environment_gets_the_package_and_click_alone(environment: OfAlerta) -> None:
    names = {line.partition(" ")[0].partition("==")[0] for line in environment.after ^ environment.before}
    assert names <= {"alerta-opsgenie", "click"}


@pytest.mark.parametrize("server", SERVERS_BY_TIER)
@pytest.mark.parametrize("product", ["opsgenie", pytest.param("jsm", marks=pytest.mark.long)])
def test_under_each_server_both_ways_are_open(
    environment: OfAlerta, alerta: AlertaServer, tmp_path: Path, server: str, product: str
) -> None:
    with plugged(
        alerta.postgres, tmp_path, product=product, webhook=True, python=environment.python, server=server
    ) as run:
        alert_id = str(run.console.create_alert()["id"])
        assert run.upstream(alert_id).message == "major: a test's alert"
        run.cloud.person(PERSON).acknowledge(alert_id)
        assert wait_until(lambda: run.console.status(alert_id) == "ack")
        assert run.console.history(alert_id)[-1]["user"] == PERSON
        run.console.action(alert_id, "close")
        assert run.upstream(alert_id).closed


@pytest.mark.parametrize("server", SERVERS_BY_TIER)
def test_under_each_server_what_waits_goes_out_without_another_request(
    environment: OfAlerta, alerta: AlertaServer, tmp_path: Path, server: str
) -> None:
    settings = {"OPSGENIE_TIMEOUT": 1}
    with plugged(alerta.postgres, tmp_path, settings=settings, python=environment.python, server=server) as run:
        with run.cloud.faults.hang():
            alert_id = str(run.console.create_alert()["id"])
            with run.outbox() as outbox:
                assert wait_until(lambda: any(row.attempts for row in outbox.actions()))
        assert run.upstream(alert_id).count == 1


def test_where_threads_stand_still_the_next_request_replaces_a_killed_sender(
    environment: OfAlerta, alerta: AlertaServer, tmp_path: Path
) -> None:
    server, settings = "uwsgi without threads", {"OPSGENIE_OUTBOX": "disk"}
    with plugged(alerta.postgres, tmp_path, settings=settings, python=environment.python, server=server) as run:
        run.upstream(str(run.console.create_alert()["id"]))
        [sender] = _senders(run.spool_directory)
        os.kill(sender, signal.SIGKILL)
        alert_id = str(run.console.create_alert()["id"])
        assert wait_until(lambda: run.console.status(alert_id) and run.waiting() == 0)
        assert run.upstream(alert_id).count == 1
        assert _senders(run.spool_directory) != [sender]
    assert wait_until(lambda: _senders(tmp_path / "spool") == [])


def _senders(spool_directory: Path) -> list[int]:
    """Find the processes that send what is in an outbox."""
    return [pid for pid, line in command_lines() if line[1:] == ["-m", SENDER_PROCESS, str(spool_directory)]]
