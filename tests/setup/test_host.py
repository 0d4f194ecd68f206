"""The host's files and users."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alerta_opsgenie.setup.host import Attributes, Host, SetupError, run_command
from alerta_opsgenie.setup.layout import Ownership


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(str(tmp_path))


def _mine(mode: int) -> Attributes:
    return Attributes(os.geteuid(), os.getegid(), mode)


def test_a_file_is_written_whole_with_its_mode(host: Host, tmp_path: Path) -> None:
    host.write("/file", b"text", _mine(0o640))
    found = host.look("/file")
    assert found is not None
    assert (host.read("/file"), found.attributes.mode, found.kind) == (b"text", 0o640, "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_that_lies_where_the_new_file_is_made_is_not_followed(host: Host, tmp_path: Path) -> None:
    """The directory may be a user's who puts a link there for root to write through."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / ".file.alerta-opsgenie-new").symlink_to(victim)
    host.write("/file", b"text", _mine(0o600))
    assert victim.read_text() == "untouched"


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(host: Host, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "file").symlink_to(victim)
    host.write("/file", b"text", _mine(0o600))
    assert victim.read_text() == "untouched"
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        host.read("/link")


def test_in_an_image_users_are_those_of_the_image(host: Host, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nopsgenie:x:4711:4712::/home/opsgenie:/bin/false\n")
    (tmp_path / "etc/group").write_text("opsgenie:x:4712:\n")
    assert (host.user_number("opsgenie"), host.group_number("opsgenie")) == (4711, 4712)
    assert host.user_number("nobody") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_user_that_the_image_does_not_know_goes_by_the_number_given(tmp_path: Path) -> None:
    assert Host(str(tmp_path), (990, 991)).numbers(Ownership("opsgenie", "opsgenie")) == (990, 991)
    assert Host(str(tmp_path)).numbers(Ownership("opsgenie", "opsgenie")) is None
    assert Host(str(tmp_path), (990, 991)).numbers(Ownership("root", "opsgenie")) == (0, 991)


def test_a_full_directory_is_not_removed(host: Host, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/file").touch()
    assert not host.remove_directory("/directory")
    assert host.remove_directory("/never-there")


def test_a_command_that_is_not_there_says_what_to_do_by_hand() -> None:
    with pytest.raises(SetupError) as caught:
        run_command(["no-such-useradd", "opsgenie"])
    assert "no-such-useradd opsgenie" in caught.value.mend


def test_a_command_that_fails_says_so_in_its_own_words() -> None:
    with pytest.raises(SetupError, match="nobody by that name"):
        run_command(["sh", "-c", "echo nobody by that name >&2; exit 3"])
    assert run_command(["sh", "-c", "exit 3"], fine={3}) == ""
