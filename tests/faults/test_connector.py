"""The connector is killed and restarted: no action is lost or doubled, and each state is that of the last action.

`make test-long` kills it a hundred times in 2,000 actions.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer
from lab.cloud import Switches
from lab.cloud.channel import Channel

from tests.connector.load import Load
from tests.connector.rig import END_SECONDS, Rig, wait_until
from tests.support.console import Console
from tests.support.plugin import plugged
from tests.support.tiers import amount, grows

KILLS = amount(3, 100)
ACTIONS = amount(72, 2_000)

pytestmark = [pytest.mark.faults, grows, pytest.mark.timeout(1800)]


@pytest.fixture(params=["sqs", "channel"])
def make_rig(
    request: pytest.FixtureRequest, alerta: AlertaServer, alerta_key: str, tmp_path: Path
) -> Callable[..., Rig]:
    channel = request.param == "channel"
    return lambda url="", **settings: Rig(url or alerta.url, alerta_key, tmp_path, channel=channel, **settings)


def test_killed_again_and_again_nothing_is_lost_or_doubled(make_rig: Any, console: Console) -> None:
    """Killed (-9) at random, with duplicates and disorder in the queue."""
    rng = random.Random(11)
    with make_rig(switches=Switches(duplicate_share=0.1, disorder_share=0.1), own={"workers": 5}) as rig:
        load = Load(rig, console, alerts=15)
        for number in range(KILLS):
            connector = rig.start(name="killed")
            load.act(ACTIONS // KILLS)
            connector.wait_log("taking the queue" if number == 0 else "INFO")
            time.sleep(rng.uniform(0.3, 1.5))
            connector.kill()
        rig.start(name="last")
        load.assert_all_there_once()


def test_restarted_under_load_nothing_is_lost(make_rig: Any, console: Console) -> None:
    restarts = max(3, KILLS * 2 // 5)
    with make_rig() as rig:
        load = Load(rig, console, alerts=10)
        for number in range(restarts):
            load.act(ACTIONS // restarts)
            connector = rig.start(name=f"restarted{number}")
            connector.wait_log("applied")
            connector.stop(END_SECONDS)
        rig.start(name="last")
        load.assert_all_there_once()


def test_version_1_is_switched_off_under_load_and_version_2_is_used(
    alerta: AlertaServer, alerta_key: str, console: Console, tmp_path: Path
) -> None:
    """JSM's queues and credentials end, with messages in the queue and in flight. It is logged once."""
    with Rig(alerta.url, alerta_key, tmp_path, dialect="jec", own={"workers": 5}) as rig:
        connector = rig.start()
        load = Load(rig, console, alerts=10)
        load.act(ACTIONS // 3)
        connector.wait_log("applied")
        acting = threading.Thread(target=load.act, args=(ACTIONS // 3,))
        acting.start()
        rig.cloud.channel = Channel(rig.host)
        rig.cloud.credentials.expire()
        connector.wait_log("messages come by another way from now on: channel", 60)
        acting.join()
        load.act(ACTIONS // 3)
        load.assert_all_there_once()
        assert connector.log.count("by another way") == 1


def test_three_processes_one_of_which_is_killed(make_rig: Any, console: Console) -> None:
    with make_rig(own={"workers": 5}) as rig:
        load = Load(rig, console, alerts=10)
        connectors = [rig.start(name=str(number)) for number in range(3)]
        load.act(ACTIONS // 2)
        wait_until(lambda: any("applied" in connector.log for connector in connectors))
        next(connector for connector in connectors if "applied" in connector.log).kill()
        load.act(ACTIONS // 2)
        load.assert_all_there_once()


def test_three_hosts_one_of_which_is_killed_keep_the_order_by_the_plugin(alerta: AlertaServer, tmp_path: Path) -> None:
    """Each has its own journal; the queue delivers duplicates and out of order, and the killed host is restarted."""
    switches = Switches(duplicate_share=0.15, disorder_share=0.15)
    with plugged(alerta.postgres, tmp_path / "alerta") as run:
        directory, own = _made(tmp_path / "rig"), {"workers": 5}
        with Rig(run.alerta.url, run.bridge.key, directory, switches=switches, own=own) as rig:
            load = Load(rig, run.console, alerts=10)
            hosts = [rig.start_elsewhere(f"host{number}") for number in range(3)]
            load.act(ACTIONS // 2)
            wait_until(lambda: any("applied" in host.log for host in hosts))
            dead = next(host for host in hosts if "applied" in host.log)
            dead.kill()
            load.act(ACTIONS // 2)
            rig.start_elsewhere(f"host{hosts.index(dead)}")
            load.assert_all_there_once()
            assert sum("applied" in host.log for host in hosts) >= 2


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
