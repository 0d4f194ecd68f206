"""The record of an installation."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from alerta_opsgenie.setup.host import Host, SetupError
from alerta_opsgenie.setup.record import DIRECTORY, Record

GROUP = {"kind": "group", "name": "opsgenie"}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(str(tmp_path))


def record_of(host: Host, *entries: dict[str, str], edge: str = "oec") -> Record:
    record = Record(host, edge, "opsgenie")
    with record.opened():
        for entry in entries:
            record.put(entry)
    return record


def test_entries_are_saved_for_the_next_process(host: Host) -> None:
    record_of(host, {"kind": "file", "name": "/a", "backup": ""}, {"kind": "file", "name": "/a", "backup": "/b"})
    assert Record(host, "oec", "opsgenie").entries == [{"kind": "file", "name": "/a", "backup": "/b"}]


def test_only_the_owner_can_read_and_write_the_record(host: Host) -> None:
    record = record_of(host, GROUP)
    assert Path(host.root + record.path).stat().st_mode & 0o777 == 0o600
    assert Path(host.root + DIRECTORY).stat().st_mode & 0o022 == 0


def test_an_empty_record_is_removed_and_other_records_stay(host: Host) -> None:
    record = record_of(host, GROUP)
    record_of(host, GROUP, edge="jec")
    with record.opened():
        record.drop(record.entries[0])
    assert Record(host, "jec", "opsgenie").entries
    other = Record(host, "jec", "opsgenie")
    with other.opened():
        other.drop(other.entries[0])
    assert not Path(host.root + DIRECTORY).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1, "entries": []}', "not json"])
def test_a_record_that_cannot_be_parsed_is_an_error(host: Host, text: str) -> None:
    record = record_of(host, GROUP)
    Path(host.root + record.path).write_text(text)
    with pytest.raises(SetupError, match="cannot be parsed"):
        Record(host, "oec", "opsgenie")


def _enter(root: str) -> None:
    with Record(Host(root), "oec", "opsgenie").opened():
        pass


def test_a_second_install_at_the_same_time_is_refused(host: Host) -> None:
    with Record(host, "jec", "jec").opened():
        other = multiprocessing.get_context("fork").Process(target=_enter, args=(host.root,))
        other.start()
        other.join(20)
        assert other.exitcode == 1
