"""The REST API of the stand-in keeps the vendor's rules (contracts, section 3), seen by a plain HTTP client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from lab.cloud import Switches
from lab.cloud.integrations import RIGHTS

from tests.support.cloud import ALIAS, Running, running_cloud

OTHER_KEY = "00000000-1111-4222-8333-444444444444"


@pytest.fixture
def run() -> Iterator[Running]:
    """A cloud whose client must break no rule."""
    with running_cloud() as running:
        yield running


@pytest.fixture
def wrong() -> Iterator[Running]:
    """A cloud whose client breaks rules on purpose; the test says which."""
    with running_cloud(expect_violations=True) as running:
        yield running


def soon(seconds: float = 3600) -> str:
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


# --- authentication -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "status", "text"),
    [
        ("", 401, "Could not authenticate"),
        (f"GenieKey {OTHER_KEY}", 401, "Could not authenticate"),
        ("GenieKey nonsense", 422, "Key format is not valid!"),
    ],
)
def test_an_unknown_key_is_refused(wrong: Running, authorization: str, status: int, text: str) -> None:
    response = wrong.api.call("POST", "", {"message": "m"}, headers={"Authorization": authorization})
    assert (response.status_code, response.json()["message"]) == (status, text)
    assert wrong.cloud.alerts() == []


def test_a_wrong_scheme_is_a_violation(wrong: Running) -> None:
    response = wrong.api.call("GET", "", headers={"Authorization": f"Bearer {wrong.key.key}"})
    assert response.status_code == 401
    assert "GenieKey" in wrong.cloud.take_violations()[0]


def test_a_key_without_the_right_gets_403_with_the_code(run: Running) -> None:
    reader = run.cloud.add_api("reader", rights=RIGHTS - {"write"})
    response = run.api.call("POST", "", {"message": "m"}, headers={"Authorization": f"GenieKey {reader.key}"})
    assert (response.status_code, response.json()["code"]) == (403, 40301)


# --- form of requests -----------------------------------------------------------------------------------------------


def test_a_write_is_accepted_with_a_request_id(run: Running) -> None:
    response = run.api.create()
    body = response.json()
    assert response.status_code == 202
    assert body["result"] == "Request will be processed"
    assert response.headers["X-Request-Id"] == body["requestId"]
    assert response.headers["X-RateLimit-State"] == "OK"


@pytest.mark.parametrize(
    ("headers", "data", "status"),
    [
        ({"Content-Type": "text/plain"}, b'{"message": "m"}', 415),
        ({"Content-Type": "application/json"}, b'{"message": ', 400),
        ({"Content-Type": "application/json"}, b'["message"]', 400),
        ({"Content-Type": "application/json"}, b"{}", 422),
    ],
)
def test_a_body_that_is_not_a_json_object_is_a_violation(
    wrong: Running, headers: dict[str, str], data: bytes, status: int
) -> None:
    assert wrong.api.call("POST", "", headers=headers, data=data).status_code == status
    assert len(wrong.cloud.take_violations()) == 1


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/x/nonsense", 404), ("PATCH", "/x/priority", 405)])
def test_an_unknown_request_is_a_violation(wrong: Running, method: str, path: str, status: int) -> None:
    assert wrong.api.call(method, path, {}).status_code == status
    assert len(wrong.cloud.take_violations()) == 1


def test_an_unknown_field_is_taken_but_is_a_violation(wrong: Running) -> None:
    assert wrong.api.create(sevrity="major").status_code == 202
    assert "sevrity" in wrong.cloud.take_violations()[0]


def test_violations_fail_a_test() -> None:
    with pytest.raises(AssertionError, match="sevrity"), running_cloud() as running:
        running.api.create(sevrity="major")


# --- limits ---------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("message", {"message": ""}),
    ("message", {"message": "m" * 131}),
    ("message", {"message": 7}),
    ("alias", {"alias": "a" * 513}),
    ("description", {"description": "d" * 15001}),
    ("entity", {"entity": "e" * 513}),
    ("source", {"source": "s" * 101}),
    ("user", {"user": "u" * 101}),
    ("note", {"note": "n" * 25001}),
    ("priority", {"priority": "P6"}),
    ("priority", {"priority": 3}),
    ("tags", {"tags": [str(number) for number in range(21)]}),
    ("tags", {"tags": ["t" * 51]}),
    ("tags", {"tags": "a,b"}),
    ("actions", {"actions": [str(number) for number in range(11)]}),
    ("actions", {"actions": ["a" * 51]}),
    ("details", {"details": {"count": 3}}),
    ("details", {"details": ["a"]}),
    ("responders", {"responders": [{"name": "ops", "type": "team"}] * 51}),
    ("responders", {"responders": [{"name": "ops"}]}),
    ("responders", {"responders": [{"type": "team"}]}),
    ("responders", {"responders": ["ops"]}),
    ("visibleTo", {"visibleTo": [{"name": "s", "type": "schedule"}]}),
]

TAKEN: list[dict[str, Any]] = [
    {"message": "m" * 130},
    {"alias": "a" * 512},
    {"description": "d" * 15000},
    {"entity": "e" * 512, "source": "s" * 100, "user": "u" * 100, "note": "n" * 25000},
    {"tags": ["t" * 50 for _ in range(20)], "actions": ["a" * 50 for _ in range(10)]},
    {"responders": [{"name": "ops", "type": "team"}] * 50, "visibleTo": [{"username": "u", "type": "user"}] * 50},
    {"priority": "P1", "details": {"k": "v" * 7999}},
]


@pytest.mark.parametrize(("name", "fields"), REFUSED, ids=str)
def test_a_field_beyond_its_limit_is_refused_by_name(wrong: Running, name: str, fields: dict[str, Any]) -> None:
    response = wrong.api.create(**fields)
    body = response.json()
    assert response.status_code == 422
    assert list(body["errors"]) == [name]
    assert {"message", "errors", "took", "requestId"} == set(body)
    assert len(wrong.cloud.take_violations()) == 1
    assert wrong.cloud.alerts() == []


@pytest.mark.parametrize("fields", TAKEN)
def test_a_field_at_its_limit_is_taken(run: Running, fields: dict[str, Any]) -> None:
    assert run.api.create(**fields).status_code == 202
    assert run.cloud.records.cuts == []


def test_details_beyond_8000_characters_are_cut_and_not_refused(run: Running) -> None:
    assert run.api.create(details={"a": "x" * 5000, "b": "y" * 5000, "c": "z"}).status_code == 202
    kept = run.api.get()["details"]
    assert sum(len(key) + len(value) for key, value in kept.items()) == 8000
    assert "c" not in kept
    assert "details" in run.cloud.records.cuts[0]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/snooze", {}, "endTime"),
        ("POST", "/snooze", {"endTime": "tomorrow"}, "endTime"),
        ("POST", "/snooze", {"endTime": soon(-5)}, "endTime"),
        ("POST", "/notes", {}, "note"),
        ("POST", "/assign", {}, "owner"),
        ("POST", "/assign", {"owner": "alice@example.com"}, "owner"),
        ("POST", "/tags", {"tags": []}, "tags"),
        ("DELETE", "/tags", None, "tags"),
        ("POST", "/details", {}, "details"),
        ("PUT", "/priority", {"priority": "high"}, "priority"),
        ("PUT", "/message", {"message": "m" * 131}, "message"),
    ],
)
def test_an_action_without_its_field_is_refused(wrong: Running, method: str, path: str, body: Any, field: str) -> None:
    wrong.api.create()
    response = wrong.api.call(method, f"/{ALIAS}{path}?identifierType=alias", body)
    assert (response.status_code, list(response.json()["errors"])) == (422, [field])
    assert len(wrong.cloud.take_violations()) == 1


# --- asynchronous processing ----------------------------------------------------------------------------------------


def test_a_request_is_404_with_its_errortype_until_it_is_processed(run: Running) -> None:
    run.cloud.set_processing_delay(60)
    created = run.api.create()
    before = run.api.status_of(created)
    assert before.status_code == 404
    assert before.headers["X-Opsgenie-Errortype"] == "RequestNotProcessed"
    assert run.api.get() is None
    run.cloud.advance(61)
    after = run.api.status_of(created).json()["data"]
    assert (after["success"], after["isSuccess"], after["action"], after["alias"]) == (True, True, "Create", ALIAS)
    assert run.api.get()["status"] == "open"


def test_requests_of_one_alert_are_processed_in_order(run: Running) -> None:
    run.cloud.set_processing_delay(0, 60)
    run.api.create()
    for number in range(10):
        run.api.act("notes", note=str(number))
    run.cloud.advance(61)
    assert [note["note"] for note in run.api.get(path="/notes")] == [str(number) for number in reversed(range(10))]


@pytest.mark.parametrize("action", ["acknowledge", "close"])
def test_an_action_on_an_unknown_alias_is_accepted_and_fails_later(run: Running, action: str) -> None:
    status = run.api.status_of(run.api.act(action, alias="nobody")).json()["data"]
    assert (status["success"], status["status"], status["alertId"]) == (False, "Alert does not exist", "")


# --- rate limits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retry_after", [False, True])
def test_requests_beyond_the_bucket_are_throttled_until_it_fills(retry_after: bool) -> None:
    with running_cloud(Switches(retry_after=retry_after)) as run:
        run.cloud.limit_rate("alert", per_minute=2)
        statuses = [run.api.create().status_code for _ in range(2)]
        throttled = run.api.create()
        assert [*statuses, throttled.status_code] == [202, 202, 429]
        assert throttled.headers["X-RateLimit-State"] == "THROTTLED"
        assert throttled.headers["X-RateLimit-Period-In-Sec"] == "60"
        assert throttled.headers["X-RateLimit-Reason"]
        assert ("Retry-After" in throttled.headers) is retry_after
        run.cloud.advance(30)
        assert run.api.create().status_code == 202


# --- deduplication and identifiers ----------------------------------------------------------------------------------


def test_a_repeat_counts_and_changes_no_text(run: Running) -> None:
    run.api.create("first", priority="P2", description="one", tags=["a"])
    first = run.api.get()
    run.api.create("second", priority="P1", description="two", tags=["b"])
    again = run.api.get()
    assert again["count"] == 2
    assert {key for key in first if first[key] != again[key]} <= {"count", "lastOccurredAt"}


def test_after_a_close_the_alias_starts_a_new_alert(run: Running) -> None:
    run.api.create()
    first = run.api.get()
    run.api.act("close")
    run.api.create("again")
    second = run.api.get()
    assert (first["id"] != second["id"], second["count"], second["message"]) == (True, 1, "again")
    assert run.api.call("GET", f"/{first['id']}").json()["data"]["status"] == "closed"


# --- effects --------------------------------------------------------------------------------------------------------


def test_every_action_of_the_api_shows_in_the_alert(run: Running) -> None:
    query = f"/{ALIAS}%s?identifierType=alias"
    run.api.create(tags=["a", "b"], details={"x": "1"}, actions=["Restart"])
    run.api.act("tags", tags=["c"])
    run.api.call("DELETE", query % "/tags" + "&tags=a,b&user=alice@example.com&note=gone&source=Alerta")
    run.api.act("details", details={"y": "2"})
    run.api.call("DELETE", query % "/details" + "&keys=x")
    run.api.act("assign", owner={"username": "bob@example.com"})
    run.api.act("responders", responder={"username": "carol@example.com", "type": "user"})
    run.api.act("teams", team={"name": "Ops"})
    run.api.act("escalate", escalation={"name": "Night"})
    run.api.act("actions/Restart")
    run.api.call("PUT", query % "/priority", {"priority": "P1"})
    run.api.call("PUT", query % "/message", {"message": "new"})
    run.api.call("PUT", query % "/description", {"description": "text"})
    alert = run.api.get()
    assert alert["tags"] == ["c"]
    assert alert["details"] == {"y": "2"}
    assert (alert["owner"], alert["priority"], alert["message"]) == ("bob@example.com", "P1", "new")
    assert alert["description"] == "text"
    assert [one["type"] for one in alert["responders"]] == ["user", "team", "escalation"]
    assert [note["note"] for note in run.api.get(path="/notes")] == ["gone"]
    assert run.api.get(path="/logs")[0]["log"].startswith("UpdateDescription")
    run.api.call("DELETE", query % "" + "&user=alice@example.com&source=Alerta")
    assert run.api.get() is None


# --- lists ----------------------------------------------------------------------------------------------------------


def test_lists_are_searched_sorted_and_paged(run: Running) -> None:
    for name in ("a", "b", "c"):
        run.api.create(alias=name, tags=["x"] if name != "b" else ["y"])
    run.api.act("close", alias="a")
    query = "?query=status:open AND tag:x&sort=alias&order=asc"
    assert [one["alias"] for one in run.api.call("GET", query).json()["data"]] == ["c"]
    page = run.api.call("GET", "?limit=2&offset=1&sort=alias&order=asc").json()["data"]
    assert [one["alias"] for one in page] == ["b", "c"]
    assert run.api.call("GET", "/count?query=status:open").json()["data"] == {"count": 2}


@pytest.mark.parametrize("query", ["limit=101", "limit=0", "offset=19990&limit=20", "sort=nonsense", "query=a OR b"])
def test_a_list_beyond_its_limits_is_refused(wrong: Running, query: str) -> None:
    assert wrong.api.call("GET", f"?{query}").status_code == 422
    assert len(wrong.cloud.take_violations()) == 1


# --- JSM ------------------------------------------------------------------------------------------------------------

UNDOCUMENTED: list[tuple[str, str, Any]] = [
    ("POST", "/unacknowledge", {}),
    ("POST", "/snooze", {"endTime": soon()}),
    ("POST", "/assign", {"owner": {"username": "u"}}),
    ("POST", "/tags", {"tags": ["a"]}),
    ("PUT", "/priority", {"priority": "P1"}),
    ("DELETE", "", None),
]


@pytest.mark.parametrize("missing_status", [404, 405])
@pytest.mark.parametrize(("method", "path", "body"), UNDOCUMENTED)
def test_jsms_undocumented_actions_are_a_switch(method: str, path: str, body: Any, missing_status: Any) -> None:
    with running_cloud(Switches(jsm_missing_status=missing_status)) as run:
        run.jsm.create()
        target = f"/{ALIAS}{path}?identifierType=alias"
        assert run.jsm.call(method, target, body).status_code == missing_status
        run.cloud.switches.jsm_undocumented_actions = True
        assert run.jsm.call(method, target, body).status_code == 202
