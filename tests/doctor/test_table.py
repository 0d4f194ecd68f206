"""All checks together, on a patient that is well."""

from __future__ import annotations

import pytest

from alerta_opsgenie.doctor import table
from alerta_opsgenie.doctor.finding import Finding
from alerta_opsgenie.doctor.subject import Subject
from alerta_opsgenie.doctor.table import NAMES, Check, examine
from tests.support.patient import Patient


def test_nothing_fails_on_one_that_is_well(patient: Patient) -> None:
    """The one warning is that this Alerta lends no names: its bridge user is not configured."""
    results = list(examine(patient.subject()))
    assert [result for result in results if result.finding.level == "fail"] == []
    assert {result.check for result in results if result.finding.level == "warn"} == {"attribution"}


def test_nothing_is_changed_by_looking(patient: Patient) -> None:
    from tests.support.trees import snapshot  # noqa: PLC0415

    before = snapshot(patient.directory)
    list(examine(patient.subject()))
    assert snapshot(patient.directory) == before


def test_no_finding_shows_a_secret(patient: Patient) -> None:
    subject = patient.subject()
    text = " ".join(f"{finding.what} {finding.mend}" for finding in patient.findings())
    assert len(subject.secrets()) == 2
    assert not [secret for secret in subject.secrets() if secret in text]


def test_every_warning_and_failure_says_what_to_do(patient: Patient) -> None:
    patient.config.write_text("{}")
    patient.config.chmod(0o666)
    patient.stop_connector()
    assert [finding for finding in patient.findings() if finding.level != "ok" and not finding.mend] == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"apiKey": 3}', '{"actionMappings": {"Close": 7}}'])
def test_whatever_the_configuration_holds_no_check_fails_by_itself(patient: Patient, content: str) -> None:
    patient.config.write_text(content)
    results = list(examine(patient.subject()))
    assert any(result.finding.level == "fail" for result in results)
    assert not [result for result in results if "check itself" in result.finding.what]


def test_a_check_that_fails_by_itself_does_not_keep_the_others_from_theirs(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_subject: Subject) -> list[Finding]:
        raise RuntimeError

    monkeypatch.setattr(table, "CHECKS", (Check("python", broken), *table.CHECKS[:1]))
    levels = [result.finding.level for result in examine(patient.subject())]
    assert levels == ["fail", "ok"]


def test_only_the_checks_that_are_named_are_done(patient: Patient) -> None:
    assert {result.check for result in examine(patient.subject(), ["mappings"])} == {"mappings"}
    assert len(set(NAMES)) == len(NAMES)
