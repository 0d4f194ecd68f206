"""The play, run for real on a host of its own: the first run sets up and restarts, the second changes nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from tests.deploy.debian import DEPLOY, Debian

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

pytestmark = [pytest.mark.long, pytest.mark.parametrize("archive", ["bookworm"], indirect=True)]


def fetch(directory: Path, *requirements: str) -> None:
    """Let this host's pip fetch what the other one shall install without a network."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(directory), *requirements]
    subprocess.run([*command, "--only-binary=:all:"], check=True, capture_output=True)


@pytest.fixture
def host(debian: Debian, wheel: Path, alerta: AlertaServer, alerta_key: str) -> Debian:
    """A Debian with Ansible, with a stand-in for systemctl, and with what the play's variables name."""
    wheels = debian.root / "wheels"
    wheels.mkdir()
    fetch(wheels, ANSIBLE, f"alerta-opsgenie[connector] @ {wheel.as_uri()}")
    debian.put("/etc/pip.conf", "[global]\nno-index = true\nfind-links = /wheels\n")
    debian.put("/usr/local/bin/systemctl", SYSTEMCTL, 0o755)
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
    return debian


def play(host: Debian, *more: str) -> str:
    """Run it, and give what it says."""
    environment = {
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0",
    }  # fmt: skip
    command = ("/root/ansible/bin/ansible-playbook", "-i", "/root/hosts", "-e", "@/root/variables.yml")
    return host.done(*command, *more, f"/root/{PLAY.name}", network=True, environment=environment)


def recap(said: str) -> dict[str, int]:
    """Give the numbers of the last line."""
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", said.rpartition("PLAY RECAP")[2])}


def calls(host: Debian) -> list[str]:
    """Give the calls of systemctl that change something, and forget them."""
    file = host.root / CALLS[1:]
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [line for line in lines if not line.startswith(("show", "--version", "is-", "list-", "status"))]


def test_the_second_run_changes_nothing(host: Debian) -> None:
    first = play(host)
    assert recap(first)["changed"] >= 2, first
    assert "restart oec" in calls(host)
    assert first.index("RUNNING HANDLER [Restart the connector]") < first.index("TASK [Say what is not as it should be]")
    before = host.find("/etc", "/home", "/opt", "/var/log/opsgenie")
    second = play(host)
    assert (recap(second)["changed"], recap(second)["failed"]) == (0, 0), second
    assert calls(host) == []
    assert host.find("/etc", "/home", "/opt", "/var/log/opsgenie") == before


def test_what_oec_makes_of_its_log_directory_is_no_change(host: Debian) -> None:
    """OEC sets it to 0744 at each start."""
    play(host)
    (host.root / "var/log/opsgenie").chmod(0o744)
    said = play(host)
    assert recap(said)["changed"] == 0, said
    assert (host.root / "var/log/opsgenie").stat().st_mode & 0o777 == 0o744


def test_another_url_is_a_change_and_restarts_the_connector(host: Debian) -> None:
    play(host)
    calls(host)
    said = play(host, "-e", "alerta_url=https://other.example.com/api", "-e", '{"bridge_install_options": ["--force"]}')
    assert recap(said)["changed"] == 2, said
    assert "restart oec" in calls(host)


def test_a_fault_that_doctor_finds_fails_the_play(host: Debian) -> None:
    command = ("-e", '{"bridge_ignore_doctor": false}')
    with pytest.raises(AssertionError, match="failed=1"):
        play(host, *command)
