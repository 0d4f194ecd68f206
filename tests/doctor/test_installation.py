"""What is known of a connector, and from what; and what root never reads for it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from alerta_opsgenie.doctor.installation import Installation, Request
from alerta_opsgenie.setup.layout import SERVICE_PATH
from tests.support.patient import Patient

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


def test_the_processs_user_and_path_go_before_all_others(patient: Patient) -> None:
    patient.ask(user="", service_path="")
    inst = patient.installation()
    assert inst.person is not None
    assert (inst.person.name, inst.person.how) == (patient.layout.user, "its process's user")
    assert inst.search_path == (patient.search_path, "its process's")
    assert inst.service_environment["HOME"] == patient.layout.home


def test_without_a_process_the_configurations_owner_counts(patient: Patient) -> None:
    patient.stop_connector()
    patient.ask(user="", service_path="")
    person = patient.installation().person
    assert person is not None
    assert (person.name, person.how) == (patient.layout.user, "the configuration's owner")
    assert patient.installation().search_path[0] == SERVICE_PATH


def test_alertas_key_in_the_connectors_own_environment_is_what_its_scripts_inherit(patient: Patient) -> None:
    patient.change(lambda value: value.update(globalArgs=value["globalArgs"][:2]))
    patient.stop_connector()
    patient.start_connector(ALERTA_API_KEY="inherited")
    assert patient.installation().alerta_key[0].reveal() == "inherited"


def test_the_key_of_the_connectors_environment_counts_as_the_connector_has_it(patient: Patient) -> None:
    patient.stop_connector()
    patient.start_connector(OEC_API_KEY="of-the-environment")
    config = patient.installation().config
    assert config is not None
    assert config.api_key.reveal() == "of-the-environment"


def test_the_state_directory_is_where_the_executor_would_have_it(patient: Patient) -> None:
    patient.ask(state_directory="")
    assert patient.installation().state_directory == f"{patient.layout.home}/.local/state/alerta-opsgenie"
    patient.change(lambda value: value["globalArgs"].extend(["--spoolDir", "/somewhere/else"]))
    assert patient.installation().state_directory == "/somewhere/else"


def test_flags_of_the_mapping_count_as_arguments_do(patient: Patient) -> None:
    patient.change(lambda value: value.update(globalFlags={"alertaApiUrl": "https://by-flag.example.com/api"}))
    patient.change(lambda value: value.update(globalArgs=value["globalArgs"][2:]))
    assert patient.installation().access.url == "https://by-flag.example.com/api"


@pytest.mark.parametrize(
    ("path", "edge"),
    [
        ("/home/opsgenie/oec/conf/config.json", "oec"),
        ("/home/jsm/jec/conf/jec-config.json", "jec"),
        ("/etc/alerta-opsgenie/config.json", "native"),
    ],
)
def test_which_connector_it_is_is_seen_by_the_path(path: str, edge: str, tmp_path: Path) -> None:
    assert Installation(Request(path, proc=tmp_path, unit_directories=())).edge == edge


def test_a_native_configuration_at_another_path_is_known_by_its_own_settings(patient: Patient) -> None:
    patient.change(lambda value: value.update(alertaOpsgenie={"workers": 4}))
    assert patient.installation().edge == "native"


def test_a_native_configuration_at_another_path_is_known_by_its_unit(patient: Patient) -> None:
    units = patient.directory / "units"
    units.mkdir()
    (units / "bridge.service").write_text(
        f"[Service]\nUser={patient.layout.user}\nExecStart=/opt/bin/alerta-opsgenie run --config {patient.config}\n"
    )
    patient.ask(user="")
    inst = patient.installation()
    assert (inst.edge, inst.unit.name, inst.service) == ("native", "bridge.service", "bridge")
    assert inst.person is not None
    assert (inst.person.name, inst.person.how) == (patient.layout.user, "its unit's user")


def test_nothing_is_known_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    inst = Installation(Request(str(tmp_path / "config.json"), proc=tmp_path, unit_directories=()))
    assert (inst.config, inst.person, inst.process, inst.secrets()) == (None, None, None, [])


# -- As root


@only_root
def test_root_becomes_the_connectors_user_before_any_check(patient: Patient) -> None:
    uid = pwd.getpwnam(patient.layout.user).pw_uid
    assert patient.as_user(lambda _: os.getresuid()) == [uid, uid, uid]


@only_root
@pytest.mark.parametrize("user", ["no-such-user", "root"])
def test_root_does_not_stay_root_for_a_configuration_of_a_users(patient: Patient, user: str) -> None:
    patient.ask(user=user)
    assert patient.as_user(lambda _: os.geteuid()) == pwd.getpwnam(patient.layout.user).pw_uid


@only_root
def test_a_link_to_a_file_of_roots_in_the_place_of_a_key_is_not_read(patient: Patient, tmp_path: Path) -> None:
    secret = tmp_path / "of-root"
    secret.write_text("roots-own-secret\n")
    secret.chmod(0o600)
    key_file = patient.config.with_name("alerta.key")
    key_file.unlink()
    key_file.symlink_to(secret)
    key, why = patient.as_user(lambda inst: [inst.alerta_key[0].reveal(), inst.alerta_key[1]])
    assert (key, "cannot be read" in why) == ("", True)


@only_root
def test_a_link_to_a_file_of_roots_in_the_place_of_the_configuration_is_not_read(
    patient: Patient, tmp_path: Path
) -> None:
    secret = tmp_path / "of-root.json"
    secret.write_text('{"apiKey": "roots-own-secret"}')
    secret.chmod(0o600)
    patient.config.unlink()
    patient.config.symlink_to(secret)
    assert patient.installation().document is None


@only_root
def test_a_process_of_somebody_who_cannot_read_the_configuration_is_not_the_connector(patient: Patient) -> None:
    """Anybody can start a program by that name, and doctor would give it the connector's keys."""
    patient.stop_connector()
    patient.ask(user="")
    patient.start_connector(user="daemon")
    inst = patient.installation()
    assert inst.process is None
    assert inst.person is not None
    assert inst.person.name == patient.layout.user
