"""Undoing what the record tells of, each entry against what is really there."""

from __future__ import annotations

import os
from datetime import datetime, timezone

import pytest

from alerta_opsgenie.journal import Spool
from alerta_opsgenie.setup.removal import describe_undo
from tests.setup.conftest import Image
from tests.support.trees import hand_made, put, snapshot, vendor_layout

LATER = datetime(2026, 11, 4, tzinfo=timezone.utc)
CONFIG = "/home/opsgenie/oec/conf/config.json"
SPOOL = "/home/opsgenie/.local/state/alerta-opsgenie"


def test_a_spool_in_which_actions_wait_is_left_with_a_word(image: Image) -> None:
    image.install()
    directory = image.at(SPOOL)
    directory.mkdir(parents=True, mode=0o700)
    directory.chmod(0o700)
    with Spool(directory) as spool:
        spool.keep("key", "lane", 1, "{}", now=0.0)
    left = [ending for ending in image.uninstall() if ending.left]
    assert "1 actions wait in it" in left[0].why
    assert (directory / "spool.db").exists()


def test_purge_takes_the_spool_with_what_waits(image: Image) -> None:
    image.install()
    directory = image.at(SPOOL)
    directory.mkdir(parents=True)
    directory.chmod(0o700)
    with Spool(directory) as spool:
        spool.keep("key", "lane", 1, "{}", now=0.0)
    image.uninstall(purge=True)
    assert not directory.exists()


def test_the_original_comes_back_even_after_an_edit_was_replaced_and_the_edit_is_kept(image: Image) -> None:
    hand_made(image.root)
    original = image.at(CONFIG).read_bytes()
    image.install()
    image.at(CONFIG).write_text('{"apiKey": "k", "actionMappings": {}}')
    image.install(now=LATER)
    left = [ending for ending in image.uninstall() if ending.left]
    assert image.at(CONFIG).read_bytes() == original
    assert "config.json.2026-11-04T00-00-00.bak" in left[0].why


def test_a_backup_that_somebody_took_away_is_told_of_and_nothing_is_removed(image: Image) -> None:
    hand_made(image.root)
    image.install()
    backup = next(image.at(CONFIG).parent.glob("*.bak"))
    backup.unlink()
    left = [ending for ending in image.uninstall() if ending.left]
    assert image.at(CONFIG).exists()
    assert any(backup.name in ending.why for ending in left)


def test_what_was_set_aside_stays_so_where_there_is_another_by_now(image: Image) -> None:
    vendor_layout(image.root)
    image.install(tidy=True)
    put(image.root, "home/opsgenie/oec/scripts/http.py", "another")
    image.uninstall()
    assert image.at("/home/opsgenie/oec/scripts/http.py").read_text() == "another"
    assert list(image.at("/home/opsgenie/oec").glob("set-aside.*/http.py"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_owner_that_was_set_is_given_back_unless_changed_since(image: Image) -> None:
    vendor_layout(image.root)
    image.install()
    scripts = image.at("/home/opsgenie/oec/scripts")
    assert scripts.stat().st_uid == 990
    os.chown(image.at("/var/log/opsgenie"), 55, 55)
    image.uninstall()
    assert scripts.stat().st_uid == 0
    assert image.at("/var/log/opsgenie").stat().st_uid == 55


def test_every_entry_can_be_described_before_it_is_undone(image: Image) -> None:
    vendor_layout(image.root)
    image.install(tidy=True)
    for entry in (*image.record().entries, {"kind": "user", "name": "u"}, {"kind": "unit", "name": "x.service"}):
        assert entry["name"].rpartition("/")[2] in describe_undo(entry)


def test_undoing_twice_changes_nothing_more(image: Image) -> None:
    image.install()
    image.uninstall()
    state = snapshot(image.root)
    assert image.uninstall() == []
    assert snapshot(image.root) == state
