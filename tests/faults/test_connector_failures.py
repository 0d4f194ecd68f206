"""The connector while a system that it needs fails: Alerta, the queue, the credentials, the disk, the callbacks.

It fails for a second, and for 20 in `make test-long`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.agent.client import ask_status
from tests.connector.load import Load
from tests.connector.rig import END_SECONDS, Rig, wait_until
from tests.support.console import Console
from tests.support.proxy import Proxy
from tests.support.tiers import amount, grows

AWAY_SECONDS = float(amount(1, 20))
ACTIONS = amount(60, 120)
MEBIBYTES = amount(15, 60)

pytestmark = [pytest.mark.faults, grows, pytest.mark.timeout(1800)]


@pytest.fixture
def make_rig(alerta: AlertaServer, alerta_key: str, tmp_path: Path) -> Callable[..., Rig]:
    return lambda url="", **settings: Rig(url or alerta.url, alerta_key, tmp_path, **settings)


def test_while_alerta_is_down_actions_wait_and_are_then_delivered_in_order(
    make_rig: Any, console: Console, proxy: Proxy
) -> None:
    with make_rig(proxy.url) as rig:
        connector = rig.start()
        load = Load(rig, console, alerts=8)
        load.act(ACTIONS // 6)
        with proxy.refusing():
            load.act(ACTIONS // 3)
            began = time.monotonic()
            rig.wait_queue_empty()
            assert connector.metric("alerta_opsgenie_spool_usable") == 1
            time.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - began)))
            assert connector.page("/healthz")[0] == 200
        load.act(ACTIONS // 6)
        load.assert_all_there_once()


def test_alerta_applies_actions_and_its_responses_are_lost(make_rig: Any, console: Console, proxy: Proxy) -> None:
    """Each response is lost for a while: applied actions must be found as applied."""
    with make_rig(proxy.url) as rig:
        rig.start()
        load = Load(rig, console, alerts=6)
        with proxy.dropping_answers(times=25):
            load.act(60)
            rig.wait_queue_empty()
        load.assert_all_there_once()


def test_the_queue_is_down(make_rig: Any, console: Console) -> None:
    with make_rig() as rig:
        connector = rig.start()
        load = Load(rig, console, alerts=8)
        load.act(ACTIONS // 6)
        connector.wait_log("applied")
        with rig.host.faults.refuse():
            load.act(ACTIONS // 6)
            connector.wait_page("/readyz", 503)
            time.sleep(AWAY_SECONDS)
        connector.wait_page("/readyz", 200)
        load.assert_all_there_once()


def test_the_credentials_endpoint_is_down_and_tokens_expire(make_rig: Any, console: Console) -> None:
    with make_rig() as rig:
        credentials = rig.cloud.credentials
        credentials.lifetime_seconds, credentials.renew_before_seconds = 3.0, 1.0
        credentials.success_refresh_seconds = credentials.error_refresh_seconds = 1
        with rig.cloud.faults.status(503, "credentials"):
            connector = rig.start()
            connector.wait_log("no credentials")
            assert connector.page("/readyz")[0] == 503
        load = Load(rig, console, alerts=8)
        load.act(ACTIONS // 6)
        connector.wait_log("applied")
        with rig.cloud.faults.hang("credentials"):
            time.sleep(AWAY_SECONDS)
            load.act(ACTIONS // 6)
        load.assert_all_there_once()
        credentials.expire()
        load.act(ACTIONS // 6)
        load.assert_all_there_once()


def test_results_that_cannot_be_sent_delay_no_action(make_rig: Any, console: Console) -> None:
    with make_rig() as rig:
        connector = rig.start()
        load = Load(rig, console, alerts=8)
        with rig.cloud.faults.hang("callback"):
            load.act(ACTIONS // 3)
            load.assert_all_there_once()
            connector.stop(END_SECONDS)


def test_without_its_directory_it_delivers_and_leaves_the_rest_in_the_queue(
    make_rig: Any, console: Console, proxy: Proxy
) -> None:
    with make_rig(proxy.url) as rig:
        rig.spool.write_text("no directory")
        connector = rig.start()
        alert_id = console.create_alert()["id"]
        rig.create(alert_id)
        rig.person().acknowledge(alert_id)
        wait_until(lambda: console.status(alert_id) == "ack", say=lambda: connector.log)
        with proxy.refusing():
            rig.person().unacknowledge(alert_id)
            connector.wait_log("kept UnAcknowledge")
        assert rig.queue_counts() != (0, 0, 0)
        assert "Not a directory" in connector.page("/healthz")[1]
        rig.spool.unlink()
        wait_until(lambda: console.status(alert_id) == "open", 60, say=lambda: connector.log)


def test_after_its_directory_was_moved_it_uses_a_new_one(make_rig: Any, console: Console) -> None:
    with make_rig() as rig:
        connector = rig.start()
        alert_id = console.create_alert()["id"]
        rig.create(alert_id)
        rig.person().acknowledge(alert_id)
        # Its row ends after Alerta shows it. Moved before that, the action would go into the new journal too.
        wait_until(lambda: len(rig.rows("done")) == 1, say=lambda: connector.log)
        assert console.status(alert_id) == "ack"
        rig.spool.rename(rig.directory / "moved away")
        wait_until(lambda: (ask_status(str(rig.spool)) or {}).get("kind") == "run", say=lambda: connector.log)
        rig.person().unacknowledge(alert_id)
        wait_until(lambda: console.status(alert_id) == "open", say=lambda: connector.log)
        wait_until(lambda: [row.kind for row in rig.rows("done")] == ["UnAcknowledge"], say=lambda: connector.log)


def test_messages_of_a_mebibyte_take_no_more_memory_than_the_unit_gives(make_rig: Any, console: Console) -> None:
    """Each takes 25 MiB when parsed: the most that JSON of that size can take."""
    with make_rig() as rig:
        alert_id = console.create_alert()["id"]
        rig.create(alert_id)
        owner = {"ownerId": {"DataType": "String", "StringValue": rig.integration.owner_id}}
        queue = rig.host.sqs.queue(rig.queue.url)
        for number in range(MEBIBYTES):
            alert = {"alias": alert_id, "source": "Alerta", "username": "alice@example.com", "note": f"note {number}"}
            message = {"action": "AddNote", "actionType": "custom", "requestId": f"r{number}", "alert": alert}
            text = json.dumps({**message, "padding": []})
            queue.send(text.replace("[]", "[" + "[]," * 340_000 + "[]]"), owner, time.time())
        connector = rig.start()
        rig.wait_delivered(1200)  # reading them takes a second of the processor each
        peak = int(re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{connector.process.pid}/status").read_text())[0])
        notes = sum(": note " in entry["text"] for entry in console.history(alert_id))
    assert notes == MEBIBYTES
    assert peak < 256 * 1024
