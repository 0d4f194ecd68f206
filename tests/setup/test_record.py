"""The record of an installation."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from alerta_opsgenie.setup.host import Host, SetupError
from alerta_opsgenie.setup.record import DIRECTORY, Record


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(str(tmp_path))


def test_what_was_put_is_there_for_the_next_process(host: Host) -> None:
    with Record(host, "oec", "opsgenie") as record:
        record.put("file", "/a", made=True)
    found = Record(host, "oec", "opsgenie").find("file", "/a")
    assert found == {"kind": "file", "name": "/a", "made": True}


def test_nobody_but_its_owner_can_read_or_write_it(host: Host) -> None:
    with Record(host, "oec", "opsgenie") as record:
        record.put("group", "opsgenie")
        assert host.at(record.path).stat().st_mode & 0o777 == 0o600
        assert host.at(DIRECTORY).stat().st_mode & 0o022 == 0


def test_an_empty_one_leaves_no_trace(host: Host) -> None:
    with Record(host, "oec", "opsgenie") as record:
        record.drop(record.put("group", "opsgenie"))
    assert not host.at(DIRECTORY).exists()


def test_another_installations_record_stays(host: Host) -> None:
    with Record(host, "jec", "jec") as other:
        other.put("group", "jec")
    with Record(host, "oec", "opsgenie"):
        pass
    assert Record(host, "jec", "jec").entries


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2, "entries": []}', "not json"])
def test_one_that_cannot_be_understood_stops_everything(host: Host, text: str) -> None:
    with Record(host, "oec", "opsgenie") as record:
        record.put("group", "opsgenie")
    host.at(record.path).write_text(text)
    with pytest.raises(SetupError, match="cannot be understood"):
        Record(host, "oec", "opsgenie")


def _enter(root: str) -> None:
    with Record(Host(root), "oec", "opsgenie"):
        pass


def test_two_at_once_are_refused(host: Host) -> None:
    with Record(host, "jec", "jec"):
        other = multiprocessing.get_context("fork").Process(target=_enter, args=(host.root,))
        other.start()
        other.join(20)
        assert other.exitcode == 1


def test_it_is_json_that_a_person_can_read(host: Host) -> None:
    with Record(host, "oec", "opsgenie") as record:
        record.put("directory", "/a")
        assert json.loads(host.at(record.path).read_text())["entries"][0]["kind"] == "directory"
