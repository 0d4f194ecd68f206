"""The play on a Debian of the test's: the first run installs and restarts, the second changes nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from tests.deploy.debian import DEPLOY, Debian, image, may_make_one

PLAY = DEPLOY / "ansible/edge-connector.yml"
ANSIBLE = "ansible-core>=2.17,<2.20"  # Debian 12 has Python 3.11
CALLS = "/root/systemctl.calls"
SYSTEMCTL = f"""#!/bin/sh
echo "$@" >>{CALLS}
case "$1" in
    show) echo "LoadState=loaded"; echo "ActiveState=active"; echo "UnitFileState=enabled" ;;
    --version) echo "systemd 252 (a stand-in)" ;;
esac
"""
PROBLEM = re.compile(r"^.*(fatal|FAILED|ERROR).*$", re.MULTILINE)

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def host(
    wheel: Path, alerta: AlertaServer, alerta_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Debian]:
    """A Debian with Ansible, a stand-in for systemctl, and the files that the play's variables name."""
    if not may_make_one():
        pytest.skip("needs root and mmdebstrap")
    place = tmp_path_factory.mktemp("ansible")
    debian = Debian.unpacked(image("bookworm", place), place / "debian")
    debian.fetch(ANSIBLE, f"alerta-opsgenie[connector] @ {wheel.as_uri()}")
    debian.put("/usr/bin/systemctl", SYSTEMCTL, 0o755)
    (debian.root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
    debian.done("python3", "-m", "venv", "/root/ansible")
    debian.done("/root/ansible/bin/pip", "install", "ansible-core")
    debian.put("/root/hosts", "[edge_connectors]\nlocalhost ansible_connection=local "
               "ansible_python_interpreter=/usr/bin/python3 ansible_become=false\n")  # fmt: skip
    debian.put("/root/variables.yml", f"""
alerta_url: {alerta.api_url}
alerta_api_key: {alerta_key}
opsgenie_api_key: 12345678-90ab-cdef-1234-567890abcdef
bridge_package: "alerta-opsgenie[connector]"
bridge_ignore_doctor: true
""")
    debian.bring(PLAY)
    yield debian
    subprocess.run(["rm", "-rf", str(debian.root)], check=False)


@pytest.fixture(scope="module")
def first(host: Debian) -> str:
    """The output of the first run."""
    return play(host)


def play(host: Debian, *more: str) -> str:
    """Run the play; return its output."""
    environment = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0"}
    command = ("/root/ansible/bin/ansible-playbook", "-i", "/root/hosts", "-e", "@/root/variables.yml")
    return host.done(*command, *more, f"/root/{PLAY.name}", network=True, environment=environment)


def recap(said: str) -> dict[str, int]:
    """Return the numbers of the last line."""
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", said.rpartition("PLAY RECAP")[2])}


def calls(host: Debian) -> list[str]:
    """Return the calls of systemctl that change something, and remove them from the log."""
    file = host.root / CALLS[1:]
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [line for line in lines if not line.startswith(("show", "--version", "is-", "list-", "status"))]


def test_the_first_run_installs_and_restarts_before_doctor_runs(host: Debian, first: str) -> None:
    assert recap(first)["changed"] >= 2, first
    assert calls(host)[-1] in {"start oec", "restart oec"}
    names = re.findall(r"^(?:TASK|RUNNING HANDLER) \[(.+?)\]", first, re.MULTILINE)
    assert names.index("Restart the connector") < names.index("Show the problems that doctor found")


def test_the_second_run_changes_nothing(host: Debian, first: str) -> None:
    assert first
    calls(host)
    before = host.find("/etc", "/home", "/opt", "/var/log/opsgenie")
    second = play(host)
    assert (recap(second)["changed"], recap(second)["failed"]) == (0, 0), second
    assert calls(host) == []
    assert host.find("/etc", "/home", "/opt", "/var/log/opsgenie") == before


def test_the_mode_that_oec_sets_for_its_log_directory_is_no_change(host: Debian, first: str) -> None:
    """OEC sets it to 0744 at each start."""
    assert first
    (host.root / "var/log/opsgenie").chmod(0o744)
    said = play(host)
    assert recap(said)["changed"] == 0, said
    assert (host.root / "var/log/opsgenie").stat().st_mode & 0o777 == 0o744


def test_a_failure_of_doctor_fails_the_play(host: Debian, first: str) -> None:
    assert first
    with pytest.raises(AssertionError, match="failed=1"):
        play(host, "-e", '{"bridge_ignore_doctor": false}')


def test_another_key_of_the_integration_is_a_change_and_restarts_the_connector(host: Debian, first: str) -> None:
    assert first
    calls(host)
    said = play(host, "-e", "opsgenie_api_key=22345678-90ab-cdef-1234-567890abcdef")
    assert recap(said)["changed"] == 2, said
    assert calls(host)[-1] in {"start oec", "restart oec"}
