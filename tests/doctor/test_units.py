"""The services of this host, and their environment (systemd.exec(5))."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.doctor.units import Unit, find_units, parse_environment, parse_environment_file, read_unit
from tests.support.installed import open_directory

CASES = Path(__file__).parents[1] / "vendor/cases"


def write(directory: Path, text: str, **drop_ins: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "bridge.service").write_text(text)
    for name, part in drop_ins.items():
        drop_in = directory / "bridge.service.d"
        drop_in.mkdir(exist_ok=True)
        (drop_in / f"{name}.conf").write_text(part)


def read(*directories: Path) -> Unit:
    (unit,) = find_units(tuple(map(str, directories)))
    return unit


def test_user_command_and_variables_are_read() -> None:
    with open_directory() as directory:
        (directory / "environment").write_text('B="of the file"\n')
        write(
            directory / "units",
            f"[Unit]\nUser=no\n[Service]\nUser=opsgenie\nEnvironment=A=1 \\\n B=2 C=3\nUnsetEnvironment=C\n"
            f"EnvironmentFile=-{directory}/environment\n"
            'ExecStart=-/bin/x run \\\n  --config "/a b"\n',
        )
        unit = read(directory / "units")
    assert (unit.name, unit.user, unit.command) == ("bridge.service", "opsgenie", ("/bin/x", "run", "--config", "/a b"))
    assert unit.environment == {"A": "1", "B": "of the file"}
    assert "of the file" not in repr(unit)


def test_drop_ins_apply_in_order_and_an_earlier_directory_wins() -> None:
    parts = {"20-b": "[Service]\nExecStart=\nExecStart=/bin/y\n", "10-a": "[Service]\nEnvironment=A=drop-in\n"}
    with open_directory() as directory:
        write(directory / "etc", "[Service]\nUser=etc\nExecStart=/bin/x\nEnvironment=A=1\n", **parts)
        write(directory / "lib", "[Service]\nUser=lib\n")
        unit = read(directory / "etc", directory / "lib")
    assert (unit.user, unit.command, unit.environment) == ("etc", ("/bin/y",), {"A": "drop-in"})


def test_a_unit_that_others_can_change_is_not_read() -> None:
    """Root reads these; the file could be a link to any file of root's."""
    with open_directory() as directory:
        (directory / "open").mkdir()
        (directory / "open/environment").write_text("A=1\n")
        (directory / "open").chmod(0o777)
        write(directory / "units", f"[Service]\nEnvironmentFile={directory}/open/environment\n")
        assert read(directory / "units").environment == {}


@pytest.mark.parametrize(
    ("value", "variables"),
    [
        ('"A=b c" OTHER="q r"', {"A": "b c", "OTHER": "q r"}),
        ("'K=v'", {"K": "v"}),
        ("A='x y'z B=", {"A": "x yz", "B": ""}),
        ("A=50%% B=%h C=$HOME", {"A": "50%", "B": "%h", "C": "$HOME"}),
        ("word 9A=1 =x A=1", {"A": "1"}),
        ('A="never closed', {}),
    ],
)
def test_quotes_in_an_environment_line_are_removed(value: str, variables: dict[str, str]) -> None:
    assert parse_environment(value) == variables


def test_both_kinds_of_quotes_in_an_environment_file_are_removed() -> None:
    assert parse_environment_file((CASES / "service.env").read_text()) == {
        "OEC_CONF_SOURCE_TYPE": "local",
        "OEC_CONF_LOCAL_FILEPATH": "/etc/opsgenie/oecconfig.yml",
        "ALERTA_API_KEY": "demo-key",
        "ALERTA_API_URL": "https://alerta.example.com/api",
        "PLAIN": "plain",
        "SPACED": "a b",
    }


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("  A = 1  \nB=2 # part of it\n#C=3\n;D=4\n", {"A": "1", "B": "2 # part of it"}),
        ("A='two\nlines'\nB=2", {"A": "two\nlines", "B": "2"}),
        ("A=a\\\nb\nB=2\r\nC=3", {"A": "ab", "B": "2", "C": "3"}),
        ('A="a\\"b\\n\\$"', {"A": 'a"b\\n$'}),
        ("export A=1\nB=2", {"B": "2"}),
        ("A=it's\nB=2", {"B": "2"}),
    ],
)
def test_an_environment_file_is_read_as_systemd_does(text: str, variables: dict[str, str]) -> None:
    assert parse_environment_file(text) == variables


def test_an_empty_setting_removes_earlier_ones() -> None:
    unit = "[Service]\nEnvironment=A=1\nEnvironmentFile=/a\nEnvironment=\nEnvironmentFile=\nEnvironment=B=2\n"
    assert read_unit("x", [unit], lambda _: "X=1") == Unit("x", environment={"B": "2"})


@given(st.text(alphabet="AB=\"'\\ \n#;[Service]Environment%", max_size=200))
def test_any_text_is_read(text: str) -> None:
    parse_environment_file(text)
    read_unit("x", [f"[Service]\nEnvironment={text}"], lambda _: text)
