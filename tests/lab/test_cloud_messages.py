"""The messages of the stand-in have the envelopes of the example payloads, and each switch varies them as it says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab.cloud import Cloud, Integration, Queue, Switches
from lab.cloud.model import Actor, Command
from lab.cloud.person import Person

PAYLOADS = Path(__file__).parents[1] / "payloads"
ALIAS = "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"
NOW_NS = 1_751_623_200_123_456_789
JSON = dict[str, Any]


def end_snooze(one: Person) -> None:
    one.snooze(ALIAS, 1751630400)
    one.cloud.advance(3 * 3600)


Act = Callable[[Person], object]
ACTS: dict[str, Act] = {
    "Acknowledge": lambda one: one.acknowledge(ALIAS),
    "AddNote": lambda one: one.add_note(ALIAS, "looking at it"),
    "AddResponder": lambda one: one.add_responder(ALIAS, "bob@example.com"),
    "AddTags": lambda one: one.add_tags(ALIAS, "ticket:OPS-12", "escalated"),
    "AddTeam": lambda one: one.add_team(ALIAS, "Database"),
    "AssignOwnership": lambda one: one.assign(ALIAS, "bob@example.com"),
    "Close": lambda one: one.close(ALIAS),
    "CustomAction": lambda one: one.custom(ALIAS, "RestartService"),
    "Delete": lambda one: one.delete(ALIAS),
    "Escalate": lambda one: one.escalate(ALIAS, "web_esc"),
    "EscalateToNext": lambda one: one.escalate_to_next(ALIAS, "web_esc"),
    "RemoveTags": lambda one: one.remove_tags(ALIAS, "DiskFull"),
    "Snooze": lambda one: one.snooze(ALIAS, 1751630400),
    "TakeOwnership": lambda one: one.take_ownership(ALIAS),
    "UnAcknowledge": lambda one: (one.acknowledge(ALIAS), one.unacknowledge(ALIAS)),
    "UpdateDescription": lambda one: one.set_description(ALIAS, "df reports 99%"),
    "UpdateMessage": lambda one: one.set_message(ALIAS, "Disk usage 99% on web01"),
    "UpdatePriority": lambda one: one.set_priority(ALIAS, "P1"),
    "SnoozeEnded": end_snooze,
    "Create": lambda _one: None,
}
# AddRecipient is legacy: the API that sends it is gone (contracts 1.3). The others are no messages of an account.
NOT_MADE = {"AddRecipient.webhook", "JiraAutomation.jec", "Unknown.minimal"}
SAMPLES = sorted(
    path.stem for path in PAYLOADS.glob("*.json") if re.match("[A-Z]", path.stem) and path.stem not in NOT_MADE
)
# What some captures have and others have not.
OPTIONAL_TOP = {
    "actorUserId",
    "alertFlowContext",
    "actionType",
    "mappedActionDto",
    "mappedActionV2",
    "alertId",
    "customerId",
}
OPTIONAL_ALERT = {
    *("priority", "insertedAt", "userId", "alertType", "responders", "description", "details", "actions", "addedTags"),
    *("teams", "recipients", "tags", "oldPriority"),
}
SWITCHES_OF_SAMPLE = {
    "Create.legacy-int-priority": Switches(priority_type="integer"),
    "TakeOwnership.with-owner": Switches(take_ownership_owner=True),
    "Snooze.string-until": Switches(snoozed_until_type="string", snooze_end_date_format="space"),
    "Acknowledge.jec": Switches(mapped_name="postActionTo"),
}


def make_cloud(switches: Switches | None = None) -> tuple[Cloud, dict[str, Integration]]:
    """Return a cloud with the alert of the samples, as its API made it, and an integration of each kind."""
    cloud = Cloud(switches=switches, clock=lambda: NOW_NS)
    queue = (Queue("http://127.0.0.1:1/000000000000/q"),)
    kinds = {
        "webhook": cloud.add_webhook("http://127.0.0.1:1/", source_filter="Alerta"),
        "oec": cloud.add_oec(queues=queue, source_filter="Alerta", mapped_actions={"RestartService": "restartService"}),
        "jec": cloud.add_jec(queues=queue, source_filter="Alerta"),
    }
    fields = {
        "message": "Disk usage 97% on web01",
        "alias": ALIAS,
        "tags": ["Production", "web01", "web", "DiskFull"],
        "entity": "web-Production",
        "source": "Alerta",
        "description": "df reports 97% on /var (web01)" + "x" * 2000,
        "details": {"severity": "major", "long": "y" * 2000},
        "responders": [{"id": "0c7e2f11-1234-4d5e-9abc-def012345678", "type": "team", "name": "Ops"}],
        "actions": ["RestartService"],
    }
    api = Actor("Alerta", source_name="203.0.113.10", source_type="API", integration_id=cloud.add_api().integration_id)
    cloud.act(Command("create", api, fields=fields))
    return cloud, kinds


def last_message(cloud: Cloud, integration: Integration, action: str | None = None) -> JSON:
    return cloud.sent(integration, action)[-1]


def kind_of(name: str) -> str:
    kind = name.split(".")[1]
    queued = {"with-owner": "oec"}
    return queued.get(kind, kind if kind in ("oec", "jec", "webhook") else "webhook")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_message_has_the_keys_and_types_of_its_sample(name: str) -> None:
    sample = json.loads((PAYLOADS / f"{name}.json").read_text())
    cloud, kinds = make_cloud(SWITCHES_OF_SAMPLE.get(name, Switches(snooze_ended_on_queues=True)))
    ACTS[name.split(".", maxsplit=1)[0]](cloud.person("jane.doe@example.org"))
    made = last_message(cloud, kinds[kind_of(name)])
    assert made["action"] == sample["action"] or name == "CustomAction.webhook"
    assert set(made) ^ set(sample) <= OPTIONAL_TOP
    assert set(made["alert"]) ^ set(sample["alert"]) <= OPTIONAL_ALERT
    for key in set(made["alert"]) & set(sample["alert"]) - {"priority"}:
        assert type(made["alert"][key]) is type(sample["alert"][key]), key


@pytest.mark.parametrize(
    "name", ["Acknowledge.oec", "Acknowledge.jec", "Acknowledge.webhook", "Close.oec", "AddTags.oec"]
)
def test_a_persons_message_has_the_values_of_its_sample(name: str) -> None:
    sample = json.loads((PAYLOADS / f"{name}.json").read_text())
    cloud, kinds = make_cloud(SWITCHES_OF_SAMPLE.get(name))
    ACTS[sample["action"]](cloud.person("jane.doe@example.org"))
    made = last_message(cloud, kinds[kind_of(name)])
    drawn = {"alertId", "tinyId", "createdAt", "updatedAt", "insertedAt", "userId"}
    shared = (set(sample["alert"]) & set(made["alert"])) - drawn
    assert {key: made["alert"][key] for key in shared} == {key: sample["alert"][key] for key in shared}
    whole = (set(sample) & set(made)) - {"alert", "entity", "integrationId", "requestId"}
    assert {key: made[key] for key in whole} == {key: sample[key] for key in whole}
    assert made["alert"]["alertId"].endswith(f"-{made['alert']['createdAt']}")
    assert len(str(made["alert"]["updatedAt"])) == 19


def test_a_webhook_cuts_description_and_details_at_1000_characters_and_an_edge_message_has_none() -> None:
    cloud, kinds = make_cloud()
    alert = last_message(cloud, kinds["webhook"])["alert"]
    assert (len(alert["description"]), len(alert["details"]["long"])) == (1000, 1000)
    assert not {"description", "details"} & set(last_message(cloud, kinds["oec"])["alert"])


@pytest.mark.parametrize(
    ("who", "username", "source"),
    [
        ("person", "alice@example.com", {"name": "", "type": "web"}),
        ("system", "System", {"name": "", "type": "system"}),
    ],
)
def test_a_message_says_who_acted_and_where(who: str, username: str, source: JSON) -> None:
    cloud, kinds = make_cloud()
    (cloud.person(username) if who == "person" else cloud.system()).close(ALIAS)
    made = last_message(cloud, kinds["oec"])
    assert (made["alert"]["username"], made["source"]) == (username, source)


def test_only_alerts_of_the_filtered_source_are_sent() -> None:
    cloud, kinds = make_cloud()
    cloud.person("alice@example.com").create("other", "b", source="Zabbix")
    cloud.person("alice@example.com").close("b")
    assert [message["alert"]["alias"] for message in cloud.sent(kinds["oec"])] == [ALIAS]


def test_only_subscribed_actions_are_sent() -> None:
    cloud, _ = make_cloud()
    closes = cloud.add_webhook("http://127.0.0.1:1/", actions=frozenset({"Close"}))
    cloud.person("alice@example.com").acknowledge(ALIAS)
    cloud.person("alice@example.com").close(ALIAS)
    assert [message["action"] for message in cloud.sent(closes)] == ["Close"]


# --- switches -------------------------------------------------------------------------------------------------------


def edge_message(switches: Switches, act: Act, kind: str = "oec") -> JSON:
    cloud, kinds = make_cloud(switches)
    act(cloud.person("alice@example.com"))
    return last_message(cloud, kinds[kind])


def test_switch_note_of_action() -> None:
    def close(one: Person) -> object:
        return one.close(ALIAS, note="done")

    assert edge_message(Switches(), close)["alert"]["note"] == "done"
    cloud, kinds = make_cloud(Switches(note_of_action="separate"))
    close(cloud.person("alice@example.com"))
    first, second = cloud.sent(kinds["oec"])[-2:]
    assert (first["action"], "note" in first["alert"]) == ("Close", False)
    assert (second["action"], second["alert"]["note"]) == ("AddNote", "done")
    assert second["alert"]["updatedAt"] > first["alert"]["updatedAt"]


@pytest.mark.parametrize(("on_webhooks", "on_queues"), [(True, False), (False, True), (True, True), (False, False)])
def test_switch_snooze_ended(on_webhooks: bool, on_queues: bool) -> None:
    switches = Switches(snooze_ended_on_webhooks=on_webhooks, snooze_ended_on_queues=on_queues)
    cloud, kinds = make_cloud(switches)
    ACTS["SnoozeEnded"](cloud.person("alice@example.com"))
    assert bool(cloud.sent(kinds["webhook"], "SnoozeEnded")) is on_webhooks
    assert bool(cloud.sent(kinds["oec"], "SnoozeEnded")) is on_queues
