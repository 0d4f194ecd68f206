"""The host's users, processes and commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alerta_opsgenie.setup.host import Host, SetupError, run_command
from alerta_opsgenie.setup.layout import Ownership


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_user_of_an_image_has_the_given_number(tmp_path: Path) -> None:
    assert Host(str(tmp_path), (990, 991)).numbers(Ownership("opsgenie", "opsgenie")) == (990, 991)
    assert Host(str(tmp_path)).numbers(Ownership("opsgenie", "opsgenie")) is None
    assert Host(str(tmp_path), (990, 991)).numbers(Ownership("root", "opsgenie")) == (0, 991)


def test_the_error_of_a_failed_command_contains_its_output() -> None:
    with pytest.raises(SetupError, match="nobody by that name"):
        run_command(["sh", "-c", "echo nobody by that name >&2; exit 3"])
    run_command(["sh", "-c", "exit 3"], fine=3)
