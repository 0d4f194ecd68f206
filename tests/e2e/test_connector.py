"""The connector as a process in front of a real Alerta, with the stand-in cloud and real or doubled queues."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer
from lab.cloud import Cloud, Moto, QueueHost, Switches
from lab.cloud.channel import Channel

from alerta_opsgenie.agent import client
from alerta_opsgenie.connector.settings import read_plan
from tests.connector.rig import END_SECONDS, Rig, wait_until
from tests.support.console import Console

DIALECTS = pytest.mark.parametrize("dialect", ["oec", "jec"])


@pytest.fixture
def make_rig(alerta: AlertaServer, alerta_key: str, tmp_path: Path) -> Callable[..., Any]:
    @contextmanager
    def make(**settings: Any) -> Iterator[Rig]:
        with Rig(alerta.url, alerta_key, tmp_path, **settings) as rig:
            yield rig
            rig.cloud.assert_no_violations()

    return make


def moto(_cloud: Cloud) -> QueueHost:
    return Moto()


def texts(console: Console, alert_id: str) -> list[str]:
    return [entry["text"] for entry in console.history(alert_id)]


@pytest.mark.parametrize(("dialect", "host"), [("oec", moto), ("jec", None)])
def test_every_action_of_a_person_shows_in_alerta_and_is_reported(
    make_rig: Any, console: Console, dialect: str, host: Any
) -> None:
    with make_rig(dialect=dialect, host=host, arguments=("--notes", "all", "--customAction", "Restart=restart")) as rig:
        connector = rig.start()
        alert_id = console.create_alert()["id"]
        alice, bob = rig.person(), rig.person("bob@example.com")
        rig.create(alert_id)
        seen = {}

        def act(label: str, *args: Any, **kwargs: Any) -> None:
            getattr(alice, label)(alert_id, *args, **kwargs)
            rig.wait_callbacks(len(rig.cloud.sent(rig.integration)))
            seen[label] = console.get(alert_id)

        act("acknowledge", note="on it")
        act("unacknowledge")
        act("add_note", "rebooted it")
        act("assign", "carol@example.com")
        act("take_ownership")
        act("add_tags", "db", "slow")
        act("remove_tags", "slow")
        act("set_priority", "P1")
        act("set_message", "Disk usage 99%")
        act("add_responder", "dave@example.com")
        act("snooze_for", 1800)
        bob.acknowledge(alert_id)
        act("custom", "Restart")
        act("close", note="fixed")
        callbacks = rig.wait_callbacks(len(rig.cloud.sent(rig.integration)))
        history = " | ".join(texts(console, alert_id))
        log, page = connector.log, connector.page(f"/?q={alert_id}")[1]

    assert page.count("bob@example.com") == 1
    assert page.count("<tr data-key") == len(callbacks)  # the Create among them, which was ignored
    assert seen["acknowledge"]["status"] == "ack"
    assert seen["acknowledge"]["attributes"]["acked-by"] == "alice@example.com"
    assert seen["unacknowledge"]["status"] == "open"
    assert seen["assign"]["attributes"]["owner"] == "carol@example.com"
    assert seen["take_ownership"]["attributes"]["owner"] == "alice@example.com"
    assert {"db", "slow"} <= set(seen["add_tags"]["tags"])
    assert "slow" not in seen["remove_tags"]["tags"]
    assert seen["set_priority"]["attributes"]["opsgenie-priority"] == "P1"
    assert seen["snooze_for"]["status"] == "shelved"
    assert seen["custom"]["status"] == "ack", "an ack of a snoozed alert unshelves it"
    assert seen["close"]["status"] == "closed"
    for part in ("on it", "rebooted it", "Disk usage 99%", "dave@example.com", "fixed", "Restart"):
        assert part in history
    failed = [body for body in callbacks if not body.get("isSuccessful")]
    assert not failed, f"{failed}\n{log}"
    assert all("callbackContext" in body for body in callbacks) == (dialect == "jec")


def test_a_failure_is_told_with_its_reason_and_kept_as_a_dead_letter(make_rig: Any) -> None:
    with make_rig() as rig:
        rig.start()
        nowhere = "00000000-0000-4000-8000-000000000000"
        rig.create(nowhere)
        rig.person().acknowledge(nowhere)
        failure = rig.wait_callbacks(2)[1]
        rig.wait_delivered()
        wait_until(lambda: bool(rig.rows("dead")))
        (dead,) = rig.rows("dead")
    assert "isSuccessful" not in failure
    assert "Alerta has no such alert" in failure["failureMessage"]
    assert (dead.alert, dead.kind, dead.reason) == (nowhere, "Acknowledge", "not-found")


def test_what_is_no_action_of_ours_is_set_aside(make_rig: Any, console: Console) -> None:
    with make_rig() as rig:
        connector = rig.start()
        alert_id = console.create_alert()["id"]
        queue = rig.host.sqs.queue(rig.queue.url)
        connector.wait_page("/readyz", 200)
        body = json.dumps({"action": "Close", "requestId": "r", "alert": {"alias": alert_id, "source": "Alerta"}})
        owner = {"ownerId": {"DataType": "String", "StringValue": rig.integration.owner_id}}
        strange = {"ownerId": {"DataType": "String", "StringValue": "somebody else"}}
        other = body.replace('"r"', '"s"')
        for text, attributes in ((body, {}), (other, strange), ("{", owner), ("[]", owner), ('{"a": 1}', owner)):
            queue.send(text, attributes, time.time())
        rig.create(alert_id)
        rig.person().add_note(alert_id, "still at work")
        rig.wait_callbacks(2)
        rig.wait_delivered()
        dead, waiting = rig.rows("dead"), rig.count_undelivered()
        status = console.status(alert_id)
    assert status == "open"
    assert len(dead) == 5
    assert waiting == 0
    assert sum("another integration" in entry.detail for entry in dead) == 1
    assert sum("no attributes" in entry.detail for entry in dead) == 1


def test_a_redelivered_note_is_not_written_twice(make_rig: Any, console: Console, tmp_path: Path) -> None:
    """Another host has acted on it and died before it could delete it: nothing on this disk knows of it."""
    with make_rig(visibility_seconds=15) as rig:
        alert_id = console.create_alert()["id"]
        rig.create(alert_id)
        rig.person().add_note(alert_id, "only once")
        first = rig.start(name="first")
        wait_until(lambda: any("only once" in text for text in texts(console, alert_id)))
        rig.wait_delivered()
        first.stop()
        model = rig.host.sqs.queue(rig.queue.url)
        note = next(body for body in rig.cloud.sent(rig.integration) if body["action"] == "AddNote")
        held = model.send(json.dumps(note), attributes_of(rig), time.time() - 30)
        held.received, held.first_received_at_ms = 1, int((time.time() - 30) * 1000)
        rig.config["globalArgs"][-1] = str(tmp_path / "another-host")
        second = rig.start(name="second")
        second.wait_log("already AddNote")
        rig.wait_delivered()
        written = [text for text in texts(console, alert_id) if "only once" in text]
    assert len(written) == 1


def attributes_of(rig: Rig) -> dict[str, Any]:
    owner = rig.integration.owner_id
    return {name: {"DataType": "String", "StringValue": owner} for name in ("ownerId", "integrationId")}


def test_a_script_of_somebody_else_runs_as_under_oec(make_rig: Any, tmp_path: Path, console: Console) -> None:
    script = tmp_path / "page-them.sh"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/ran\necho oops >&2\nexit 3\n')
    mappings = {"Acknowledge": {"filepath": str(script), "sourceType": "local", "args": ["-last"]}}
    with make_rig(mappings=mappings) as rig:
        rig.start()
        alert_id = console.create_alert()["id"]
        rig.create(alert_id)
        rig.person().acknowledge(alert_id)
        failure = next(told for told in rig.wait_callbacks(2) if told["action"] == "Acknowledge")
        rig.wait_delivered()
    arguments = (tmp_path / "ran").read_text()
    assert arguments.startswith("-payload {")
    assert arguments.endswith("-last\n")
    assert failure["failureMessage"] == "Err: exit status 3, Stderr: oops\n"
    assert console.status(alert_id) == "open"


def test_once_takes_what_is_there_and_ends(make_rig: Any, console: Console) -> None:
    with make_rig() as rig:
        ids = [console.create_alert()["id"] for _ in range(12)]
        for alert_id in ids:
            rig.create(alert_id)
            rig.person().acknowledge(alert_id)
        assert rig.cloud.wait_settled()
        connector = rig.start("--once")
        assert connector.process.wait(60) == 0, connector.log
        assert rig.queue_counts() == (0, 0, 0)
    assert {console.status(alert_id) for alert_id in ids} == {"ack"}


def test_once_with_a_refused_key_says_so_and_fails(make_rig: Any) -> None:
    with make_rig() as rig:
        rig.config["apiKey"] = "not-the-key-of-this-integration"
        connector = rig.start("--once")
        assert connector.process.wait(60) == 1
        assert "answered HTTP 401" in connector.log
        assert "check apiKey" in connector.log
        assert "not-the-key" not in connector.log


def test_sigterm_under_load_ends_in_time_and_leaves_the_rest_in_queue_and_journal(
    make_rig: Any, console: Console, proxy: Any, alerta_key: str, tmp_path: Path
) -> None:
    with Rig(proxy.url, alerta_key, tmp_path) as rig, proxy.delaying(0.4):
        ids = [console.create_alert()["id"] for _ in range(60)]
        for alert_id in ids:
            rig.create(alert_id)
            rig.person().acknowledge(alert_id)
        connector = rig.start()
        rig.wait_callbacks(70)
        connector.stop(END_SECONDS)
        assert rig.cloud.wait_settled()
        visible, in_flight, _ = rig.queue_counts()
        kept = rig.count_undelivered()
        done = sum(console.status(alert_id) == "ack" for alert_id in ids)
    assert connector.process.returncode == 0
    assert visible + kept > 0
    assert in_flight == 0, "what was in hand is in the journal, and deleted"
    assert done + visible + kept >= 60


def test_sigterm_while_alerta_hangs_ends_in_time(
    make_rig: Any, console: Console, proxy: Any, alerta_key: str, tmp_path: Path
) -> None:
    with Rig(proxy.url, alerta_key, tmp_path) as rig:
        alert_id = console.create_alert()["id"]
        rig.create(alert_id)
        with proxy.hanging() as fault:
            connector = rig.start()
            rig.person().acknowledge(alert_id)
            fault.wait_hit()
            connector.stop(END_SECONDS)
        assert connector.process.returncode == 0
        rig.start()
        wait_until(lambda: console.status(alert_id) == "ack")


@pytest.mark.parametrize("channel", [False, True], ids=["sqs", "channel"])
def test_sigterm_while_idle_ends_in_time(make_rig: Any, channel: bool) -> None:
    with make_rig(channel=channel) as rig:
        connector = rig.start()
        connector.wait_page("/readyz", 200)
        connector.stop(END_SECONDS)
        assert connector.process.returncode == 0


def test_where_jecs_queues_end_its_channel_takes_over_and_a_refused_key_changes_nothing(
    make_rig: Any, console: Console
) -> None:
    with make_rig(dialect="jec") as rig:
        rig.cloud.credentials.success_refresh_seconds = 1
        connector = rig.start()
        ids = [console.create_alert()["id"] for _ in range(20)]
        for alert_id in ids:
            rig.create(alert_id)
            rig.person().acknowledge(alert_id)
        connector.wait_log("applied")
        rig.cloud.channel = Channel(rig.host)
        with rig.cloud.faults.status(401, "credentials"):
            connector.wait_log("answered HTTP 401")
        assert "another way" not in connector.log
        connector.wait_log("messages come by another way from now on: channel")
        for alert_id in ids:
            rig.person().close(alert_id)
        rig.wait_delivered(60)
        log = connector.log
    assert {console.status(alert_id) for alert_id in ids} == {"closed"}
    assert log.count("messages come by another way") == 1


def test_a_second_run_hands_over_and_delivers_when_the_first_has_ended(make_rig: Any, console: Console) -> None:
    with make_rig() as rig:
        first = rig.start(name="first")
        first.wait_page("/readyz", 200)
        second = rig.start(name="second")
        second.wait_log("holds the delivery lock")
        first.kill()
        second.wait_log("is ours now")
        alert_id = console.create_alert()["id"]
        rig.create(alert_id)
        rig.person().acknowledge(alert_id)
        wait_until(lambda: console.status(alert_id) == "ack", say=rig.logs)


def test_run_takes_over_from_an_agent_and_serves_executors(make_rig: Any, console: Console) -> None:
    with make_rig() as rig:
        rig.write_config()
        options = read_plan(str(rig.config_path), dialect="oec", environment={}).options
        alert_id, other_id = (console.create_alert()["id"] for _ in range(2))
        assert client.submit(options, action("Acknowledge", alert_id)).outcome.kind.value == "applied"
        connector = rig.start()
        connector.wait_page("/readyz", 200)
        wait_until(lambda: (client.ask_status(str(rig.spool)) or {}).get("kind") == "run", say=rig.logs)
        assert client.submit(options, action("Acknowledge", other_id)).outcome.kind.value == "applied"
        rig.create(alert_id)
        rig.person().close(alert_id)
        rig.wait_delivered()
    assert (console.status(alert_id), console.status(other_id)) == ("closed", "ack")
    assert f"applied Acknowledge {other_id}" in connector.log


def action(name: str, alert_id: str) -> str:
    alert = {"alias": alert_id, "source": "Alerta", "username": "bob@example.com", "updatedAt": time.time_ns()}
    return json.dumps({"action": name, "requestId": f"{name} {alert_id}", "alert": alert})


def test_sighup_takes_a_new_configuration_and_refuses_a_broken_one(
    make_rig: Any, console: Console, alerta: AlertaServer, tmp_path: Path
) -> None:
    with make_rig() as rig:
        connector = rig.start()
        alert_id = console.create_alert()["id"]
        connector.wait_page("/readyz", 200)
        rig.config_path.write_text("{")
        connector.send(signal.SIGHUP)
        connector.wait_log("the configuration was not taken over")
        rig.create(alert_id)
        rig.person().set_message(alert_id, "not wanted yet")
        rig.wait_callbacks(2)
        rig.config["globalArgs"] += ["--notes", "all"]
        rig.write_config()
        connector.send(signal.SIGHUP)
        connector.wait_log("the configuration is read again")
        rig.person().set_message(alert_id, "and now it is")
        rig.wait_callbacks(3)
        reloads = connector.metric("alerta_opsgenie_reloads_total", result="taken")
        written = " ".join(texts(console, alert_id))
    assert reloads == 1
    assert "and now it is" in written
    assert "not wanted yet" not in written


def test_a_refused_key_of_alerta_keeps_the_action_loudly_and_a_mended_one_delivers_it(
    make_rig: Any, console: Console, alerta_key: str, tmp_path: Path
) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("wrong-key-of-alerta")
    with make_rig() as rig:
        rig.config["globalArgs"][2:4] = ["--alertaApiKeyFile", str(key_file)]
        connector = rig.start()
        alert_id = console.create_alert()["id"]
        rig.create(alert_id)
        rig.person().acknowledge(alert_id)
        failure = rig.wait_callbacks(2)[1]
        rig.wait_queue_empty()
        _, page = connector.page("/healthz")
        refuses = connector.page("/metrics")[1]
        key_file.write_text(alerta_key)
        connector.send(signal.SIGHUP)
        wait_until(lambda: console.status(alert_id) == "ack", 40, lambda: connector.log)
        assert "wrong-key-of-alerta" not in connector.log
    assert "give an API key that Alerta knows" in failure["failureMessage"]
    assert "give an API key that Alerta knows" in page
    assert re.search(r"alerta_opsgenie_spool_waiting \d", refuses)


def test_three_processes_share_one_queue_in_order(make_rig: Any, console: Console) -> None:
    """One of them delivers, and the others hand over to it; across hosts the plugin in Alerta keeps the order."""
    with make_rig(switches=Switches(duplicate_share=0.3, disorder_share=0.3)) as rig:
        for name in "abc":
            rig.start(name=name)
        ids = [console.create_alert()["id"] for _ in range(8)]
        person = rig.person()
        for alert_id in ids:
            rig.create(alert_id)
        for round_ in range(4):
            for alert_id in ids:
                person.acknowledge(alert_id)
                person.add_note(alert_id, f"note {round_}")
                person.unacknowledge(alert_id)
        for alert_id in ids:
            person.close(alert_id)
        rig.wait_delivered(60)
        taken = [connector.metric("alerta_opsgenie_taken_total") for connector in rig.connectors]
        statuses = {console.status(alert_id) for alert_id in ids}
        notes = [sorted(text for text in texts(console, alert_id) if ": note " in text) for alert_id in ids]
    assert statuses == {"closed"}
    assert notes == [[f"alice@example.com: note {number}" for number in range(4)]] * 8
    assert sum(count > 0 for count in taken) >= 2, taken


def test_a_heartbeat_shows_in_alertas_console(make_rig: Any, alerta: AlertaServer, console: Console) -> None:
    key = alerta.create_key("beat@example.com", scopes=("write:alerts", "write:heartbeats"))
    with make_rig(own={"heartbeatIntervalInSeconds": 20}) as rig:
        rig.config["globalArgs"][3] = key
        connector = rig.start()

        def beats() -> list[Any]:
            found = console.call("GET", "/heartbeats")["heartbeats"]
            return [beat for beat in found if beat["origin"].startswith("alerta-opsgenie/")]

        wait_until(lambda: bool(beats()), END_SECONDS, lambda: connector.log)
        (beat,) = beats()
    assert beat["timeout"] == 60
    assert "oec" in beat["tags"]


def test_no_secret_is_ever_written(make_rig: Any, console: Console, alerta_key: str) -> None:
    with make_rig() as rig:
        connector = rig.start("--log-format", "json", "--log-level", "debug")
        alert_id = console.create_alert()["id"]
        rig.create(alert_id)
        rig.person().acknowledge(alert_id)
        rig.wait_callbacks(2)
        rig.cloud.credentials.expire()
        rig.person().unacknowledge(alert_id)
        rig.wait_callbacks(3)
        pages = "".join(connector.page(path)[1] for path in ("/metrics", "/healthz", "/readyz"))
        connector.stop()
        shown = connector.log + pages
        secrets = [alerta_key, rig.integration.key]
        secrets += [token for token, _ in rig.cloud.credentials._expiries.values()]
    for secret in secrets:
        assert secret not in shown
    for line in connector.log.splitlines():
        assert json.loads(line)["level"]


def rest_of(manager: socket.socket) -> list[str]:
    """Give what was sent and not read yet."""
    manager.setblocking(False)
    told = []
    with suppress(BlockingIOError):
        while True:
            told.append(manager.recv(1000).decode())
    return told


def test_systemd_is_told_when_it_is_ready_alive_and_ending(make_rig: Any, tmp_path: Path) -> None:
    with make_rig() as rig, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        connector = rig.start(env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"})
        told = [manager.recv(1000).decode()]
        while "1 of 1 queues answer" not in told[-1]:
            told.append(manager.recv(1000).decode())
        told += [manager.recv(1000).decode() for _ in range(3)]
        connector.stop()
        told += rest_of(manager)
    assert told[0] == "READY=1"
    assert told.count("WATCHDOG=1") >= 2
    assert "STOPPING=1" in told
