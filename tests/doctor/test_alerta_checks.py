"""Alerta broken in each way; following the mend makes it well again."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.doctor.alerta_checks import candidates
from tests.conftest import BRIDGE_USER
from tests.support.patient import Patient


def tell_url(patient: Patient, url: str) -> None:
    patient.change(lambda value: value["globalArgs"].__setitem__(1, url))


def tell_key(patient: Patient, key: str) -> None:
    patient.config.with_name("alerta.key").write_text(f"{key}\n")


@contextmanager
def web_page() -> Iterator[tuple[str, dict[str, Any]]]:
    """A web server that answers with a page, but JSON where `routes` has some."""
    routes: dict[str, Any] = {}

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = routes.get(self.path)
            data = b"<html>a page</html>" if found is None else json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", routes
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("ending", ["", "/", "/alert", "/api", "/api/alert", "/api/alerts"])
def test_every_way_to_write_the_url_that_the_executor_takes_is_well(
    patient: Patient, alerta: AlertaServer, ending: str
) -> None:
    tell_url(patient, alerta.url + ending)
    assert patient.worst("alerta").level == "ok"


@pytest.mark.parametrize("ending", ["/alerta", "/api/v2", "/api/api", "/web/api/"])
def test_a_wrong_path_fails_and_the_right_url_is_suggested(patient: Patient, alerta: AlertaServer, ending: str) -> None:
    tell_url(patient, alerta.url + ending)
    found = patient.worst("alerta")
    assert found.level == "fail"
    suggested = re.search(r"http://\S+?(?=:? put)", found.mend)
    assert suggested, found.mend
    tell_url(patient, suggested[0].rstrip(":"))
    assert patient.worst("alerta").level == "ok"


def test_a_web_interface_in_its_place_fails_and_its_api_is_suggested(patient: Patient) -> None:
    """The console's own address answers each path with its page, with status 200."""
    with web_page() as (url, routes):
        routes["/api/"] = {"status": "ok", "links": [{"href": f"{url}/api/alert"}]}
        tell_url(patient, url)
        found = patient.worst("alerta")
    assert (found.level, f"{url}/api" in found.mend) == ("fail", True)


def test_one_that_does_not_answer_fails(patient: Patient) -> None:
    tell_url(patient, "http://127.0.0.1:9/api")
    patient.ask(limit_seconds=1.0)
    assert patient.worst("alerta").level == "fail"


@pytest.mark.parametrize("url", ["alerta.example.com/api", "ftp://alerta.example.com", "http://user:pw@alerta/api"])
def test_what_is_no_url_fails_without_an_attempt(patient: Patient, url: str) -> None:
    tell_url(patient, url)
    found = patient.worst("alerta", "alerta-key", "attribution")
    assert (found.level, "--alertaApiUrl" in found.mend) == ("fail", True)
    assert "pw" not in found.what


def test_no_url_at_all_fails(patient: Patient) -> None:
    patient.change(lambda value: value.update(globalArgs=value["globalArgs"][2:]))
    assert patient.worst("alerta").level == "fail"


def test_candidates_are_tried_with_the_likeliest_first() -> None:
    assert candidates("https://alerta.example.com")[0] == "https://alerta.example.com/api"
    assert "https://alerta.example.com/api" in candidates("http://alerta.example.com/api")


def test_an_invalid_key_fails_and_is_not_shown(patient: Patient, alerta_key: str) -> None:
    tell_key(patient, "a-wrong-key-0123456789")
    found = patient.worst("alerta-key")
    assert found.level == "fail"
    assert "a-wrong-key" not in found.what + found.mend
    tell_key(patient, alerta_key)
    assert patient.worst("alerta-key").level == "ok"


def test_a_key_that_may_only_read_fails_and_the_scope_is_named(patient: Patient, alerta: AlertaServer) -> None:
    tell_key(patient, alerta.create_key(BRIDGE_USER, ["read:alerts"]))
    found = patient.worst("alerta-key")
    assert (found.level, "write:alerts" in found.mend) == ("fail", True)
    tell_key(patient, alerta.create_key(BRIDGE_USER, ["write:alerts"]))
    assert patient.worst("alerta-key").level == "ok"


def test_an_empty_key_file_fails(patient: Patient) -> None:
    tell_key(patient, "")
    assert patient.worst("alerta-key").level == "fail"


def test_whose_the_key_is_is_told_where_it_may_ask(patient: Patient, alerta: AlertaServer) -> None:
    tell_key(patient, alerta.create_key("somebody@example.com", ["write:alerts", "read:keys"]))
    assert "somebody@example.com" in patient.worst("alerta-key").what


def test_an_alerta_without_our_package_is_warned_of(patient: Patient) -> None:
    with web_page() as (url, routes):
        routes["/"] = {"links": [{"href": f"{url}/alert"}]}
        tell_url(patient, url)
        found = patient.worst("attribution")
    assert (found.level, "pip install alerta-opsgenie" in found.mend) == ("warn", True)


@pytest.fixture(scope="module")
def lending(alerta: AlertaServer) -> Iterator[AlertaServer]:
    """An Alerta with our plugin, which knows the bridge's user."""
    settings = {"PLUGINS": ["opsgenie"], "OPSGENIE_BRIDGE_USER": BRIDGE_USER}
    with AlertaServer(settings=settings, workers=1, postgres=alerta.postgres) as server:
        yield server


def test_naming_the_bridges_user_to_the_plugin_mends_the_warning(patient: Patient, lending: AlertaServer) -> None:
    found = patient.worst("attribution")
    assert (found.level, "OPSGENIE_BRIDGE_USER" in found.mend) == ("warn", True)
    tell_url(patient, lending.url)
    tell_key(patient, lending.create_key(BRIDGE_USER))
    assert patient.worst("attribution").level == "ok"


def test_another_users_key_is_warned_of_even_there(patient: Patient, lending: AlertaServer) -> None:
    tell_url(patient, lending.url)
    tell_key(patient, lending.create_key("other@example.com"))
    assert patient.worst("attribution").level == "warn"
