"""Opsgenie or JSM broken in each way; following the advice makes it well again."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from lab.cloud import Queue

from alerta_opsgenie.core.limits import END_OF_OPSGENIE
from alerta_opsgenie.doctor.vendor_checks import judge_clock
from tests.support.cloud import Running
from tests.support.installed import Installed


def put_key(installed: Installed, key: str) -> None:
    installed.change(lambda value: value.update(apiKey=key))


def test_a_host_that_does_not_answer_fails_within_the_limit(installed: Installed) -> None:
    whole = installed.config.read_text()
    installed.change(lambda value: value.update(baseUrl="http://127.0.0.1:9"))
    installed.ask(limit_seconds=1.0)
    found = installed.worst("vendor")
    assert (found.level, "baseUrl" in found.advice) == ("fail", True)
    installed.config.write_text(whole)
    assert installed.worst("vendor").level == "ok"


def test_a_key_that_is_refused_fails_and_is_not_shown(installed: Installed, opsgenie: Running) -> None:
    wrong = "00000000-1111-2222-3333-444444444444"
    put_key(installed, wrong)
    found = installed.worst("vendor")
    assert (found.level, "apiKey" in found.advice) == ("fail", True)
    assert wrong not in found.what + found.advice
    put_key(installed, opsgenie.cloud.add_oec(queues=(Queue("http://127.0.0.1:1/q"),)).key)
    assert installed.worst("vendor").level == "ok"


def test_what_is_not_the_connectors_api_fails(installed: Installed, opsgenie: Running) -> None:
    installed.change(lambda value: value.update(baseUrl=f"{opsgenie.server.base_url}/elsewhere"))
    found = installed.worst("vendor")
    assert (found.level, "baseUrl" in found.advice) == ("fail", True)


@pytest.mark.parametrize(("ahead", "level"), [(0.9, "ok"), (-30.0, "warn"), (30.0, "warn"), (600.0, "fail")])
def test_clocks_that_are_apart_are_told_of(ahead: float, level: str) -> None:
    found = list(judge_clock("Opsgenie", ahead))
    assert [finding.level for finding in found] == [level]
    assert level == "ok" or found[0].advice == "timedatectl set-ntp true"


def test_another_source_over_there_fails_and_adding_it_mends_that(installed: Installed, opsgenie: Running) -> None:
    opsgenie.api.create(alias="b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d60", source="Alerta-EU")
    opsgenie.api.create(alias="not-of-alerta", source="Zabbix")
    found = installed.worst("sources")
    assert (found.level, '"--source", "Alerta-EU"' in found.advice) == ("fail", True)
    assert "Zabbix" not in found.what
    installed.change(lambda value: value["globalArgs"].extend(["--source", "Alerta-EU"]))
    assert installed.worst("sources").level == "ok"


def test_a_list_that_is_not_reached_is_not_called_a_refusal(installed: Installed) -> None:
    """Version 1 said that this key may not list alerts, which a failing name server does not mean."""
    installed.change(lambda value: value.update(baseUrl="http://no-such-host.invalid"))
    found = installed.worst("sources")
    assert (found.level, "no-such-host.invalid" in found.what, "refused" in found.what) == ("skip", True, False)


@pytest.mark.parametrize(("days", "level"), [(400, "ok"), (100, "warn"), (0, "fail"), (-5, "fail")])
def test_the_days_until_opsgenie_ends_are_counted(installed: Installed, days: int, level: str) -> None:
    installed.ask(today=END_OF_OPSGENIE - timedelta(days=days))
    found = installed.worst("end-of-opsgenie")
    assert found.level == level
    assert level == "ok" or "--to jec" in found.advice


def test_moving_to_jsm_mends_the_end_of_opsgenie(installed: Installed, opsgenie: Running) -> None:
    """With the integration's new key and base URL, the checks of the vendor are well on the other product."""
    key = opsgenie.cloud.add_jec(queues=(Queue("http://127.0.0.1:1/q"),)).key
    put_key(installed, key)
    installed.ask(dialect="jec", today=date(2028, 1, 1))
    assert installed.findings("end-of-opsgenie") == []
    assert installed.worst("vendor").level == "ok"


def test_a_proxy_of_the_environment_is_used(installed: Installed) -> None:
    """So that doctor reaches what the service reaches."""
    installed.ask(environment={"http_proxy": "http://127.0.0.1:9"}, limit_seconds=1.0)
    assert installed.worst("vendor").level == "fail"
    assert Path(installed.layout.config).exists()
