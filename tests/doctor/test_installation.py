"""What is known of a connector, and from what; and what root never reads for it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from alerta_opsgenie.doctor.installation import Installation, Request
from alerta_opsgenie.setup.layout import SERVICE_PATH
from tests.support.installed import Installed

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


def test_the_processs_user_and_path_go_before_all_others_then_the_configurations_owner(installed: Installed) -> None:
    installed.ask(user="", service_path="")
    inst = installed.installation()
    assert inst.user is not None
    assert (inst.user.name, inst.user.how) == (installed.layout.user, "its process's user")
    assert inst.search_path == installed.search_path
    assert inst.service_environment["HOME"] == installed.layout.home
    installed.stop_connector()
    inst = installed.installation()
    assert inst.user is not None
    assert (inst.user.name, inst.user.how) == (installed.layout.user, "the configuration's owner")
    assert inst.search_path == SERVICE_PATH


def test_keys_in_the_connectors_own_environment_count_as_it_and_its_scripts_have_them(installed: Installed) -> None:
    installed.change(lambda value: value.update(globalArgs=value["globalArgs"][:2]))
    installed.stop_connector()
    installed.start_connector(ALERTA_API_KEY="inherited", OEC_API_KEY="of-the-environment")
    inst = installed.installation()
    assert (inst.alerta_key[0].reveal(), inst.config.api_key.reveal()) == ("inherited", "of-the-environment")


def test_the_state_directory_is_where_the_executor_would_have_it(installed: Installed) -> None:
    installed.ask(state_directory="")
    assert installed.installation().state_directory == f"{installed.layout.home}/.local/state/alerta-opsgenie"
    installed.change(lambda value: value["globalArgs"].extend(["--spoolDir", "/somewhere/else"]))
    assert installed.installation().state_directory == "/somewhere/else"


def test_flags_of_the_mapping_count_as_arguments_do(installed: Installed) -> None:
    installed.change(lambda value: value.update(globalFlags={"alertaApiUrl": "https://by-flag.example.com/api"}))
    installed.change(lambda value: value.update(globalArgs=value["globalArgs"][2:]))
    assert installed.installation().access.url == "https://by-flag.example.com/api"


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


def test_a_native_configuration_at_another_path_is_known_by_its_own_settings_or_its_unit(installed: Installed) -> None:
    units = installed.directory / "units"
    units.mkdir()
    (units / "bridge.service").write_text(
        f"[Service]\nUser={installed.layout.user}\nExecStart=/opt/bin/alerta-opsgenie run --config {installed.config}\n"
    )
    installed.ask(user="")
    inst = installed.installation()
    assert (inst.edge, inst.unit.name, inst.service) == ("native", "bridge.service", "bridge")
    assert inst.user is not None
    assert (inst.user.name, inst.user.how) == (installed.layout.user, "its unit's user")
    (units / "bridge.service").unlink()
    installed.change(lambda value: value.update(alertaOpsgenie={"workers": 4}))
    assert installed.installation().edge == "native"


# -- As root


@only_root
def test_root_becomes_the_connectors_user_before_any_check(installed: Installed) -> None:
    uid = pwd.getpwnam(installed.layout.user).pw_uid
    assert installed.as_user(lambda _: os.getresuid()) == [uid, uid, uid]


@only_root
@pytest.mark.parametrize("user", ["no-such-user", "root"])
def test_root_does_not_stay_root_for_a_configuration_of_a_users(installed: Installed, user: str) -> None:
    installed.ask(user=user)
    assert installed.as_user(lambda _: os.geteuid()) == pwd.getpwnam(installed.layout.user).pw_uid


@only_root
def test_nor_for_one_that_a_link_of_roots_leads_to(installed: Installed) -> None:
    link = installed.directory / "oec.json"
    link.symlink_to(os.path.relpath(installed.config, installed.directory))
    installed.ask(user="root", config_path=str(link))
    assert installed.as_user(lambda _: os.geteuid()) == pwd.getpwnam(installed.layout.user).pw_uid


@only_root
def test_nor_for_a_file_of_roots_to_which_a_link_of_a_users_leads(installed: Installed, tmp_path: Path) -> None:
    """Root's link leads to the user's, and that one to a file that only root may read."""
    of_root = tmp_path / "of-root.json"
    of_root.write_text('{"apiKey":"roots-own-secret"}')
    installed.config.unlink()
    installed.config.symlink_to(of_root)
    user = pwd.getpwnam(installed.layout.user)
    os.lchown(installed.config, user.pw_uid, user.pw_gid)
    link = installed.directory / "oec.json"
    link.symlink_to(installed.config)
    installed.ask(user="root", config_path=str(link))
    assert installed.installation().document is None


@only_root
def test_links_that_lead_in_a_circle_are_an_error(installed: Installed) -> None:
    one, other = (installed.directory / name for name in ("one.json", "other.json"))
    one.symlink_to(other)
    other.symlink_to(one)
    installed.ask(user="root", config_path=str(one))
    assert installed.installation().error is not None


@only_root
def test_a_link_to_a_file_of_roots_in_the_place_of_key_or_configuration_is_not_read(
    installed: Installed, tmp_path: Path
) -> None:
    secret = tmp_path / "of-root.json"
    secret.write_text('{"apiKey":"roots-own-secret"}')
    secret.chmod(0o600)
    key_file = installed.config.with_name("alerta.key")
    key_file.unlink()
    key_file.symlink_to(secret)
    key, why = installed.as_user(lambda inst: [inst.alerta_key[0].reveal(), inst.alerta_key[1]])
    assert (key, "cannot be read" in why) == ("", True)
    installed.config.unlink()
    installed.config.symlink_to(secret)
    assert installed.installation().document is None


@only_root
def test_a_process_of_somebody_who_cannot_read_the_configuration_is_not_the_connector(installed: Installed) -> None:
    """Anybody can start a program by that name, and doctor would give it the connector's keys."""
    installed.stop_connector()
    installed.ask(user="")
    installed.start_connector(user="daemon")
    inst = installed.installation()
    assert inst.process is None
    assert inst.user is not None
    assert inst.user.name == installed.layout.user
