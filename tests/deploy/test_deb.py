"""The .deb is installed, upgraded, removed and purged in a Debian without a network, and works there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from tests.deploy.conftest import build_deb
from tests.deploy.debian import DEPLOY, PACKAGE, Debian
from tests.support.cloud import running_edge
from tests.support.console import Console

CONFIG, STATE = "/etc/alerta-opsgenie/config.json", "/var/lib/alerta-opsgenie"
UNIT = "/usr/lib/systemd/system/alerta-opsgenie.service"
TOPS = ("/etc", "/home", "/opt", "/srv", "/usr", "/var/lib")
OF_DPKG = ("/var/lib/dpkg/", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid")


def everything(debian: Debian) -> dict[str, tuple[int, int, int]]:
    """Return all files that a package could leave; files that dpkg and useradd rewrite are compared by content."""
    return {path: found for path, found in debian.find(*TOPS).items() if not path.startswith(OF_DPKG)}


def newer(deb: Path, directory: Path) -> Path:
    """The same package with a higher version."""
    subprocess.run(["dpkg-deb", "-R", str(deb), str(directory / "tree")], check=True)
    control = directory / "tree/DEBIAN/control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 9"))
    made = directory / "newer.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(directory / "tree"), str(made)], check=True)
    return made


def test_the_same_wheel_gives_the_same_package(wheel: Path, deb: Path, tmp_path: Path) -> None:
    assert build_deb(wheel, tmp_path).read_bytes() == deb.read_bytes()


@pytest.mark.long
def test_the_package_installs_without_a_network_with_user_directories_and_unit(debian: Debian, deb: Path) -> None:
    debian.done("dpkg", "-i", debian.bring(deb))
    assert PACKAGE in debian.done(PACKAGE, "--version")
    assert debian.done("getent", "passwd", PACKAGE).strip().endswith(f":{STATE}:/usr/sbin/nologin")
    assert debian.done("stat", "-c", "%U:%G %a", "/etc/alerta-opsgenie").strip() == f"root:{PACKAGE} 750"
    assert debian.done("stat", "-c", "%U:%G %a", f"{STATE}/spool").strip() == f"{PACKAGE}:{PACKAGE} 700"
    assert "ExecStart=/usr/bin/alerta-opsgenie run" in debian.done("cat", UNIT)


@pytest.mark.long
def test_systemd_accepts_the_units(debian: Debian, deb: Path) -> None:
    """It prints unknown settings and missing programs, but its exit code is 0 for some of them."""
    debian.done("dpkg", "-i", debian.bring(deb))
    debian.done("ln", "-s", "/usr", "/opt/alerta-opsgenie")
    for unit in (UNIT, debian.bring(DEPLOY / "systemd/alerta-opsgenie-agent.service")):
        assert debian.done("systemd-analyze", "verify", "--man=no", unit) == ""


@pytest.mark.long
def test_an_upgrade_keeps_the_configuration_and_waiting_actions(debian: Debian, deb: Path, tmp_path: Path) -> None:
    debian.done("dpkg", "-i", debian.bring(deb))
    kept = [CONFIG, "/etc/alerta-opsgenie/alerta.key", f"{STATE}/spool/journal"]
    for path in kept:
        debian.put(path, "of a person", 0o640)
    debian.done("chmod", "0710", "/etc/alerta-opsgenie")
    was = debian.find("/etc/alerta-opsgenie", STATE)
    debian.done("dpkg", "-i", debian.bring(newer(deb, tmp_path)))
    assert debian.find("/etc/alerta-opsgenie", STATE) == was
    assert {(debian.root / path[1:]).read_text() for path in kept} == {"of a person"}
    assert debian.done("stat", "-c", "%a", "/etc/alerta-opsgenie").strip() == "710"
    debian.done("dpkg", "-r", PACKAGE)
    assert debian.find("/etc/alerta-opsgenie", STATE) == was
    assert debian.run(PACKAGE).returncode != 0


@pytest.mark.long
def test_purge_leaves_no_file_in_each_setup(debian: Debian, deb: Path) -> None:
    was, users = everything(debian), debian.done("getent", "passwd")
    debian.done("dpkg", "-i", debian.bring(deb))
    keys = {"ALERTA_API_KEY": "a-key-of-the-test", "OEC_API_KEY": "12345678-90ab-cdef-1234-567890abcdef"}
    url = ("--alerta-url", "https://alerta.example.com/api")
    debian.done(PACKAGE, "install", "--edge", "native", *url, "--yes", environment=keys)
    debian.put(f"{STATE}/spool/journal", "what waits")
    debian.done("dpkg", "--purge", PACKAGE)
    assert everything(debian) == was
    assert debian.done("getent", "passwd") == users


@pytest.mark.long
def test_removal_names_installations_that_can_no_longer_run(debian: Debian, deb: Path) -> None:
    debian.done("dpkg", "-i", debian.bring(deb))
    for name in ("oec-opsgenie", "native-alerta-opsgenie-staging"):
        debian.put(f"/var/lib/alerta-opsgenie-setup/{name}.json", "{}")
    said = debian.done("dpkg", "-r", PACKAGE)
    assert "alerta-opsgenie uninstall --edge oec --user opsgenie\n" in said
    assert "alerta-opsgenie uninstall --edge native --user alerta-opsgenie-staging\n" in said


@pytest.mark.long
def test_the_packaged_connector_applies_a_persons_action(
    debian: Debian, deb: Path, alerta: AlertaServer, alerta_key: str, console: Console
) -> None:
    """With the libraries of that Debian, which are older than pip's and use SQS's older protocol."""
    debian.done("dpkg", "-i", debian.bring(deb))
    with running_edge(moto=True, settings={"source_filter": "Alerta"}) as run:
        keys = {"ALERTA_API_KEY": alerta_key, "OEC_API_KEY": run.integration.key}
        places = ("--alerta-url", alerta.api_url, "--base-url", run.server.base_url)
        debian.done(PACKAGE, "install", "--edge", "native", *places, "--yes", environment=keys)
        alert_id = str(console.create_alert()["id"])
        run.cloud.person("alerta@example.com").create("Disk usage 97%", alert_id, source="Alerta")
        run.cloud.person("alice@example.com").acknowledge(alert_id)
        assert run.cloud.wait_settled()
        debian.done(PACKAGE, "run", "--config", CONFIG, "--once", network=True)
    assert console.status(alert_id) == "ack"
