"""Whole installations into an image: made, made again, and undone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from alerta_opsgenie.setup.host import Host, SetupError
from alerta_opsgenie.setup.layout import layout_for
from alerta_opsgenie.setup.plan import apply_plan, make_plan
from alerta_opsgenie.vendor.as_user import run_as
from tests.setup.conftest import Image, make_image
from tests.support.trees import Snapshot, hand_made, put, snapshot, vendor_layout

EDGES = ("oec", "jec", "native")
CONFIG = "/home/opsgenie/oec/conf/config.json"
EXECUTOR = "/home/opsgenie/oec/scripts/oecAlertaExecutor.py"
BEFORE: dict[str, Callable[[Path], None]] = {
    "nothing": lambda _: None,
    "the vendor's layout": vendor_layout,
    "an older set-up": hand_made,
}


def contents(root: Path) -> dict[str, tuple[str, bytes]]:
    """What is there, without owners and modes: what root has made by hand is the connector's afterwards."""
    return {path: (entry[0], entry[4]) for path, entry in snapshot(root).items()}


def owners(found: Snapshot, below: str) -> set[int]:
    return {entry[2] for path, entry in found.items() if path.startswith(below)}


@pytest.mark.parametrize("edge", EDGES)
def test_a_second_installation_changes_nothing(quick_path: Path, edge: str) -> None:
    image = make_image(quick_path, edge)
    assert image.install()
    before = snapshot(image.root)
    assert image.plan() == []
    assert snapshot(image.root) == before


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("before", BEFORE)
def test_uninstall_restores_the_state_before_install(quick_path: Path, edge: str, before: str) -> None:
    image = make_image(quick_path, edge)
    BEFORE[before](image.root)
    state = contents(image.root)
    image.install()
    assert contents(image.root) != state
    image.uninstall()
    assert contents(image.root) == state


def test_uninstall_after_an_upgrade_restores_the_state_before_the_first_install(image: Image) -> None:
    hand_made(image.root)
    state = contents(image.root)
    for executor in (b"version 1", b"version 2"):
        image.install(executor=executor)
    assert image.at(EXECUTOR).read_bytes() == b"version 2"
    image.uninstall()
    assert contents(image.root) == state


@pytest.mark.parametrize("count", range(0, 11, 2))
def test_an_interrupted_installation_is_completed_by_the_next_and_undone_completely(
    image: Image, count: int
) -> None:
    hand_made(image.root)
    state = contents(image.root)

    def stop(_text: str) -> None:
        done.append(_text)
        if len(done) > count:
            raise KeyboardInterrupt

    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        apply_plan(image.layout, image.record(), image.plan(), stop)
    image.install()
    assert image.plan() == []
    image.uninstall()
    assert contents(image.root) == state


def test_the_layout_is_the_documented_one(image: Image) -> None:
    image.install()
    kinds = {path: entry[:2] for path, entry in snapshot(image.root).items()}
    assert kinds["home/opsgenie/oec/scripts/oecAlertaExecutor.py"] == ("file", 0o755)
    assert kinds["home/opsgenie/oec/scripts/oecAlertaExecutor"] == ("file", 0o755)
    assert kinds["home/opsgenie/oec/conf/config.json"] == ("file", 0o600)
    assert kinds["home/opsgenie/oec/conf/alerta.key"] == ("file", 0o600)
    assert kinds["home/opsgenie/.local/state/alerta-opsgenie"] == ("directory", 0o700)
    assert kinds["etc/systemd/system/alerta-opsgenie-agent.service"] == ("file", 0o644)
    assert kinds["home/opsgenie/oec/output"][0] == kinds["var/log/opsgenie"][0] == "directory"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("before", BEFORE)
def test_all_known_files_in_the_home_belong_to_the_connectors_user(image: Image, before: str) -> None:
    BEFORE[before](image.root)
    image.install()
    found = snapshot(image.root)
    for below in ("home/opsgenie/oec/conf", "home/opsgenie/.local", "home/opsgenie/oec/scripts/oecAlerta"):
        assert owners(found, below) - {0} == {990}
    assert {found[path][2] for path in ("home/opsgenie", "home/opsgenie/oec", "var/log/opsgenie")} == {990}
    assert owners(found, "etc") == {0}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_another_user_could_have_written_gets_no_new_owner(image: Image) -> None:
    put(image.root, CONFIG, "{}")
    os.chown(image.at("/home/opsgenie/oec"), 990, 990)
    with pytest.raises(SetupError, match="oec/conf belongs to user 0") as caught:
        image.plan()
    assert "chown -h opsgenie:opsgenie" in caught.value.advice


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_the_script_mode_that_a_connector_sets_is_kept(image: Image, mode: int) -> None:
    """OEC and JEC set their scripts to 0700 when they start; that is no reason to change anything."""
    image.install()
    image.at(EXECUTOR).chmod(mode)
    assert image.install() == []


def test_a_key_file_without_a_newline_is_not_replaced(image: Image) -> None:
    image.install()
    file = image.at("/home/opsgenie/oec/conf/alerta.key")
    file.write_text(file.read_text().strip())
    assert image.plan() == []


@pytest.mark.parametrize("name", ["config.json", "alerta.key"])
def test_a_mode_with_too_many_rights_is_corrected(image: Image, name: str) -> None:
    image.install()
    file = image.at(f"/home/opsgenie/oec/conf/{name}")
    file.chmod(0o644)
    image.install()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("mode", "becomes"), [(0o700, 0o700), (0o744, 0o744), (0o777, 0o755), (0o500, 0o755)])
def test_an_existing_directory_keeps_an_acceptable_mode(image: Image, mode: int, becomes: int) -> None:
    """OEC itself sets its log directory to 0744."""
    image.install()
    image.at("/var/log/opsgenie").chmod(mode)
    image.install()
    assert image.at("/var/log/opsgenie").stat().st_mode & 0o777 == becomes


def test_a_replaced_file_is_kept_under_a_dated_name_with_our_mode(image: Image) -> None:
    put(image.root, CONFIG, '{"apiKey": "k"}', 0o644)
    image.install()
    backup = image.at(f"{CONFIG}.2026-11-03T14-05-06.bak")
    assert (backup.read_text(), backup.stat().st_mode & 0o7777) == ('{"apiKey": "k"}', 0o600)


def test_a_directory_of_another_installation_is_refused(image: Image) -> None:
    image.install()
    other = Image(
        Host(image.host.root, (991, 991)), layout_for("oec", "other", log_directory="/var/log/opsgenie")
    )
    with pytest.raises(SetupError, match="/var/log/opsgenie belongs to the installation oec-opsgenie"):
        other.plan()


def test_a_kept_configuration_may_not_name_the_state_directory_of_another_installation(image: Image) -> None:
    image.install()
    other = Image(Host(image.host.root, (991, 991)), layout_for("oec", "other"))
    kept = replace(other.contents(), config=None, kept_state=image.layout.state_directory)
    with pytest.raises(SetupError, match="belongs to the installation oec-opsgenie"):
        make_plan(other.host, other.layout, other.record(), kept)


@pytest.mark.skipif(os.geteuid() != 0, reason="a user other than root is needed")
def test_an_image_is_installed_and_uninstalled_without_roots_rights(quick_path: Path) -> None:
    image = make_image(quick_path, "oec")
    for path in (image.root, *image.root.rglob("*")):
        os.chown(path, 4711, 4711)

    def work() -> list[bool]:
        made = bool(image.install()), image.plan() == []
        image.uninstall()
        return [*made, not image.at("/home").exists()]

    assert run_as(4711, 4711, work) == [True, True, True]
