"""How a connector is found and examined, and what root never reads."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from alerta_opsgenie.doctor.installation import Installation, Request
from alerta_opsgenie.setup.layout import SERVICE_PATH
from tests.support.installed import Installed

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


def test_user_and_path_are_the_processs_else_the_configurations_owners(installed: Installed) -> None:
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


def test_keys_in_the_connectors_environment_are_used(installed: Installed) -> None:
    installed.change(lambda value: value.update(globalArgs=value["globalArgs"][:2]))
    installed.stop_connector()
    installed.start_connector(ALERTA_API_KEY="inherited", OEC_API_KEY="of-the-environment")
    inst = installed.installation()
    assert (inst.alerta_key[0].reveal(), inst.config.api_key.reveal()) == ("inherited", "of-the-environment")


def test_the_state_directory_is_that_of_the_executor(installed: Installed) -> None:
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
def test_the_path_determines_the_connector(path: str, edge: str, tmp_path: Path) -> None:
    assert Installation(Request(path, proc=tmp_path, unit_directories=())).edge == edge


def test_a_native_configuration_at_another_path_is_recognised_by_its_settings_or_its_unit(installed: Installed) -> None:
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
def test_root_drops_its_rights_for_a_users_configuration(installed: Installed, user: str) -> None:
    installed.ask(user=user)
    assert installed.as_user(lambda _: os.geteuid()) == pwd.getpwnam(installed.layout.user).pw_uid


@only_root
def test_root_drops_its_rights_for_a_users_configuration_behind_a_link_of_roots(installed: Installed) -> None:
    link = installed.directory / "oec.json"
    link.symlink_to(os.path.relpath(installed.config, installed.directory))
    installed.ask(user="root", config_path=str(link))
    assert installed.as_user(lambda _: os.geteuid()) == pwd.getpwnam(installed.layout.user).pw_uid


@only_root
def test_root_drops_its_rights_for_a_file_of_roots_behind_a_users_link(installed: Installed, tmp_path: Path) -> None:
    """Root's link has the user's link as its target, and that one a file that only root may read."""
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
def test_a_circle_of_links_is_an_error(installed: Installed) -> None:
    one, other = (installed.directory / name for name in ("one.json", "other.json"))
    one.symlink_to(other)
    other.symlink_to(one)
    installed.ask(user="root", config_path=str(one))
    assert installed.installation().error is not None


@only_root
def test_a_key_file_or_configuration_that_is_a_link_to_a_file_of_roots_is_not_read(
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
def test_a_process_whose_user_cannot_read_the_configuration_is_not_the_connector(installed: Installed) -> None:
    """Any user can start a program of that name, and doctor would give it the connector's keys."""
    installed.stop_connector()
    installed.ask(user="")
    installed.start_connector(user="daemon")
    inst = installed.installation()
    assert inst.process is None
    assert inst.user is not None
    assert inst.user.name == installed.layout.user
