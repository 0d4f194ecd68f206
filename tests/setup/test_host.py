"""The host's users, processes and commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alerta_opsgenie.setup.host import Host, SetupError, run_command
from alerta_opsgenie.setup.layout import Ownership


def test_in_an_image_users_are_those_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nopsgenie:x:4711:4712::/home/opsgenie:/bin/false\n")
    (tmp_path / "etc/group").write_text("opsgenie:x:4712:\n")
    host = Host(str(tmp_path))
    assert (host.user_number("opsgenie"), host.group_number("opsgenie")) == (4711, 4712)
    assert (host.user_number("nobody"), host.files.groups(4711), host.files.groups(1)) == (None, 4712, 65534)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_user_that_the_image_does_not_know_goes_by_the_number_given(tmp_path: Path) -> None:
    assert Host(str(tmp_path), (990, 991)).numbers(Ownership("opsgenie", "opsgenie")) == (990, 991)
    assert Host(str(tmp_path)).numbers(Ownership("opsgenie", "opsgenie")) is None
    assert Host(str(tmp_path), (990, 991)).numbers(Ownership("root", "opsgenie")) == (0, 991)


def test_a_command_that_is_not_there_says_what_to_do_by_hand() -> None:
    with pytest.raises(SetupError) as caught:
        run_command(["no-such-useradd", "opsgenie"])
    assert "no-such-useradd opsgenie" in caught.value.advice


def test_a_command_that_fails_says_so_in_its_own_words() -> None:
    with pytest.raises(SetupError, match="nobody by that name"):
        run_command(["sh", "-c", "echo nobody by that name >&2; exit 3"])
    run_command(["sh", "-c", "exit 3"], fine=3)
