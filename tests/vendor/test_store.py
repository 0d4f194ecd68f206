"""A configuration is written whole, for its owner alone, and never over another without a copy."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.vendor.document import load_document
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.store import write_document
from tests.support.edge_messages import edge_document
from tests.support.installed import open_directory

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("name", ["c.json", "c.yml", "c.yaml"])
def test_a_written_file_is_read_back_unchanged_and_has_mode_0600(tmp_path: Path, name: str) -> None:
    value = edge_document(appName="é")
    assert write_document(tmp_path / name, value) is None
    assert load_document(tmp_path / name).value == value
    assert mode(tmp_path / name) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_an_existing_file_is_not_changed_without_force(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="already there") as caught:
        write_document(path, {})
    assert caught.value.usage
    assert path.read_text() == "mine"


def test_with_force_the_old_file_is_kept_under_a_dated_name(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("mine")
    path.chmod(0o644)
    backup = write_document(path, {"a": 1}, force=True, now=NOW)
    assert backup == tmp_path / "c.json.2026-03-04T05-06-07.bak"
    assert backup.read_text() == "mine"
    assert (mode(backup), mode(path)) == (0o600, 0o600)
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_users_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "c.json"
    real.write_text("mine")
    (tmp_path / "c.json").symlink_to(real)
    backup = write_document(tmp_path / "c.json", {"a": 1}, force=True, now=NOW)
    assert (tmp_path / "c.json").is_symlink()
    assert json.loads(real.read_text()) == {"a": 1}
    assert backup is not None
    assert backup.parent == real.parent


def test_a_failed_write_leaves_the_old_file_and_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.json"
    path.write_text("mine")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        write_document(path, {"a": 1}, force=True, now=NOW)
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.json"]


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")


@needs_root
def test_root_writes_in_a_users_directory_as_that_user_and_follows_no_link(tmp_path: Path) -> None:
    with open_directory() as place:
        os.chown(place, 12345, 23456)
        (place / "link.json").symlink_to(tmp_path / "c.json")
        (place / "below").symlink_to(tmp_path)
        for name in ("link.json", "below/c.json"):
            with pytest.raises(ConfigError, match=r"symbolic link|is no file"):
                write_document(place / name, {"a": 1}, force=True)
        write_document(place / "own.json", {"a": 1})
        assert (place / "own.json").stat().st_uid == 12345
    assert list(tmp_path.iterdir()) == []


@needs_root
def test_only_the_groups_read_permission_of_a_replaced_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.touch()
    os.chown(path, 0, 23456)
    path.chmod(0o6757)
    backup = write_document(path, {}, force=True)
    assert backup is not None
    assert (path.stat().st_mode & 0o7777, path.stat().st_gid) == (0o640, 23456)
    assert (backup.stat().st_mode & 0o7777, backup.stat().st_gid) == (0o600, 0)
