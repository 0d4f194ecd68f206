"""Units and environment files, as systemd reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerta_opsgenie.doctor.units import find_units, read_unit
from tests.support.patient import open_directory


def read(tmp_path: Path, text: str, **drop_ins: str) -> dict[str, str]:
    unit = tmp_path / "bridge.service"
    unit.write_text(text)
    for name, part in drop_ins.items():
        directory = tmp_path / "bridge.service.d"
        directory.mkdir(exist_ok=True)
        (directory / f"{name}.conf").write_text(part)
    return dict(read_unit(str(unit), (str(tmp_path),)).environment)


def test_user_command_and_variables_are_read(tmp_path: Path) -> None:
    text = (
        "[Unit]\nUser=no\n[Service]\nUser=opsgenie\n"
        'ExecStart=-/bin/x run \\\n  --config "/a b"\nEnvironment="A=1 2" B=3\n'
    )
    (tmp_path / "a.service").write_text(text)
    unit = read_unit(str(tmp_path / "a.service"), ())
    assert (unit.user, unit.command) == ("opsgenie", ("/bin/x", "run", "--config", "/a b"))
    assert unit.environment == {"A": "1 2", "B": "3"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('A="quoted value"', "quoted value"),
        ("A='single'", "single"),
        ("A=plain words", "plain words"),
        ("  A=spaces around  ", "spaces around"),
        ("A=one \\\n two", "one  two"),
    ],
)
def test_an_environment_file_is_read_as_systemd_reads_it(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / "environment").write_text(f"# A=no\n; A=no\n{line}\n")
    assert read(tmp_path, f"[Service]\nEnvironmentFile=-{tmp_path}/environment\n")["A"].split() == value.split()


def test_a_file_goes_before_a_setting_and_an_empty_setting_forgets(tmp_path: Path) -> None:
    (tmp_path / "environment").write_text("A=file\n")
    text = f"[Service]\nEnvironment=B=gone\nEnvironment=\nEnvironment=A=unit C=3\nEnvironmentFile={tmp_path}/env*\n"
    assert read(tmp_path, text) == {"A": "file", "C": "3"}


def test_drop_ins_count_in_their_order(tmp_path: Path) -> None:
    parts = {"20-b": "[Service]\nEnvironment=A=later\n", "10-a": "[Service]\nEnvironment=A=earlier B=2\n"}
    assert read(tmp_path, "[Service]\nEnvironment=A=unit\n", **parts) == {"A": "later", "B": "2"}


def test_a_missing_file_is_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, "[Service]\nEnvironmentFile=-/no/such/file\n") == {}


def test_a_file_that_others_decide_is_not_read() -> None:
    """Systemd reads it as root; what stands there could be a link to any file of root's."""
    with open_directory() as directory:
        (directory / "units").mkdir()
        (directory / "open").mkdir()
        (directory / "open").chmod(0o777)
        (directory / "open/environment").write_text("A=1\n")
        text = f"[Service]\nEnvironmentFile={directory}/open/environment\n"
        (directory / "units/a.service").write_text(text)
        assert [unit.environment for unit in find_units((f"{directory}/units",))] == [{}]
