"""Opsgenie or JSM broken in each way; following the advice makes it well again."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from lab.cloud import Queue

from alerta_opsgenie.core.limits import END_OF_OPSGENIE
from alerta_opsgenie.doctor.vendor_checks import judge_clock
from tests.support.cloud import Running
from tests.support.patient import Patient


def put_key(patient: Patient, key: str) -> None:
    patient.change(lambda value: value.update(apiKey=key))


def test_a_host_that_does_not_answer_fails_within_the_limit(patient: Patient) -> None:
    whole = patient.config.read_text()
    patient.change(lambda value: value.update(baseUrl="http://127.0.0.1:9"))
    patient.ask(limit_seconds=1.0)
    found = patient.worst("vendor")
    assert (found.level, "baseUrl" in found.advice) == ("fail", True)
    patient.config.write_text(whole)
    assert patient.worst("vendor").level == "ok"


def test_a_key_that_is_refused_fails_and_is_not_shown(patient: Patient, opsgenie: Running) -> None:
    wrong = "00000000-1111-2222-3333-444444444444"
    put_key(patient, wrong)
    found = patient.worst("vendor")
    assert (found.level, "apiKey" in found.advice) == ("fail", True)
    assert wrong not in found.what + found.advice
    put_key(patient, opsgenie.cloud.add_oec(queues=(Queue("http://127.0.0.1:1/q"),)).key)
    assert patient.worst("vendor").level == "ok"


def test_the_key_of_another_kind_of_integration_fails(patient: Patient, opsgenie: Running) -> None:
    put_key(patient, opsgenie.key.key)
    assert patient.worst("vendor").level == "fail"


def test_what_is_not_the_connectors_api_fails(patient: Patient, opsgenie: Running) -> None:
    patient.change(lambda value: value.update(baseUrl=f"{opsgenie.server.base_url}/elsewhere"))
    found = patient.worst("vendor")
    assert (found.level, "baseUrl" in found.advice) == ("fail", True)


@pytest.mark.parametrize(("ahead", "level"), [(0.9, "ok"), (-30.0, "warn"), (30.0, "warn"), (600.0, "fail")])
def test_clocks_that_are_apart_are_told_of(ahead: float, level: str) -> None:
    found = list(judge_clock("Opsgenie", ahead))
    assert [finding.level for finding in found] == [level]
    assert level == "ok" or found[0].advice == "timedatectl set-ntp true"


def test_another_source_over_there_fails_and_adding_it_mends_that(patient: Patient, opsgenie: Running) -> None:
    opsgenie.api.create(alias="b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d60", source="Alerta-EU")
    opsgenie.api.create(alias="not-of-alerta", source="Zabbix")
    found = patient.worst("sources")
    assert (found.level, '"--source", "Alerta-EU"' in found.advice) == ("fail", True)
    assert "Zabbix" not in found.what
    patient.change(lambda value: value["globalArgs"].extend(["--source", "Alerta-EU"]))
    assert patient.worst("sources").level == "ok"


def test_a_list_that_is_not_reached_is_not_called_a_refusal(patient: Patient) -> None:
    """Version 1 said that this key may not list alerts, which a failing name server does not mean."""
    patient.change(lambda value: value.update(baseUrl="http://no-such-host.invalid"))
    found = patient.worst("sources")
    assert (found.level, "no-such-host.invalid" in found.what, "refused" in found.what) == ("skip", True, False)


def test_a_key_that_may_not_list_alerts_leaves_the_sources_untried(patient: Patient, opsgenie: Running) -> None:
    put_key(patient, "00000000-1111-2222-3333-444444444444")
    found = patient.worst("sources")
    assert (found.level, "HTTP 4" in found.what) == ("skip", True)


def test_all_sources_need_no_comparing(patient: Patient) -> None:
    patient.change(lambda value: value["globalArgs"].extend(["--source", "*"]))
    assert patient.worst("sources").level == "ok"


@pytest.mark.parametrize(("days", "level"), [(400, "ok"), (100, "warn"), (0, "fail"), (-5, "fail")])
def test_the_days_until_opsgenie_ends_are_counted(patient: Patient, days: int, level: str) -> None:
    patient.ask(today=END_OF_OPSGENIE - timedelta(days=days))
    found = patient.worst("end-of-opsgenie")
    assert found.level == level
    assert level == "ok" or "--to jec" in found.advice


def test_moving_to_jsm_mends_the_end_of_opsgenie(patient: Patient, opsgenie: Running) -> None:
    """With the integration's new key and base URL, the checks of the vendor are well on the other product."""
    key = opsgenie.cloud.add_jec(queues=(Queue("http://127.0.0.1:1/q"),)).key
    put_key(patient, key)
    patient.ask(dialect="jec", today=date(2028, 1, 1))
    assert patient.findings("end-of-opsgenie") == []
    assert patient.worst("vendor").level == "ok"


def test_a_proxy_of_the_environment_is_used(patient: Patient) -> None:
    """So that doctor reaches what the service reaches."""
    patient.ask(environment={"http_proxy": "http://127.0.0.1:9"}, limit_seconds=1.0)
    assert patient.worst("vendor").level == "fail"
    assert Path(patient.layout.config).exists()
