"""The requests to Opsgenie and JSM for each event. Nothing is sent here."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab.cloud.limits import check

from alerta_opsgenie.core import limits
from alerta_opsgenie.core.echo import MARK
from alerta_opsgenie.core.events import Event
from alerta_opsgenie.core.publish import REQUESTS, AlertEvent, Dialect, Policy, Request, publish
from alerta_opsgenie.core.routing import Route
from alerta_opsgenie.core.wording import AlertValues, HistoryEntry, Templates

ID = "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"
ALERT = AlertValues(
    ID,
    resource="web01",
    event="DiskFull",
    environment="Production",
    severity="major",
    service=("Web",),
    group="Storage",
    value="97%",
    text="Disk usage high",
    previous_severity="minor",
    history=(HistoryEntry("new", "open", "major", ID),),
)
UNTIL_SECONDS = 1_767_225_600.0


def dispatched(event: Event, policy: Policy | None = None, alert: AlertValues = ALERT, **act: object) -> list[Request]:
    done = AlertEvent(event, **{"actor": "alice@example.com", "until_seconds": UNTIL_SECONDS, **act})  # type: ignore[arg-type]
    return list(publish(alert, [done], policy or Policy(update_repeats=True)).requests)


def only(event: Event, policy: Policy | None = None, alert: AlertValues = ALERT, **act: object) -> Request:
    (request,) = dispatched(event, policy, alert, **act)
    return request


def test_each_event_has_a_row_in_each_dialect() -> None:
    assert {dialect: set(rows) for dialect, rows in REQUESTS.items()} == {dialect: set(Event) for dialect in Dialect}


def test_jsm_gets_none_but_the_documented_calls() -> None:
    """Without the setting for extra calls."""
    operations = {request.operation for event in Event for request in dispatched(event, Policy(dialect=Dialect.JSM))}
    assert operations == {"create", "acknowledge", "close", "note"}


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("event", Event)
def test_each_request_is_one_that_the_vendor_takes(event: Event, dialect: Dialect) -> None:
    for request in dispatched(event, Policy(dialect=dialect, update_repeats=True)):
        assert complaints(request) == ({}, [], [])


def complaints(request: Request, *, utf16: bool = True) -> tuple[dict[str, str], list[str], list[str]]:
    """The stand-in's objections to a request: errors, unknown fields, fields that it would cut."""
    named = {"note": "add_note"} | {name: f"update_{name}" for name in ("priority", "message", "description")}
    operation = named.get(request.operation, request.operation)
    checked = check(operation, dict(request.body), now_ms=int((UNTIL_SECONDS - 9) * 1000), utf16=utf16)
    return checked.errors, checked.unknown, checked.cut


def test_a_long_name_keeps_the_mark() -> None:
    user = only(Event.ACKED, actor="a" * 300).body["user"]
    assert user.endswith(MARK)
    assert len(user) == limits.USER


def test_a_route_s_teams_and_priority_go_before_the_general_ones() -> None:
    route = Route("r", (), teams=("night",), priority="P5")
    policy = Policy(teams=("ops",), priorities={"major": "P2"}, routes=(route,))
    dispatch = publish(ALERT, [AlertEvent(Event.RAISED)], policy)
    assert dispatch.route == "r"
    assert dispatch.requests[0].body["responders"] == [{"name": "night", "type": "team"}]
    assert dispatch.requests[0].body["priority"] == "P5"


def test_a_route_can_keep_an_alert_here() -> None:
    assert dispatched(Event.RAISED, Policy(routes=(Route("none", (), send=False),))) == []


def test_templates_word_message_description_entity_and_tags() -> None:
    tags = ("{service}", "sev:{severity}")
    templates = Templates("{event} on {resource}", "see {attributes.runbook}", "{group}", tags)
    alert = ALERT._replace(attributes={"runbook": "https://example.com/r"}, service=("A", "B"))
    body = only(Event.RAISED, Policy(templates=templates), alert).body
    assert body["message"] == "DiskFull on web01"
    assert body["description"] == "see https://example.com/r"
    assert body["entity"] == "Storage"
    assert body["tags"] == ["A", "B", "sev:major"]


@pytest.mark.parametrize("event", [event for event in Event if event is not Event.RAISED])
def test_nothing_is_sent_about_an_alert_that_was_never_sent(event: Event) -> None:
    history = (HistoryEntry("ack", "ack", "warning"), HistoryEntry("new", "open", "warning"))
    alert = ALERT._replace(severity="warning", history=history)
    assert dispatched(event, Policy(), alert) == []


def test_an_assignment_is_to_the_owner_else_to_the_actor_else_a_note() -> None:
    owned = ALERT._replace(attributes={"owner": "bob@example.com"})
    assert only(Event.ASSIGNED, None, owned).body["owner"] == {"username": "bob@example.com"}
    assert only(Event.ASSIGNED).body["owner"] == {"username": "alice@example.com"}
    assert only(Event.ASSIGNED, actor="alice").body["note"] == "Assigned in Alerta"


@pytest.mark.parametrize(("wanted", "operations"), [("close", "close"), ("delete", "delete"), ("ignore", None)])
def test_a_delete_closes_deletes_or_is_not_sent(wanted: str, operations: str | None) -> None:
    requests = dispatched(Event.DELETED, Policy(on_delete=wanted))
    assert [request.operation for request in requests] == ([operations] if operations else [])


def test_a_delete_has_its_fields_in_the_query_and_no_body() -> None:
    request = only(Event.DELETED, Policy(on_delete="delete"))
    assert request.method == "DELETE"
    assert request.path.startswith(f"/v2/alerts/{ID}?identifierType=alias&user=alice%40example.com%20via%20Alerta")
    assert request.body == {}


def test_repeats_are_sent_only_by_the_setting() -> None:
    assert dispatched(Event.REPEATED, Policy()) == []
    assert [request.operation for request in dispatched(Event.REPEATED)] == ["description"]


def test_an_alias_is_always_one_part_of_the_path() -> None:
    path = only(Event.ACKED, None, ALERT._replace(id="../users?x=/y")).path
    assert path == "/v2/alerts/..%2Fusers%3Fx%3D%2Fy/acknowledge?identifierType=alias"


TEXTS = st.text(max_size=60) | st.builds(
    lambda unit, times: unit * times, st.sampled_from(["x", "\N{PILE OF POO}", "\x00", "\ud800", "a,b "]),
    st.sampled_from([1, 40, 120, 9_000, 26_000]),
)  # fmt: skip


FIELDS = ("resource", "event", "environment", "group", "value", "text", "customer", "origin")
ALERTS = st.fixed_dictionaries(
    {**dict.fromkeys(FIELDS, TEXTS), "service": st.lists(TEXTS, max_size=25).map(tuple)}
).map(lambda fields: ALERT._replace(**cast("dict[str, Any]", fields)))


@given(
    alert=ALERTS,
    act=st.tuples(st.sampled_from(Event), TEXTS, TEXTS, st.just(UNTIL_SECONDS)).map(lambda fields: AlertEvent(*fields)),
    dialect=st.sampled_from(Dialect),
)
def test_no_alert_breaks_a_limit(alert: AlertValues, act: AlertEvent, dialect: Dialect) -> None:
    """The vendor accepts the request for any alert, whether it counts code points or UTF-16 units."""
    for request in publish(alert, [act], Policy(dialect=dialect, update_repeats=True)).requests:
        for utf16 in (False, True):
            assert complaints(request, utf16=utf16) == ({}, [], [])
        "".join(map(str, request.body.values())).encode("utf-8")


def test_cut_fields_are_named() -> None:
    dispatch = publish(ALERT._replace(text="x" * 200), [AlertEvent(Event.RAISED)], Policy())
    assert dispatch.cut == ("message",)


def test_with_extra_calls_jsm_gets_the_requests_of_opsgenie() -> None:
    policy = Policy(dialect=Dialect.JSM, extra_calls=True, update_repeats=True)
    assert [dispatched(event, policy) for event in Event] == [dispatched(event) for event in Event]


@pytest.mark.parametrize("event", Event)
def test_each_actor_ends_in_the_mark(event: Event) -> None:
    for request in dispatched(event):
        if request.method == "POST":
            assert request.body["user"] == f"alice@example.com{MARK}"
            assert request.body["source"] == "Alerta"


def test_without_a_login_the_source_is_the_actor() -> None:
    assert only(Event.ACKED, Policy(source="Alerta East"), actor="").body["user"] == f"Alerta East{MARK}"


def test_the_create_has_the_documented_fields() -> None:
    policy = Policy(teams=("ops", "dba"), priorities={"major": "P2"}, dashboard_url="https://alerta.example.com/")
    body = only(Event.RAISED, policy).body
    assert body["alias"] == ID
    assert body["message"] == "major: Disk usage high -> 97%"
    assert body["entity"] == "Web-Production"
    assert body["responders"] == [{"name": "ops", "type": "team"}, {"name": "dba", "type": "team"}]
    assert body["tags"] == ["Production", "web01", "Web", "DiskFull"]
    assert body["priority"] == "P2"
    assert body["details"]["web_url"] == f"https://alerta.example.com/#/alert/{ID}"
    assert all(isinstance(value, str) for value in body["details"].values())


def test_an_environment_that_is_not_wanted_stays_here() -> None:
    assert dispatched(Event.RAISED, Policy(environments=("Development",))) == []
    assert dispatched(Event.RAISED, Policy(environments=("Production",)))


@pytest.mark.parametrize("severity", ["warning", "informational"])
def test_warnings_are_sent_when_asked_for(severity: str) -> None:
    alert = ALERT._replace(severity=severity, history=(HistoryEntry("new", "open", severity, ID),))
    assert dispatched(Event.RAISED, Policy(), alert) == []
    assert dispatched(Event.RAISED, Policy(send_warn=True), alert)


def test_a_change_to_a_severity_that_is_not_sent_creates_nothing() -> None:
    alert = ALERT._replace(severity="warning", history=(HistoryEntry("severity", "open", "warning"), *ALERT.history))
    assert [request.operation for request in dispatched(Event.CHANGED, Policy(), alert)] == ["priority", "message"]


def test_operators_words_go_along_and_alerta_s_own_do_not() -> None:
    assert only(Event.ACKED, text="looking").body["note"] == "looking"
    assert "note" not in only(Event.ACKED, text="ack operator action").body


@pytest.mark.parametrize(
    ("account", "owner"),
    [
        ("bob@example.com", {"username": "bob@example.com"}),
        ("5b10ac8d82e05b22cc7d4ef5", {"id": "5b10ac8d82e05b22cc7d4ef5"}),
    ],
)
def test_an_owner_is_sent_by_the_vendors_id(account: str, owner: dict[str, str]) -> None:
    owned = ALERT._replace(attributes={"owner": "bob"}, account=account)
    assert only(Event.ASSIGNED, None, owned).body["owner"] == owner
