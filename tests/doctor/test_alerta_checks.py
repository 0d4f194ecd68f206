"""Problems of Alerta are found, and following the advice corrects them."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.doctor import alerta_checks
from alerta_opsgenie.doctor.finding import Finding
from tests.conftest import BRIDGE_USER
from tests.support.installed import Installed
from tests.support.web_page import web_page


def tell_url(installed: Installed, url: str) -> None:
    installed.change(lambda value: value["globalArgs"].__setitem__(1, url))


def tell_key(installed: Installed, key: str) -> None:
    installed.config.with_name("alerta.key").write_text(f"{key}\n")


@pytest.mark.parametrize("ending", ["", "/alert", "/api/alerts"])
def test_each_spelling_of_the_url_that_the_executor_accepts_is_ok(
    installed: Installed, alerta: AlertaServer, ending: str
) -> None:
    tell_url(installed, alerta.url + ending)
    assert installed.worst("alerta").level == "ok"


@pytest.mark.parametrize("ending", ["/alerta", "/api/api"])
def test_a_wrong_path_fails_and_the_right_url_is_suggested(
    installed: Installed, alerta: AlertaServer, ending: str
) -> None:
    tell_url(installed, alerta.url + ending)
    found = installed.worst("alerta")
    assert found.level == "fail"
    suggested = re.search(r'"(http://\S+)"', found.advice)
    assert suggested, found.advice
    tell_url(installed, suggested[1])
    assert installed.worst("alerta").level == "ok"


def test_the_web_interfaces_url_fails_and_its_api_is_suggested(installed: Installed) -> None:
    """The console's own address answers each path with its page, with status 200."""
    with web_page() as (url, routes):
        routes["/api/"] = {"status": "ok", "links": [{"href": f"{url}/api/alert"}]}
        tell_url(installed, url)
        found = installed.worst("alerta")
    assert (found.level, f"{url}/api" in found.advice) == ("fail", True)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/api", "alerta.example.com/api", "ftp://alerta.example.com", "http://user:pw@alerta/api"],
)
def test_a_url_that_does_not_answer_or_is_invalid_fails(installed: Installed, url: str) -> None:
    tell_url(installed, url)
    installed.ask(limit_seconds=1.0)
    found = installed.worst("alerta", "alerta-key", "attribution", "open-access")
    assert (found.check, found.level, "--alertaApiUrl" in found.advice) == ("alerta", "fail", True)
    assert "pw" not in found.what


@pytest.mark.parametrize("scope", ["", "read:alerts"])
def test_an_invalid_key_and_a_read_only_key_fail(
    installed: Installed, alerta: AlertaServer, scope: str
) -> None:
    wrong = alerta.create_key(BRIDGE_USER, [scope]) if scope else "a-wrong-key-0123456789"
    tell_key(installed, wrong)
    found = installed.worst("alerta-key")
    assert (found.level, "write:alerts" in found.advice) == ("fail", bool(scope))
    assert wrong not in found.what + found.advice
    tell_key(installed, alerta.create_key(BRIDGE_USER, ["write:alerts"]))
    assert installed.findings("alerta-key")[0].level == "ok"


def test_the_expiry_is_skipped_for_a_key_that_may_not_list_itself(installed: Installed) -> None:
    """The key of the tutorial may not list itself, and expires after a year."""
    found = installed.worst("alerta-key")
    assert (found.level, "expires" in found.what) == ("skip", True)


def own_key(alerta: AlertaServer, *scopes: str, days: float = 365.0) -> str:
    """Make a key that may list itself and ends after so many days."""
    ends = datetime.now(timezone.utc) + timedelta(days=days)
    wanted = {"user": BRIDGE_USER, "scopes": ["write:alerts", "read:keys", *scopes]}
    return str(alerta.call("POST", "/key", {**wanted, "expireTime": f"{ends:%Y-%m-%dT%H:%M:%S}.000Z"})["key"])


@pytest.mark.parametrize(("days", "level"), [(300.5, "ok"), (20.5, "warn")])
def test_a_key_that_expires_soon_warns(installed: Installed, alerta: AlertaServer, days: float, level: str) -> None:
    tell_key(installed, own_key(alerta, days=days))
    found = installed.worst("alerta-key")
    assert found.level == level
    assert level == "ok" or (BRIDGE_USER in found.what and "in 20 days" in found.what)


@pytest.mark.parametrize("scope", ["admin", "write"])
def test_a_key_with_too_many_rights_is_a_warning(
    installed: Installed, alerta: AlertaServer, scope: str
) -> None:
    """The key may read and change alerts, and more."""
    tell_key(installed, own_key(alerta, scope))
    found = installed.worst("alerta-key")
    assert (found.level, scope in found.what, "alerta key" in found.advice) == ("warn", True, True)


def test_a_missing_scope_for_heartbeats_is_a_warning_if_they_are_sent(
    installed: Installed, alerta: AlertaServer
) -> None:
    before = heartbeats(alerta)  # other tests' connectors send some to this Alerta
    tell_key(installed, own_key(alerta))
    assert installed.worst("alerta-key").level == "ok"
    installed.ask(edge="native")
    found = installed.worst("alerta-key")
    assert (found.level, "write:heartbeats" in found.what) == ("warn", True)
    tell_key(installed, own_key(alerta, "write:heartbeats"))
    assert installed.worst("alerta-key").level == "ok"
    assert heartbeats(alerta) == before


def heartbeats(alerta: AlertaServer) -> list[tuple[str, str]]:
    return [(one["id"], one["receiveTime"]) for one in alerta.call("GET", "/heartbeats")["heartbeats"]]


def test_an_alerta_without_authentication_is_a_warning(installed: Installed, alerta: AlertaServer) -> None:
    """This is Alerta's default."""
    with AlertaServer(settings={"AUTH_REQUIRED": False}, workers=1, postgres=alerta.postgres) as server:
        tell_url(installed, server.url)
        found = [finding for finding in installed.findings("open-access") if "without a key" in finding.what]
    assert [(finding.level, "AUTH_REQUIRED = True" in finding.advice) for finding in found] == [("warn", True)]


def test_following_the_advice_on_a_real_alerta_corrects_attribution(installed: Installed, alerta: AlertaServer) -> None:
    """The advice must not name the key's user: another person could register that login."""
    key = "a-key-of-the-bridge-0123456789abcdefgh"
    new_key = {"user": BRIDGE_USER, "scopes": ["write:alerts"], "key": key}
    settings = {"PLUGINS": ["opsgenie"], "OPSGENIE_BRIDGE_KEY": [f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"]}
    with AlertaServer(settings=settings, workers=1, postgres=alerta.postgres) as server:
        server.call("POST", "/key", new_key)
        tell_url(installed, server.url)
        tell_key(installed, server.create_key(BRIDGE_USER))
        found = installed.worst("attribution")
        wrong = hashlib.sha256(installed.installation().alerta_key[0].reveal().encode()).hexdigest()
        assert (found.level, f"OPSGENIE_BRIDGE_KEY = ['sha256:{wrong}']" in found.advice) == ("warn", True)
        tell_key(installed, key)
        assert installed.worst("attribution").level == "ok"
        assert [finding.level for finding in installed.findings("open-access")] == ["ok", "ok"]


# -- The plugin, by its figures


WELL = {"waiting": 2, "oldest_waiting_seconds": 1.5, "dead_letters": 0, "way_back_dead": 0}


def found(installed: Installed, monkeypatch: pytest.MonkeyPatch, answer: Answer) -> list[Finding]:
    monkeypatch.setattr(alerta_checks, "call", lambda *_: answer)
    return installed.findings("plugin")


def shown(**figures: float) -> Answer:
    metrics: list[Any] = [{"group": "opsgenie", "name": name, "value": value} for name, value in figures.items()]
    return Answer(200, {"metrics": [{"group": "alerts", "name": "waiting", "value": 999}, "odd", *metrics]})


@pytest.mark.parametrize(
    ("figures", "level", "words"),
    [
        ({}, "ok", "the plugin sends, 2 requests wait"),
        ({"heartbeat_withheld": 0}, "ok", "and the heartbeat is pinged"),
        ({"oldest_waiting_seconds": 301}, "fail", "has waited for 301 s"),
        ({"heartbeat_withheld": 1}, "fail", "the heartbeat at the vendor is withheld"),
        ({"way_back_dead": 1}, "fail", "does not arrive"),
        ({"dead_letters": 3}, "warn", "3 requests were refused permanently"),
    ],
)
def test_each_figure_is_judged(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, figures: dict[str, float], level: str, words: str
) -> None:
    (finding,) = found(installed, monkeypatch, shown(**{**WELL, **figures}))
    assert finding.level == level
    assert words in finding.what


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(403, {}), "may not read Alerta's figures"),
        (Answer(200, {"metrics": 5}), "has written no figures"),
        (Answer(500, {}), "Alerta answered 500"),
    ],
)
def test_figures_that_cannot_be_read_are_not_ok(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, answer: Answer, words: str
) -> None:
    (finding,) = found(installed, monkeypatch, answer)
    assert finding.level == "skip"
    assert words in finding.what
