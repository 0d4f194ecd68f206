"""A service's environment comes out as systemd sets it (systemd.exec(5))."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.vendor.systemd import ServiceEnvironment, parse_environment, parse_environment_file, read_unit

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize(
    ("value", "variables"),
    [
        ('"A=b c" OTHER="q r"', {"A": "b c", "OTHER": "q r"}),
        ("'K=v'", {"K": "v"}),
        ("A=1 B=2", {"A": "1", "B": "2"}),
        ("A='x y'z B=", {"A": "x yz", "B": ""}),
        ('A="a\\"b"', {"A": 'a"b'}),
        ("A=50%% B=%h C=$HOME", {"A": "50%", "B": "%h", "C": "$HOME"}),
        ("word 9A=1 =x A=1", {"A": "1"}),
        ('A="never closed', {}),
    ],
)
def test_the_assignments_of_a_line_lose_their_quotes(value: str, variables: dict[str, str]) -> None:
    assert parse_environment(value) == variables


def test_the_values_of_a_file_lose_quotes_of_both_kinds() -> None:
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
        ("A=\nB='x'y", {"A": "", "B": "xy"}),
        ("A=it's\nB=2", {"B": "2"}),
    ],
)
def test_a_file_is_read_as_systemd_reads_it(text: str, variables: dict[str, str]) -> None:
    assert parse_environment_file(text) == variables


def test_a_unit_with_a_drop_in_gives_user_variables_and_files() -> None:
    unit = (
        '[Unit]\nUser=no\n[Service]\nUser=opsgenie\nEnvironment="A=b c" \\\n  B=2 C=3\nEnvironmentFile=-/etc/oec.env\n'
    )
    files = {"/etc/oec.env": "C=from-file\nD=4\n"}
    found = read_unit([unit, "[Service]\nEnvironment=B=9\nUnsetEnvironment=D\n"], lambda path: files.get(path, ""))
    assert found == ServiceEnvironment("opsgenie", {"A": "b c", "B": "9", "C": "from-file"})
    assert "from-file" not in repr(found)


def test_an_empty_setting_takes_back_those_before_it() -> None:
    unit = "[Service]\nEnvironment=A=1\nEnvironmentFile=/a\nEnvironment=\nEnvironmentFile=\nEnvironment=B=2\n"
    assert read_unit([unit], lambda _: "X=1") == ServiceEnvironment("", {"B": "2"})


@given(st.text(alphabet="AB=\"'\\ \n#;[Service]Environment%", max_size=200))
def test_any_text_is_read(text: str) -> None:
    parse_environment_file(text)
    read_unit([f"[Service]\nEnvironment={text}"], lambda _: text)
