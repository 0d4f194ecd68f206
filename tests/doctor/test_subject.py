"""What is known of a connector, and from what."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from alerta_opsgenie.doctor.subject import Request, Subject, _read_unit
from alerta_opsgenie.setup.layout import SERVICE_PATH
from tests.support.patient import Patient


def test_the_processs_user_and_path_go_before_all_others(patient: Patient) -> None:
    patient.ask(user="", service_path="")
    subject = patient.subject()
    assert subject.person is not None
    assert (subject.person.name, subject.person.how) == (patient.layout.user, "its process's user")
    assert subject.search_path == (patient.search_path, "its process's")
    assert subject.service_environment["HOME"] == patient.layout.home


def test_without_a_process_the_configurations_owner_counts(patient: Patient) -> None:
    patient.stop_connector()
    patient.ask(user="", service_path="")
    person = patient.subject().person
    assert person is not None
    assert (person.name, person.how) == (patient.layout.user, "the configuration's owner")
    assert patient.subject().search_path[0] == SERVICE_PATH


def test_a_unit_tells_user_and_variables() -> None:
    text = '[Service]\nUser=opsgenie\nEnvironment="PATH=/opt/bin:/usr/bin" A=1\nEnvironment=B=2\n'
    assert _read_unit(text) == {"User": "opsgenie", "PATH": "/opt/bin:/usr/bin", "A": "1", "B": "2"}


def test_a_units_environment_file_counts_too(tmp_path: Path) -> None:
    (tmp_path / "environment").write_text("# a comment\nALERTA_API_KEY=of-the-file\n")
    assert _read_unit(f"EnvironmentFile=-{tmp_path}/environment\n") == {"ALERTA_API_KEY": "of-the-file"}
    assert _read_unit("EnvironmentFile=-/no/such/file\n") == {}


def test_alertas_key_in_the_connectors_own_environment_is_what_its_scripts_inherit(patient: Patient) -> None:
    patient.change(lambda value: value.update(globalArgs=value["globalArgs"][:2]))
    patient.stop_connector()
    patient.start_connector(ALERTA_API_KEY="inherited")
    assert patient.subject().alerta_key[0].reveal() == "inherited"


def test_the_key_of_the_connectors_environment_counts_as_the_connector_has_it(patient: Patient) -> None:
    patient.stop_connector()
    patient.start_connector(OEC_API_KEY="of-the-environment")
    config = patient.subject().config
    assert config is not None
    assert config.api_key.reveal() == "of-the-environment"


def test_the_spool_is_where_the_executor_would_have_it(patient: Patient) -> None:
    patient.ask(spool_directory="")
    assert patient.subject().spool_directory == f"{patient.layout.home}/.local/state/alerta-opsgenie"
    patient.change(lambda value: value["globalArgs"].extend(["--spoolDir", "/somewhere/else"]))
    assert patient.subject().spool_directory == "/somewhere/else"


@pytest.mark.parametrize(
    ("path", "edge"),
    [
        ("/home/opsgenie/oec/conf/config.json", "oec"),
        ("/home/jsm/jec/conf/jec-config.json", "jec"),
        ("/etc/alerta-opsgenie/config.json", "native"),
    ],
)
def test_which_connector_it_is_is_seen_by_the_path(path: str, edge: str) -> None:
    assert Subject(Request(path)).edge == edge


def test_nothing_is_known_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    subject = Subject(Request(str(tmp_path / "config.json"), proc=tmp_path))
    assert (subject.config, subject.person, subject.process, subject.secrets()) == (None, None, None, [])
    assert pwd.getpwuid(os.geteuid())
