"""Whole installations into an image: made, made again, and undone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from alerta_opsgenie.vendor.secret import Secret
from tests.setup.conftest import Image, make_image
from tests.support.trees import hand_made, put, snapshot, vendor_layout

EDGES = ("oec", "jec", "native")
BEFORE: dict[str, Callable[[Path], None]] = {
    "nothing": lambda _: None,
    "the vendor's layout": vendor_layout,
    "an older set-up": hand_made,
}


def files(root: Path) -> list[str]:
    return [path for path, entry in snapshot(root).items() if entry[0] != "directory" or path.count("/") > 1]


@pytest.mark.parametrize("edge", EDGES)
def test_a_second_installation_finds_nothing_to_do(quick_path: Path, edge: str) -> None:
    image = make_image(quick_path, edge)
    assert image.install()
    before = snapshot(image.root)
    assert not [one.assessment.text for one in image.plan() if one.assessment.needed]
    assert image.install() == []
    assert snapshot(image.root) == before


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("before", BEFORE)
def test_uninstall_leaves_what_was_there_before(quick_path: Path, edge: str, before: str) -> None:
    image = make_image(quick_path, edge)
    BEFORE[before](image.root)
    state = snapshot(image.root)
    image.install(tidy=True)
    assert snapshot(image.root) != state
    image.uninstall()
    assert snapshot(image.root) == state


def test_twice_in_a_row_with_an_upgrade_in_between_undoes_to_the_beginning(image: Image) -> None:
    hand_made(image.root)
    state = snapshot(image.root)
    for executor in (b"version 1", b"version 2"):
        image.install(executor=executor)
    assert image.at("/home/opsgenie/oec/scripts/oecAlertaExecutor.py").read_bytes() == b"version 2"
    image.uninstall()
    assert snapshot(image.root) == state


def test_the_layout_is_the_documented_one(image: Image) -> None:
    image.install()
    kinds = {path: entry[:2] for path, entry in snapshot(image.root).items()}
    assert kinds["home/opsgenie/oec/scripts/oecAlertaExecutor.py"] == ("file", 0o755)
    assert kinds["home/opsgenie/oec/scripts/oecAlertaExecutor"] == ("file", 0o755)
    assert kinds["home/opsgenie/oec/conf/config.json"] == ("file", 0o600)
    assert kinds["home/opsgenie/oec/conf/alerta.key"] == ("file", 0o600)
    assert kinds["home/opsgenie/oec/output"][0] == kinds["var/log/opsgenie"][0] == "directory"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_all_that_is_made_in_the_home_is_the_connectors_users(image: Image) -> None:
    image.install()
    owners = {path: entry[2:4] for path, entry in snapshot(image.root).items() if path.startswith("home/opsgenie")}
    assert set(owners.values()) == {(990, 990)}


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_the_mode_that_a_started_connector_gives_its_scripts_is_left(image: Image, mode: int) -> None:
    """OEC and JEC set their scripts to 0700 when they start; that is no reason to change anything."""
    image.install()
    image.at("/home/opsgenie/oec/scripts/oecAlertaExecutor.py").chmod(mode)
    assert image.install() == []


@pytest.mark.parametrize("name", ["config.json", "alerta.key"])
def test_a_mode_that_was_widened_is_set_right_again(image: Image, name: str) -> None:
    image.install()
    file = image.at(f"/home/opsgenie/oec/conf/{name}")
    file.chmod(0o644)
    image.install()
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_edited_configuration_is_asked_about_and_its_difference_shown_without_secrets(image: Image) -> None:
    put(image.root, "home/opsgenie/oec/conf/config.json", '{"apiKey": "my-own-secret-key-1", "actionMappings": {}}')
    asked = [one.assessment for one in image.plan(api_key=Secret("another-secret-key-2")) if one.assessment.question]
    assert [one.question for one in asked] == ["Replace /home/opsgenie/oec/conf/config.json?"]
    assert "+" in asked[0].difference
    assert "Acknowledge" in asked[0].difference
    assert "secret-key" not in asked[0].difference


def test_what_a_person_changed_after_the_installation_is_left_with_a_word(image: Image) -> None:
    image.install()
    config = image.at("/home/opsgenie/oec/conf/config.json")
    config.write_text("{}")
    left = [ending for ending in image.uninstall() if ending.left]
    assert config.read_text() == "{}"
    assert any(ending.text == "left /home/opsgenie/oec/conf/config.json" for ending in left)
    assert not image.at("/home/opsgenie/oec/scripts").exists()


def test_purge_takes_that_too(image: Image) -> None:
    image.install()
    image.at("/home/opsgenie/oec/conf/config.json").write_text("{}")
    image.uninstall(purge=True)
    assert files(image.root) == []


def test_others_files_in_a_directory_of_ours_are_left(image: Image) -> None:
    image.install()
    put(image.root, "var/log/opsgenie/oec12.log", "not ours")
    left = [ending for ending in image.uninstall() if ending.left]
    assert files(image.root) == ["var/log/opsgenie", "var/log/opsgenie/oec12.log"]
    assert "oec12.log" in left[0].why


def test_what_the_executor_made_while_it_ran_goes_too(image: Image) -> None:
    image.install()
    for name in (
        "oecAlertaExecutor.log",
        "oecAlertaExecutor-errors.log",
        "oecAlertaExecutor-2026-11-03T10-00-00.000.log",
    ):
        put(image.root, f"var/log/opsgenie/{name}", "a line")
    spool = image.at("/home/opsgenie/.local/state/alerta-opsgenie")
    spool.mkdir(parents=True)
    spool.chmod(0o700)
    image.uninstall()
    assert files(image.root) == []


def test_logs_of_before_stay(image: Image) -> None:
    hand_made(image.root)
    image.install()
    image.uninstall()
    assert image.at("/var/log/opsgenie/oecAlertaExecutor.log").read_text() == "an old line\n"


def test_a_directory_that_is_a_link_is_refused_and_nothing_is_written_through_it(image: Image, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    image.at("/home/opsgenie").mkdir(parents=True)
    image.at("/home/opsgenie/oec").symlink_to(outside)
    with pytest.raises(Exception, match="symbolic link"):
        image.plan()
    assert snapshot(outside) == {}
