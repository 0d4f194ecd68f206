"""The manifests are valid by Kubernetes' schema, and the connector works with a pod's files."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from lab.alerta_server import AlertaServer

from alerta_opsgenie.cli import group
from tests.deploy.debian import DEPLOY
from tests.docs.console_blocks import DOCS, commands_of
from tests.support.cloud import running_edge
from tests.support.console import Console
from tests.support.own_host import may_have_own_host, own_host

MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
VERSIONS = ("1.31", "1.37")  # the oldest and the newest that anybody would run in 2026
STATE = "/var/lib/alerta-opsgenie"


def resources(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each pod's specification, with the name of its resource."""
    for path in MANIFESTS:
        for resource in resources(path):
            if resource["kind"] in ("Deployment", "StatefulSet"):
                yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


PODS = dict(pods())
OURS = [container for pod in PODS.values() for container in containers(pod) if container["image"] == "alerta-opsgenie"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_is_valid_by_the_published_schema(path: Path, version: str) -> None:
    for resource in resources(path):
        kubernetes_validate.validate(resource, version, strict=True)


def test_an_unknown_field_is_detected() -> None:
    [resource, *_] = resources(DEPLOY / "kubernetes/connector.yaml")
    resource["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource, VERSIONS[0], strict=True)


def test_all_three_manifests_exist() -> None:
    assert set(PODS) == {"alerta-opsgenie", "oec", "alerta"}


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_no_container_is_root_or_can_become_root(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    for container in containers(pod):
        context = container["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]})


@pytest.mark.parametrize("pod", [PODS[name] for name in ("alerta-opsgenie", "oec")])
def test_the_state_directory_is_below_the_top_of_a_volume(pod: dict[str, Any]) -> None:
    """The top belongs to the group (fsGroup), and the program refuses a directory of another owner."""
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    mounts = [mount for container in containers(pod) for mount in container["volumeMounts"]]
    kept = {mount["name"] for mount in mounts if mount["mountPath"] == STATE}
    assert kept
    assert kept.isdisjoint(volume["name"] for volume in pod["volumes"])


def test_alertas_pod_needs_no_volume_for_the_outbox() -> None:
    """It is in Alerta's database."""
    assert {name for volume in PODS["alerta"]["volumes"] for name in volume} == {"name", "configMap", "secret"}
    [resource] = [found for found in resources(DEPLOY / "kubernetes/alerta.yaml") if found["kind"] == "Deployment"]
    assert "volumeClaimTemplates" not in resource["spec"]


@pytest.mark.parametrize("container", OURS, ids=lambda container: container["name"])
def test_the_commands_and_options_exist(container: dict[str, Any]) -> None:
    if "args" not in container:
        assert container["command"][:3] == ["python3", "-m", "alerta_opsgenie.executor.build"]
        return
    name, *options = container["args"]
    command = group.get_command(group.make_context("x", ["--help"], resilient_parsing=True), name)
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known


def test_ports_and_probes_match_the_programs_address() -> None:
    [connector] = PODS["alerta-opsgenie"]["containers"]
    assert connector["args"][-2:] == ["--listen", f"0.0.0.0:{connector['ports'][0]['containerPort']}"]
    paths = [connector[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")]
    assert paths == ["/healthz", "/healthz", "/readyz"]


def test_the_grace_period_is_longer_than_the_program_needs_to_end() -> None:
    assert PODS["alerta-opsgenie"]["terminationGracePeriodSeconds"] > 10


# -- as in a pod


def put_volume(path: str, files: dict[str, str], gid: int) -> None:
    """Make files like those of a secret's volume: links to a directory that is replaced as a whole."""
    data = Path(path, "..data")
    data.mkdir(parents=True)
    for name, text in files.items():
        (data / name).write_text(text)
        (data / name).chmod(0o440)
        os.chown(data / name, 0, gid)
        Path(path, name).symlink_to(f"..data/{name}")


def render_arguments() -> list[str]:
    """Return the command of docs/set-up/containers.md, without the values that the test sets."""
    [command] = [command.text for command in commands_of(DOCS / "set-up/containers.md") if " render " in command.text]
    words = shlex.split(command)[1:]
    for option in ("--alerta-url", "--api-key-file", "--output"):
        at = words.index(option)
        del words[at : at + 2]
    return words


def as_user(uid: int, gid: int) -> list[str]:
    """Return the start of a command as that user, with root's right to read: this Python may be in root's home."""
    capability = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *capability]


@pytest.mark.skipif(not may_have_own_host(), reason="only root can make a mount namespace")
def test_in_a_pod_the_connector_applies_an_action(alerta: AlertaServer, alerta_key: str, console: Console) -> None:
    """User, group, environment and command line are the manifest's; the files are as Kubernetes puts them there."""
    pod = PODS["alerta-opsgenie"]
    [container], context = pod["containers"], pod["securityContext"]
    program = [sys.executable, "-c", "from alerta_opsgenie.cli import main; main()"]
    with running_edge(settings={"source_filter": "Alerta"}) as run, own_host():
        rendered = subprocess.run(
            [*program, *render_arguments(), "--base-url", run.server.base_url, "--output", "/home/config.json"],
            env={**os.environ, "OEC_API_KEY": run.integration.key, "ALERTA_API_URL": alerta.api_url},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert rendered.returncode == 0, rendered.stderr
        config = Path("/home/config.json").read_text()
        put_volume("/etc/alerta-opsgenie", {"config.json": config}, context["fsGroup"])
        put_volume("/etc/alerta-keys", {"alerta.key": alerta_key}, context["fsGroup"])
        volume = Path(STATE)
        volume.mkdir()
        os.chown(volume, 0, context["fsGroup"])
        volume.chmod(0o2775)
        alert_id = str(console.create_alert()["id"])
        run.cloud.person("alerta@example.com").create("Disk usage 97%", alert_id, source="Alerta")
        run.cloud.person("alice@example.com").acknowledge(alert_id)
        assert run.cloud.wait_settled()
        ended = subprocess.run(
            [*as_user(context["runAsUser"], context["runAsGroup"]), *program, *container["args"][:-1], "off", "--once"],
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
    assert console.status(alert_id) == "ack"
