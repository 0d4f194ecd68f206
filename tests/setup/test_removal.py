"""Undoing what the record names, each entry against what is really there."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from alerta_opsgenie.agent.state import journal_of, target_name
from alerta_opsgenie.journal import New
from alerta_opsgenie.setup.host import Host, SetupError
from alerta_opsgenie.setup.plan import apply_plan, make_plan
from alerta_opsgenie.setup.unit import render_unit
from alerta_opsgenie.vendor.as_user import run_as
from tests.setup.conftest import Image
from tests.support.trees import hand_made, put, snapshot

LATER = datetime(2026, 11, 4, tzinfo=timezone.utc)
CONFIG = "/home/opsgenie/oec/conf/config.json"
STATE = "/home/opsgenie/.local/state/alerta-opsgenie"


def files(root: Path) -> list[str]:
    return [
        path for path, entry in snapshot(root).items() if entry[0] == "file" and "alerta-opsgenie-setup" not in path
    ]


def left(endings: list[str]) -> dict[str, str]:
    return {what: why for what, _, why in (ending.partition(": ") for ending in endings) if what.startswith("left")}


def as_owner_of(path: Path, work: Callable[[], object]) -> None:
    run_as(path.stat().st_uid, path.stat().st_gid, work)


def keep_an_action(image: Image) -> None:
    def work() -> None:
        with closing(journal_of(str(image.at(STATE)), target_name("https://alerta.example.com/api"))) as journal:
            journal.append([New("key", "alert", 1, "Close", "{}")], 0.0)

    as_owner_of(image.at(STATE), work)


def test_a_spool_of_an_earlier_version_is_not_removed(image: Image) -> None:
    image.install()
    as_owner_of(image.at(STATE), lambda: put(image.at(STATE), "spool.db", "") and None)
    assert "actions of an earlier build" in left(image.uninstall())[f"left directory {STATE}"]


def test_after_an_incomplete_uninstall_it_can_be_installed_again_and_keeps_waiting_actions(image: Image) -> None:
    image.install()
    keep_an_action(image)
    image.uninstall()
    image.install()
    assert image.plan() == []
    assert "1 actions wait in it" in left(image.uninstall())[f"left directory {STATE}"]
    assert left(image.uninstall(purge=True)) == {}
    assert not image.at("/home").exists()


def test_a_changed_file_is_kept_until_purge(image: Image) -> None:
    image.install()
    image.at(CONFIG).write_text("{}")
    assert "it was changed since" in left(image.uninstall())[f"left file {CONFIG}"]
    assert image.at(CONFIG).read_text() == "{}"
    assert not image.at("/home/opsgenie/oec/scripts").exists()
    assert left(image.uninstall(purge=True)) == {}
    assert not image.at("/home/opsgenie").exists()


def test_logs_and_state_of_the_executor_are_removed(image: Image) -> None:
    image.install()
    for name in ("Executor.log", "Executor-errors.log", "Executor-2026-11-03T10-00-00.000.log"):
        put(image.root, f"var/log/opsgenie/oecAlerta{name}", "a line")
    as_owner_of(image.at(STATE), lambda: put(image.at(STATE), "targets/x/agent.log", "a line") and None)
    image.uninstall()
    assert files(image.root) == []


def test_the_original_is_restored_and_a_later_edit_is_kept_as_a_copy(image: Image) -> None:
    hand_made(image.root)
    original = image.at(CONFIG).read_bytes()
    image.install()
    image.at(CONFIG).write_text('{"apiKey": "k", "actionMappings": {}}')
    image.install(now=LATER)
    image.uninstall()
    assert image.at(CONFIG).read_bytes() == original
    assert image.at(f"{CONFIG}.2026-11-04T00-00-00.bak").exists()


def test_a_missing_backup_is_reported_and_nothing_is_removed(image: Image) -> None:
    hand_made(image.root)
    image.install()
    backup = next(image.at(CONFIG).parent.glob("*.bak"))
    backup.unlink()
    assert backup.name in left(image.uninstall())[f"left file {CONFIG}"]
    assert image.at(CONFIG).exists()


def test_systemd_loads_and_starts_each_version_of_the_agents_unit_once_and_uninstall_disables_it(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    systemctl = put(tmp_path, "bin/systemctl", f'#!/bin/sh\necho "$*" >> {told}\n', 0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(Host, "has_systemd", True)
    for command in ("/opt/1/bin/alerta-opsgenie", "/opt/1/bin/alerta-opsgenie", "/opt/2/bin/alerta-opsgenie"):
        contents = replace(image.contents(), unit=render_unit(image.layout, command))
        plan = make_plan(image.host, image.layout, image.record(), contents)
        apply_plan(image.layout, image.record(), plan, lambda _: None)
    image.uninstall()
    name = "alerta-opsgenie-agent.service"
    loaded = ["daemon-reload", f"enable --now {name}"]
    assert told.read_text().splitlines() == [*loaded, *loaded, f"disable --now {name}", "daemon-reload"]


def test_a_unit_that_systemd_did_not_start_is_started_by_the_next_installation(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, busy = tmp_path / "told", tmp_path / "busy"
    script = f'#!/bin/sh\n[ "$1" = enable ] && [ -e {busy} ] && exit 1\necho "$1" >> {told}\n'
    systemctl = put(tmp_path, "bin/systemctl", script, 0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(Host, "has_systemd", True)
    busy.touch()
    with pytest.raises(SetupError, match="systemctl enable"):
        image.install()
    busy.unlink()
    assert [text.split(";")[0] for text in image.install()] == ["systemctl daemon-reload"]
    assert (told.read_text().split(), image.plan()) == (["daemon-reload", "daemon-reload", "enable"], [])


@pytest.mark.parametrize("name", ["config.json", "alerta.key"])
def test_the_temporary_file_of_a_killed_write_is_removed(image: Image, name: str) -> None:
    image.install()
    put(image.root, f"home/opsgenie/oec/conf/.{name}.alerta-opsgenie-new", "half")
    image.uninstall()
    assert files(image.root) == []


def test_the_record_stays_until_everything_is_removed(image: Image) -> None:
    image.install()
    log = put(image.root, "var/log/opsgenie/oec12.log", "not ours")
    image.uninstall()
    assert [entry["name"] for entry in image.record().entries][-1] == "/var/log/opsgenie"
    log.unlink()
    assert left(image.uninstall()) == {}
    assert not image.at("/var/lib/alerta-opsgenie-setup").exists()
