"""The plugin's settings: the existing plugin's as they are, and nothing that is wrong keeps alerts from being sent."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.core.publish import Dialect
from alerta_opsgenie.core.reconcile import FIELDS
from alerta_opsgenie.core.routing import choose
from alerta_opsgenie.core.wording import AlertValues, entity, message, values
from alerta_opsgenie.plugin.directories import SPOOL
from alerta_opsgenie.plugin.settings import Settings, read_settings


def read(config: dict[str, Any] | None = None, **environment: str) -> Settings:
    return read_settings({"OPSGENIE_SPOOL_DIR": "/tmp/spool", **(config or {})}, environment)


def test_the_example_of_the_existing_plugin_s_readme_works_unchanged() -> None:
    settings = read(
        {
            "OPSGENIE_SERVICE_KEY": "54A634B1-FB0C-4758-840F-5D808C89E70E",
            "SERVICE_KEY_MATCHERS": [{"regex": "proxy[\\d+]", "api_key": "6b982ii3l8p834566oo13zx9477p1zxd"}],
            "DASHBOARD_URL": "https://try.alerta.io",
            "OPSGENIE_SEND_WARN": False,
        }
    )
    assert settings.problems == ()
    assert key_for(settings, "proxy1.example.com") == "6b982ii3l8p834566oo13zx9477p1zxd"
    assert key_for(settings, "my-proxy1") == "54A634B1-FB0C-4758-840F-5D808C89E70E", "matched from the beginning"
    assert settings.policy.dashboard_url == "https://try.alerta.io"
    assert (settings.policy.send_warn, settings.policy.default_priority) == (False, "P3")


def key_for(settings: Settings, resource: str) -> str:
    route = choose(settings.policy.routes, values(AlertValues("id", resource=resource)))
    return settings.key_of(route.name).reveal()


def test_without_any_setting_it_starts_and_sends_nothing() -> None:
    """The existing plugin ends with a KeyError without OPSGENIE_SERVICE_KEY and SERVICE_KEY_MATCHERS."""
    settings = read()
    assert (settings.sends, settings.problems) == (False, ())


def test_the_environment_has_precedence_and_has_lists_as_json() -> None:
    settings = read(
        {"OPSGENIE_SERVICE_KEY": "from-file", "OPSGENIE_TEAMS": "a"},
        OPSGENIE_SERVICE_KEY="from-env",
        OPSGENIE_TEAMS="ops, dba,",
        OPSGENIE_SEND_WARN="False",
        SERVICE_KEY_MATCHERS=json.dumps([{"regex": "db", "api_key": "k"}]),
        OPSGENIE_SEVERITY_MAP='{"major": "p1"}',
        OPSGENIE_SEND_ENVIRONMENTS="['Production', 'Code']",
    )
    assert settings.key.reveal() == "from-env"
    assert settings.policy.teams == ("ops", "dba")
    assert settings.policy.send_warn is False
    assert key_for(settings, "db1") == "k"
    assert settings.policy.priorities == {"major": "P1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVICE_KEY_MATCHERS", "no list"),
        ("SERVICE_KEY_MATCHERS", [{"regex": "("}]),
        ("OPSGENIE_ROUTES", [{"match": {"nothing": "x"}}]),
        ("OPSGENIE_ROUTES", [{"match": {"resource": "x"}, "teem": "x"}]),
        ("OPSGENIE_ROUTES", [{"match": {"resource": "x"}, "priority": "P9"}]),
        ("OPSGENIE_SEVERITY_MAP", {"major": "urgent"}),
        ("OPSGENIE_DEFAULT_SEVERITY", "high"),
        ("OPSGENIE_URL", "api.opsgenie.com"),
        ("OPSGENIE_MESSAGE_TEMPLATE", "{nothing}"),
        ("OPSGENIE_MESSAGE_TEMPLATE", "{text.__class__}"),
        ("OPSGENIE_TAGS_TEMPLATES", ["{0}"]),
        ("OPSGENIE_COMPATIBLE", "4.9"),
        ("OPSGENIE_TIMEOUT", "soon"),
        ("OPSGENIE_ON_DELETE", "forget"),
    ],
)
def test_an_invalid_setting_is_a_problem_and_the_others_are_used(name: str, value: Any) -> None:
    settings = read({"OPSGENIE_SERVICE_KEY": "k", name: value})
    assert len(settings.problems) == 1
    assert name in settings.problems[0]
    assert settings.sends


@pytest.mark.parametrize("version", ["5.0", 5.0])
def test_one_setting_keeps_the_wording_of_the_plugin_5_0(version: Any) -> None:
    """The expected texts are those of plugins/opsgenie of alerta-contrib for the same alert."""
    templates = read({"OPSGENIE_COMPATIBLE": version}).policy.templates
    alert = AlertValues("id", environment="Production", severity="major", text="disk full", value="97%")
    alert = alert._replace(service=("Web",))
    assert message(alert, templates) == "[ Production ]: major: disk full"
    assert entity(alert, templates) == "Production"


def test_a_route_matches_on_any_field_and_before_the_matchers() -> None:
    settings = read(
        {
            "OPSGENIE_ROUTES": [
                {"match": {"environment": "Prod.*", "tag": ["db", "sql.*"]}, "api_key": "dba", "teams": "dba"},
                {"match": {"customer": "acme", "attributes.site": "east"}, "priority": "P1"},
                {"match": {"environment": "Development"}, "send": False},
            ],
            "SERVICE_KEY_MATCHERS": [{"regex": "", "api_key": "matched"}],
        }
    )

    def route(**fields: Any) -> Any:
        return choose(settings.policy.routes, values(AlertValues("id", **fields)))

    assert route(environment="Production", tags=("web", "sql1")).teams == ("dba",)
    assert route(environment="Production", tags=("web",)).name == "matcher "
    assert route(customer="acme", attributes={"site": "east"}).priority == "P1"
    assert route(environment="Development").send is False


def test_keys_are_read_from_files_and_again_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first\n")
    key = read({"OPSGENIE_SERVICE_KEY_FILE": str(path)}).key
    assert key.reveal() == "first"
    path.write_text("second key\n")
    assert key.reveal() == "second key"


def test_no_key_is_ever_shown() -> None:
    settings = read({"OPSGENIE_SERVICE_KEY": "planted", "OPSGENIE_WEBHOOK_SECRET": "planted",
                     "SERVICE_KEY_MATCHERS": [{"regex": "x", "api_key": "planted"}]})  # fmt: skip
    assert "planted" not in repr(settings) + str(settings.key)


def test_a_removed_route_uses_the_default_key() -> None:
    assert read({"OPSGENIE_SERVICE_KEY": "k"}).key_of("matcher of yesterday").reveal() == "k"


@pytest.mark.parametrize(
    ("config", "url", "dialect"),
    [
        ({}, "https://api.opsgenie.com", Dialect.OPSGENIE),
        ({"OPSGENIE_URL": "https://api.eu.opsgenie.com"}, "https://api.eu.opsgenie.com", Dialect.OPSGENIE),
        ({"OPSGENIE_DIALECT": "jsm"}, "https://api.atlassian.com/jsm/ops/integration", Dialect.JSM),
        ({"OPSGENIE_URL": "https://api.atlassian.com"}, "https://api.atlassian.com", Dialect.JSM),
        ({"OPSGENIE_URL": "http://proxy.example.com", "OPSGENIE_DIALECT": "JSM"}, "http://proxy.example.com",
         Dialect.JSM),
    ],
)  # fmt: skip
def test_the_dialect_follows_from_the_url_unless_it_is_set(config: dict[str, str], url: str, dialect: Dialect) -> None:
    settings = read(config)
    assert (settings.url, settings.policy.dialect) == (url, dialect)


HASH = hashlib.sha256(b"the bridge's key").hexdigest()
ID = "2c6f2f0b-6d0a-4b0e-9d0c-7f5f0f1e2d3c"


def test_the_bridge_is_named_by_hash_or_id_of_its_key() -> None:
    keys = read({"OPSGENIE_BRIDGE_KEY": [f"sha256:{HASH}", ID.upper()]}).bridge_keys
    assert keys.include("the bridge's key", lambda: "")
    assert keys.include("another", lambda: ID)
    assert not keys.include("another", lambda: "x")


@pytest.mark.parametrize("value", [f"{HASH}", f"['sha256:{HASH}']", f'["{HASH.upper()}"]', f" {HASH} , {ID}"])
def test_the_bridge_s_key_may_be_any_form_of_list(value: str) -> None:
    assert read(OPSGENIE_BRIDGE_KEY=value).bridge_keys.include("the bridge's key", lambda: "")


def test_a_key_in_place_of_its_hash_is_a_problem_and_never_shown() -> None:
    settings = read({"OPSGENIE_BRIDGE_KEY": "the-planted-key-itself"})
    assert len(settings.problems) == 1
    assert "sha256sum" in settings.problems[0]
    assert "planted" not in settings.problems[0]
    assert not settings.bridge_keys.include("the-planted-key-itself", lambda: "")


def test_the_old_setting_is_a_problem_that_names_the_new_one() -> None:
    settings = read({"OPSGENIE_BRIDGE_USER": "opsgenie-bridge@example.com"})
    assert len(settings.problems) == 1
    assert "OPSGENIE_BRIDGE_KEY" in settings.problems[0]
    assert "sha256sum" in settings.problems[0]


@pytest.mark.parametrize(
    ("name", "read_of"),
    [
        ("OPSGENIE_SEND_ENVIRONMENTS", lambda settings: settings.policy.environments),
        ("OPSGENIE_ACCEPT_SOURCES", lambda settings: tuple(sorted(settings.relay.sources))),
        ("OPSGENIE_WEBHOOK_CUSTOMERS", lambda settings: settings.webhook_customers),
    ],
)
@pytest.mark.parametrize("value", ['["A", "B"]', "['A', 'B']", "('A', 'B')", "A, B", ["A", "B"]])
def test_each_list_may_be_json_python_or_commas(name: str, read_of: Callable[[Settings], Any], value: Any) -> None:
    settings = read({name: value})
    assert (read_of(settings), settings.problems) == (("A", "B"), ())


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("OPSGENIE_TEAM", "OPSGENIE_TEAMS"),
        ("OPSGENIE_WEBHOOK_SECRETFILE", "OPSGENIE_WEBHOOK_SECRET_FILE"),
    ],
)
def test_an_unknown_setting_is_a_problem_with_the_nearest_name(name: str, nearest: str) -> None:
    (problem,) = read({name: "x"}).problems
    assert name in problem
    assert nearest in problem


def test_a_slow_pattern_is_a_problem_and_the_other_routes_are_used() -> None:
    routes = [{"match": {"resource": "(a+)+b"}}, {"match": {"resource": "web.*"}, "priority": "P1"}]
    settings = read({"OPSGENIE_ROUTES": routes})
    assert "OPSGENIE_ROUTES[0]" in settings.problems[0]
    assert choose(settings.policy.routes, values(AlertValues("id", resource="web1"))).priority == "P1"


# -- Customers

SECRET = {"OPSGENIE_WEBHOOK_SECRET": "s"}


def test_with_customer_views_a_secret_without_customers_is_a_problem() -> None:
    (problem,) = read({**SECRET, "CUSTOMER_VIEWS": True}).problems
    assert "OPSGENIE_WEBHOOK_CUSTOMERS" in problem


@pytest.mark.parametrize(("value", "customers"), [("acme", ("acme",)), ("*", ())])
def test_with_customer_views_a_secret_with_customers_is_no_problem(value: str, customers: tuple[str, ...]) -> None:
    settings = read({**SECRET, "CUSTOMER_VIEWS": True, "OPSGENIE_WEBHOOK_CUSTOMERS": value})
    assert (settings.webhook_customers, settings.problems) == (customers, ())


@pytest.mark.parametrize("value", ["[", " ", ","])
def test_invalid_customers_disable_the_secret(value: str) -> None:
    settings = read({**SECRET, "OPSGENIE_WEBHOOK_CUSTOMERS": value})
    assert settings.problems
    assert not settings.webhook_secret.equals("s")


@pytest.fixture
def fallback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the outbox's directory if the default one cannot be used, in a directory like /tmp."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    return shared / f"alerta-opsgenie-plugin-{os.getuid()}"


def test_the_temporary_directory_is_used_if_the_default_cannot_be(fallback: Path) -> None:
    settings = read_settings({}, {})
    assert settings.spool_directory == str(fallback)
    assert "OPSGENIE_SPOOL_DIR" in settings.problems[0]
    assert stat.S_IMODE(fallback.stat().st_mode) == 0o700
    assert read_settings({}, {}).spool_directory == str(fallback)


def make_link(fallback: Path) -> None:
    """Make a link to the victim's own directory."""
    (fallback.parent.parent / "own").mkdir(mode=0o700)
    fallback.symlink_to(fallback.parent.parent / "own")


def make_open(fallback: Path) -> None:
    fallback.mkdir()
    fallback.chmod(0o777)


def make_file(fallback: Path) -> None:
    fallback.touch()


def make_parent_open(fallback: Path) -> None:
    fallback.parent.chmod(0o777)


def make_another_users(fallback: Path) -> None:
    if os.getuid():
        pytest.skip("only root can make another user's directory")
    fallback.mkdir(mode=0o700)
    os.chown(fallback, 12345, 12345)


@pytest.mark.parametrize("prepare", [make_link, make_open, make_file, make_parent_open, make_another_users])
def test_a_directory_that_another_user_made_first_is_not_used(fallback: Path, prepare: Callable[[Path], None]) -> None:
    """Attacker: another user of the host, who makes the directory before the plugin does."""
    prepare(fallback)
    settings = read_settings({}, {})
    assert settings.spool_directory == SPOOL
    assert str(fallback) in settings.problems[0]


@pytest.mark.parametrize(("value", "seconds"), [("off", 0.0), (False, 0.0), ("60", 60.0), (7, 7.0), ("soon", 300.0)])
def test_the_sweeps_have_an_interval_or_are_off(value: object, seconds: float) -> None:
    found = read({"OPSGENIE_RECONCILE": value})
    assert found.reconcile_seconds == seconds
    assert bool(found.problems) == (value == "soon")


def test_a_policy_is_for_its_field_only() -> None:
    found = read({"OPSGENIE_RECONCILE_POLICIES": {"owner": "report"}})
    assert found.reconcile_policies == {**FIELDS, "owner": "report"}


@pytest.mark.parametrize("policies", [{"owner": "me"}, {7: "alerta"}, "x"])
def test_an_invalid_policy_is_a_problem_and_the_defaults_are_used(policies: object) -> None:
    found = read({"OPSGENIE_RECONCILE_POLICIES": policies})
    assert found.reconcile_policies == FIELDS
    assert any("OPSGENIE_RECONCILE_POLICIES" in problem for problem in found.problems)


@pytest.mark.parametrize("url", [None, "", "no url"])
def test_a_login_for_jsms_full_api_needs_its_url(url: str | None) -> None:
    found = read({"OPSGENIE_OPS_LOGIN": "a@example.com:token", "OPSGENIE_OPS_URL": url})
    assert not found.ops_login
    assert any("OPSGENIE_OPS_URL" in problem for problem in found.problems)


ODD_VALUES: list[Any] = [
    None, 5, 1.5, [], [5, None], {}, {"a": 5, None: 5}, "", "[", "[1]", "{'a': 1}", True, ("x",), b"x", "\x00", "1e999",
    "nan",
]  # fmt: skip


SETTINGS_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_any_value_of_a_setting_lets_alerta_start() -> None:
    """An error would prevent that Alerta loads the plugin, and nothing would be sent."""
    names = [line.split("`")[1] for line in SETTINGS_PAGE.read_text().splitlines() if line.startswith("| `")]
    assert len(names) > 30
    for name in names:
        for value in ODD_VALUES:
            read_settings({name: value}, {})
            if isinstance(value, str):
                read_settings({}, {name: value})


BOTH = {"OPSGENIE_SERVICE_KEY": "o", "OPSGENIE_ALSO_JSM_KEY": "j"}


def test_jsm_is_the_second_product_with_one_key_and_its_own_url() -> None:
    route = {"name": "db", "match": {"tag": "db"}, "api_key": "r", "teams": ["dba"]}
    found = read({**BOTH, "OPSGENIE_ROUTES": [route]})
    assert (found.policy.dialect, found.key.reveal(), found.product) == (Dialect.OPSGENIE, "o", "")
    jsm = found.also
    assert jsm is not None
    assert (jsm.policy.dialect, jsm.url, jsm.product) == (
        Dialect.JSM,
        "https://api.atlassian.com/jsm/ops/integration",
        "jsm",
    )
    assert (jsm.key_of("route db").reveal(), jsm.policy.routes[0].teams) == ("j", ("dba",))


def test_without_a_key_of_opsgenie_jsm_is_the_only_product() -> None:
    found = read({"OPSGENIE_ALSO_JSM_KEY": "j"})
    assert (found.key.reveal(), found.policy.dialect, found.also) == ("j", Dialect.JSM, None)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({**BOTH, "OPSGENIE_URL": "https://api.atlassian.com"}, "OPSGENIE_ALSO_JSM_KEY: OPSGENIE_URL is JSM's already"),
        ({"OPSGENIE_SERVICE_KEY": "o", "OPSGENIE_ALSO_JSM_PRIMARY": 1}, "OPSGENIE_ALSO_JSM_PRIMARY: set OPSGENIE_ALSO"),
        ({**BOTH, "OPSGENIE_ALSO_JSM_URL": "ftp://x"}, "OPSGENIE_ALSO_JSM_URL: "),
    ],
)
def test_settings_that_do_not_fit_two_products_are_a_problem(config: dict[str, Any], problem: str) -> None:
    (found,) = read(config).problems
    assert found.startswith(problem)


ACCOUNT = "5b10ac8d82e05b22cc7d4ef5"


@pytest.mark.parametrize(
    "setting", [{ACCOUNT: "jane"}, f'{{"{ACCOUNT.upper()}": " jane"}}', f"{{'{ACCOUNT}': 'jane'}}"]
)
def test_people_are_a_dict_or_its_text(setting: Any) -> None:
    assert read({"OPSGENIE_PEOPLE": setting}).people == {ACCOUNT: "jane"}


@pytest.mark.parametrize("setting", [{ACCOUNT: 7}, {"a": "b", "A": "c"}, "{x", ["a"]])
def test_invalid_people_are_a_problem(setting: Any) -> None:
    found = read({"OPSGENIE_PEOPLE": setting})
    assert found.people == {}
    assert [problem.partition(":")[0] for problem in found.problems] == ["OPSGENIE_PEOPLE"]
