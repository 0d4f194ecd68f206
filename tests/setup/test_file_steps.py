"""Single steps: files written, set aside, expected."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerta_opsgenie.setup.file_steps import LOG, ExpectLeavings, LoadUnit, OwnFile, SetAside, WriteFile
from alerta_opsgenie.setup.host import Host, SetupError
from alerta_opsgenie.setup.layout import ROOT
from alerta_opsgenie.setup.record import Record
from alerta_opsgenie.setup.removal import undo_all
from tests.setup.conftest import NOW

NEW = WriteFile("/file", b"new", ROOT, (0o600,))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(str(tmp_path))


@pytest.fixture
def record(host: Host) -> Iterator[Record]:
    with Record(host, "oec", "opsgenie") as opened:
        yield opened


def test_what_was_there_is_kept_under_a_dated_name_for_its_owner_alone(
    host: Host, record: Record, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o644)
    NEW.apply(host, record, NOW)
    copy = tmp_path / "file.2026-11-03T14-05-06.bak"
    assert (copy.read_text(), copy.stat().st_mode & 0o777) == ("old", 0o600)
    assert (tmp_path / "file").read_text() == "new"


def test_two_copies_of_one_second_do_not_replace_each_other(host: Host, record: Record, tmp_path: Path) -> None:
    for text in ("first", "second"):
        (tmp_path / "file").write_text(text)
        NEW.apply(host, record, NOW)
    assert {path.read_text() for path in tmp_path.glob("*.bak")} == {"first", "second"}


def test_our_own_earlier_version_is_replaced_without_a_copy(host: Host, record: Record, tmp_path: Path) -> None:
    NEW.apply(host, record, NOW)
    WriteFile("/file", b"newer", ROOT, (0o600,)).apply(host, record, NOW)
    assert (tmp_path / "file").read_text() == "newer"
    assert list(tmp_path.glob("*.bak")) == []


def test_a_question_is_asked_for_a_persons_version_alone(host: Host, record: Record, tmp_path: Path) -> None:
    step = WriteFile("/file", b"new", ROOT, (0o600,), asks=True, difference=lambda _: "shown")
    assert not step.assess(host, record).question
    (tmp_path / "file").write_text("a person's")
    assert step.assess(host, record).question
    assert step.assess(host, record).difference == "shown"


def test_a_link_in_the_files_place_is_refused(host: Host, record: Record, tmp_path: Path) -> None:
    (tmp_path / "file").symlink_to("/etc/passwd")
    with pytest.raises(SetupError, match="symbolic link"):
        NEW.assess(host, record)


def test_what_is_set_aside_lies_in_a_dated_directory(host: Host, record: Record, tmp_path: Path) -> None:
    (tmp_path / "http.py").write_text("the vendor's")
    step = SetAside("/http.py", "")
    assert step.assess(host, record).needed
    step.apply(host, record, NOW)
    assert (tmp_path / "set-aside.2026-11-03T14-05-06/http.py").read_text() == "the vendor's"
    assert not step.assess(host, record).needed


def test_what_is_there_already_is_no_leaving_of_ours(host: Host, record: Record, tmp_path: Path) -> None:
    (tmp_path / "old.log").touch()
    ExpectLeavings((("/old.log", LOG), ("/new.log", LOG))).apply(host, record, NOW)
    assert [entry["name"] for entry in record.entries] == ["/new.log"]


class SystemdHost(Host):
    """A host that systemd runs."""

    @property
    def has_systemd(self) -> bool:
        return True


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `systemctl` that writes down what it was told."""
    told = tmp_path / "told"
    command = tmp_path / "bin/systemctl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$*" >> {told}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    return told


def test_systemd_reads_a_unit_once_for_each_version_and_lets_go_of_it_at_the_end(
    tmp_path: Path, systemctl: Path
) -> None:
    host = SystemdHost(str(tmp_path))
    with Record(host, "native", "x") as record:
        for data in (b"1", b"1", b"2"):
            step = LoadUnit("x.service", data)
            if step.assess(host, record).needed:
                step.apply(host, record, NOW)
        undo_all(host, record, lambda _: None)
    assert systemctl.read_text().splitlines() == ["daemon-reload", "daemon-reload", "disable --now x.service"]


def test_a_log_of_before_becomes_the_connectors_and_is_given_back(host: Host, record: Record, tmp_path: Path) -> None:
    log = tmp_path / "old.log"
    log.touch()
    log.chmod(0o444)
    step = OwnFile("/old.log", ROOT)
    step.apply(host, record, NOW)
    assert log.stat().st_mode & 0o777 == 0o644
    assert not step.assess(host, record).needed
    undo_all(host, record, lambda _: None)
    assert log.stat().st_mode & 0o777 == 0o444
    assert not OwnFile("/none.log", ROOT).assess(host, record).needed
