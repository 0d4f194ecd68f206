"""Routes choose by any field, the first one that matches."""

from __future__ import annotations

import pytest

from alerta_opsgenie.core.routing import DEFAULT, FIELDS, RouteError, choose, read_matcher, read_names, read_route
from alerta_opsgenie.core.wording import AlertValues, values

ALERT = AlertValues(
    "id", resource="web01", environment="Production", service=("Web", "Shop"), group="OS", event="Disk",
    severity="major", tags=("db", "night"), customer="acme", origin="prom", type="alert", text="full",
    attributes={"site": "east", "n": 5},
)  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resource", "web01"), ("environment", "Production"), ("service", "Shop"), ("group", "OS"), ("event", "Disk"),
        ("severity", "major"), ("tag", "night"), ("customer", "acme"), ("origin", "prom"), ("type", "alert"),
        ("text", "full"), ("attributes.site", "east"), ("attributes.n", "5"),
    ],
)  # fmt: skip
def test_each_field_can_be_matched_and_has_to_match_whole(field: str, value: str) -> None:
    assert read_route(0, {"match": {field: value}}).matches(values(ALERT))
    assert read_route(0, {"match": {field: ["no", value]}}).matches(values(ALERT))
    assert not read_route(0, {"match": {field: value[:-1]}}).matches(values(ALERT))
    assert field in FIELDS or field.startswith("attributes.")


def test_all_patterns_have_to_match() -> None:
    assert not read_route(0, {"match": {"resource": "web.*", "environment": "Code"}}).matches(values(ALERT))


def test_the_first_matching_route_is_used_else_the_default() -> None:
    routes = [read_route(0, {"match": {"resource": "db.*"}}), read_route(1, {"match": {"resource": "web.*"}}),
              read_matcher(0, {"regex": "w", "api_key": "k"})]  # fmt: skip
    assert choose(routes, values(ALERT)).name == "route 1"
    assert choose(routes[:1], values(ALERT)).name == DEFAULT
    assert choose(routes[2:], values(ALERT)).name == "matcher w"


def test_an_attribute_that_the_alert_has_not_matches_nothing() -> None:
    assert not read_route(0, {"match": {"attributes.absent": ".*"}}).matches(values(ALERT))


def test_an_error_names_the_route_and_never_its_key() -> None:
    with pytest.raises(RouteError, match=r"OPSGENIE_ROUTES\[3\]") as caught:
        read_route(3, {"match": {"color": "x"}, "api_key": "planted"})
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(("value", "names"), [("a, b,,c ", ("a", "b", "c")), (["a", " b"], ("a", "b")), (None, ())])
def test_names_come_as_a_list_or_as_a_text(value: object, names: tuple[str, ...]) -> None:
    assert read_names(value) == names
