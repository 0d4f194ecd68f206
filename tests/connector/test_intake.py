"""Which messages are ours, and which mapping they are for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerta_opsgenie.connector.intake import MisfitError, read_action
from alerta_opsgenie.connector.transport import Receipt, Received
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.config import ActionMapping, EdgeConfig

OURS = ActionMapping("Acknowledge", "/opt/oecAlertaExecutor.py")
THEIRS = ActionMapping("Close", "/opt/close.sh")


def config(dialect: str = "oec", **mappings: ActionMapping) -> EdgeConfig:
    given = mappings or {"Acknowledge": OURS, "Close": THEIRS}
    return EdgeConfig(dialect, Secret("k"), "https://api.opsgenie.com", given)


def received(body: Any = None, **attributes: str) -> Received:
    text = body if isinstance(body, str) else json.dumps(body or {"action": "Acknowledge", "actionType": "custom"})
    return Received(Receipt("m", "h"), text, attributes, 1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("dialect", "attributes"),
    [
        ("oec", {"ownerId": "me"}),
        ("oec", {"integrationId": "me"}),
        ("jec", {"ownerId": "me", "channelId": "x"}),
        ("jec", {"ownerId": "x", "channelId": "me"}),
    ],
)
def test_a_message_is_ours_by_the_attributes_that_the_go_connectors_look_at(
    dialect: str, attributes: dict[str, str]
) -> None:
    assert read_action(received(**attributes), "me", config(dialect)).mapping is OURS


@pytest.mark.parametrize(
    ("dialect", "attributes"),
    [
        ("oec", {}),
        ("oec", {"ownerId": "another"}),
        ("oec", {"ownerId": "another", "integrationId": "me"}),
        ("oec", {"channelId": "me"}),
        ("jec", {"ownerId": "another", "channelId": "another"}),
        ("jec", {"integrationId": "me"}),
    ],
)
def test_any_other_is_not(dialect: str, attributes: dict[str, str]) -> None:
    with pytest.raises(MisfitError):
        read_action(received(**attributes), "me", config(dialect))


def test_while_we_do_not_know_who_we_are_nothing_is_ours() -> None:
    with pytest.raises(MisfitError):
        read_action(received(ownerId=""), "", config())


@pytest.mark.parametrize(
    "body",
    ["{", "[]", '"text"', "{}", '{"action": 1}', '{"action": "Close", "alert": []}', '{"action": "A", "entity": 1}',
     '{"action": "A", "requestId": 5}', "[" * 100_000, '{"a": ' * 60 + "1" + "}" * 60, " " * (1024 * 1024 + 1)],
)  # fmt: skip
def test_what_cannot_be_read_is_a_misfit_and_nothing_worse(body: str) -> None:
    with pytest.raises(MisfitError):
        read_action(received(body, ownerId="me"), "me", config())


def test_the_mapped_name_comes_before_the_actions_own() -> None:
    body = {"action": "Acknowledge", "actionType": "custom", "mappedActionV2": {"name": "Close"}}
    assert read_action(received(body, ownerId="me"), "me", config()).mapping is THEIRS


def test_for_our_executor_the_actions_own_name_will_do_where_the_mapped_one_is_unknown() -> None:
    body = {"action": "Acknowledge", "actionType": "custom", "mappedActionV2": {"name": "postActionToJEC"}}
    assert read_action(received(body, ownerId="me"), "me", config("jec")).mapping is OURS
    body["action"] = "Close"
    assert read_action(received(body, ownerId="me"), "me", config("jec")).mapping is None


@pytest.mark.parametrize(("action_type", "found"), [("custom", OURS), ("", OURS), ("http", None)])
def test_a_message_of_another_type_is_refused(action_type: str, found: ActionMapping | None) -> None:
    action = read_action(received({"action": "Acknowledge", "actionType": action_type}, ownerId="me"), "me", config())
    assert action.mapping is found
    assert bool(action.refusal) == (found is None)
