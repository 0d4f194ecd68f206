"""The set-up pages, from a clean clone on a clean host to the first action."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from tests.deploy.debian import Debian, image, may_make_one
from tests.docs.console_blocks import DOCS, ROOT, Command, commands_of
from tests.docs.sandbox import ALERTA
from tests.support.cloud import running_edge
from tests.support.console import Console
from tests.support.edge_messages import edge_message

pytestmark = pytest.mark.timeout(900)  # a Debian is made, and pip fetches the libraries
MOST_COMMANDS = 5
WAYS = {"native": "## Install", "oec": "## Install", "jec": "## Install", "webhook": "## "}
"""The set-up page of each connector, and the heading above its commands; all commands of the webhook's page."""

CONFIGS = {"oec": "/home/opsgenie/oec/conf/config.json", "jec": "/home/jsm/jec/conf/jec-config.json"}
SYSTEMCTL = r"""#!/bin/sh
# In systemd's place: a service is started as its unit says, and the vendor's connector hands out one message.
echo "$@" >>/root/systemctl.calls
for unit; do :; done
file=/etc/systemd/system/${unit%.service}.service
case "$1 $unit" in
    "enable "*)
        user=$(sed -n s/^User=//p "$file")
        start=$(sed -n s/^ExecStart=//p "$file")
        setsid setpriv --reuid="$user" --regid="$user" --init-groups --reset-env $start \
            >>/root/service.log 2>&1 </dev/null & ;;
    "restart oec" | "restart jec")
        user=$(stat -c %U /home/*/?ec/conf)
        setpriv --reuid="$user" --regid="$user" --init-groups --reset-env \
            /opt/alerta-opsgenie/bin/python /root/connector.py "$unit" >>/root/service.log 2>&1 ;;
esac
"""
CONNECTOR = f"""
import json, os, sys
from pathlib import Path

from alerta_opsgenie.vendor.structure import read_config
from alerta_opsgenie.vendor.runner import ScriptHost, run_message
environment = {{"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]}}
config = read_config({CONFIGS}[sys.argv[1]], dialect=sys.argv[1], environment=environment)
host = ScriptHost(environment=environment, working_directory="/")
message = json.loads(Path("/tmp/message").read_text())
result = run_message(config, message, host=host)
print(result.failure + result.stderr)
"""


def way(name: str) -> list[Command]:
    """Return the commands below the heading."""
    page = DOCS / f"set-up/{name}.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines, 1) if line.startswith(WAYS[name]))
    ends = [number for number, line in enumerate(lines, 1) if number > begin and line.startswith("## ")]
    end = len(lines) if WAYS[name] == "## " else ends[0]
    return [command for command in commands_of(page) if begin < command.line < end]


@pytest.mark.parametrize("name", WAYS)
def test_the_page_has_few_commands(name: str) -> None:
    assert 0 < len(way(name)) <= MOST_COMMANDS


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian's archive."""
    if not may_make_one():
        pytest.skip("needs root and mmdebstrap")
    return image("bookworm", tmp_path_factory.mktemp("image"))


def script_of(name: str, alerta_url: str, base_url: str) -> str:
    """Return all commands for one shell, with the test's Alerta and cloud instead of the page's."""
    lines = ["set -eu", "cd /root/clone", "PATH=/opt/alerta-opsgenie/bin:$PATH"]
    for command in way(name):
        text = command.text.replace(ALERTA, alerta_url)
        if text.startswith("alerta-opsgenie install "):
            text += f" --base-url {base_url}"
        # doctor finds no queue and no unit's state here; other tests check its findings.
        lines.append(f"{text} || [ $? = 1 ]" if " doctor " in text else text)
    return "\n".join([*lines, "until [ -e /root/seen ]; do sleep 0.2; done"])


@pytest.mark.long
@pytest.mark.parametrize("name", CONFIGS | {"native": ""})
def test_the_commands_lead_from_a_clean_clone_to_the_first_action(
    name: str, clean: Path, tmp_path: Path, alerta: AlertaServer, alerta_key: str, console: Console
) -> None:
    """The installation asks one question."""
    debian = Debian.unpacked(clean, tmp_path / "debian")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(debian.root / "root/clone")], check=True)
    debian.fetch("hatchling", "click>=8.1", "PyYAML", "jsonschema", "botocore", "prometheus-client", "rich")
    debian.put("/usr/bin/systemctl", SYSTEMCTL, 0o755)
    debian.put("/root/connector.py", CONNECTOR)
    (debian.root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
    (debian.root / "root").chmod(0o755)
    with running_edge("jec" if name == "jec" else "oec", moto=True, settings={"source_filter": "Alerta"}) as run:
        debian.put("/root/clone/alerta.key", alerta_key, 0o600)
        debian.put("/root/clone/integration.key", run.integration.key, 0o600)
        alert_id = str(console.create_alert()["id"])
        about = {"alias": alert_id, "source": "Alerta", "username": "alice@example.com", "updatedAt": time.time_ns()}
        debian.put("/tmp/message", json.dumps(edge_message("Acknowledge", alert=about)))
        run.cloud.person("alerta@example.com").create("Disk usage 97%", alert_id, source="Alerta")
        run.cloud.person("alice@example.com").acknowledge(alert_id)
        assert run.cloud.wait_settled()
        person, terminal = pty.openpty()
        os.write(person, b"y\n")
        script = script_of(name, alerta.api_url, run.server.base_url)
        alone = ["timeout", "300", "bash", "-c", script]
        with ThreadPoolExecutor() as pool:
            running = pool.submit(debian.run, *alone, network=True, stdin=terminal)
            while not running.done() and console.status(alert_id) != "ack":
                time.sleep(0.2)
            debian.put("/root/seen", "")
        ended = running.result()
        os.close(person)
        os.close(terminal)
    log = debian.root / "root/service.log"
    said = ended.stdout + ended.stderr + (log.read_text() if log.exists() else "")
    assert ended.returncode == 0, said
    assert console.status(alert_id) == "ack", said
    assert len(re.findall(r"\[y/N\]", said)) == 1, said
    subprocess.run(["rm", "-rf", str(debian.root)], check=False)
