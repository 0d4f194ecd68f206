"""The services of this host."""

from __future__ import annotations

from pathlib import Path

from alerta_opsgenie.doctor.units import Unit, find_units
from tests.support.installed import open_directory


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
            f"[Service]\nUser=opsgenie\nEnvironment=A=1 B=2\nEnvironmentFile=-{directory}/environment\n"
            'ExecStart=-/bin/x run \\\n  --config "/a b"\n',
        )
        unit = read(directory / "units")
    assert (unit.name, unit.user, unit.command) == ("bridge.service", "opsgenie", ("/bin/x", "run", "--config", "/a b"))
    assert unit.environment == {"A": "1", "B": "of the file"}


def test_drop_ins_count_in_their_order_and_an_earlier_directory_goes_first() -> None:
    parts = {"20-b": "[Service]\nExecStart=\nExecStart=/bin/y\n", "10-a": "[Service]\nEnvironment=A=drop-in\n"}
    with open_directory() as directory:
        write(directory / "etc", "[Service]\nUser=etc\nExecStart=/bin/x\nEnvironment=A=1\n", **parts)
        write(directory / "lib", "[Service]\nUser=lib\n")
        unit = read(directory / "etc", directory / "lib")
    assert (unit.user, unit.command, unit.environment) == ("etc", ("/bin/y",), {"A": "drop-in"})


def test_a_file_that_others_decide_is_not_read() -> None:
    """Root reads these; what stands there could be a link to any file of root's."""
    with open_directory() as directory:
        (directory / "open").mkdir()
        (directory / "open/environment").write_text("A=1\n")
        (directory / "open").chmod(0o777)
        write(directory / "units", f"[Service]\nEnvironmentFile={directory}/open/environment\n")
        assert read(directory / "units").environment == {}
