"""The environment for the documentation's commands: a host's files below one directory, a real Alerta, a cloud.

Addresses, the alert's id, and paths below /etc, /home and /var in a command are replaced by the test's. `install` and
`uninstall` get the directory by `--root`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cloud import Cloud, CloudServer, Double

from alerta_opsgenie.agent import client, state
from alerta_opsgenie.core.outcome import Reason
from alerta_opsgenie.journal import New
from tests.docs.console_blocks import Command
from tests.support.console import Console
from tests.support.edge_messages import edge_message, write_script

if TYPE_CHECKING:
    from typing_extensions import Self

ALERT = "12345678-90ab-cdef-1234-567890abcdef"
ALERTA = "https://alerta.example.com/api"
OLD_ALERTA = "https://old.example.com/api"
SECONDS = 60.0

_PLACES = ("etc/ssl", "home", "opt", "tmp", "usr/bin", "var/lib", "var/log", "etc/systemd/system")
_PATH = re.compile(r"(?<![\w/.=-])/(?=(?:etc|home|var)/)")
_VENDORS = ("https://api.opsgenie.com", "https://api.eu.opsgenie.com", "https://api.atlassian.com")


class Sandbox:
    """One host, as a context manager; `alerta_url` is the Alerta of its commands."""

    def __init__(self, directory: Path, alerta_url: str, admin_key: str, bridge_key: str, secret: str) -> None:
        self.root = directory / "host"
        self.home = directory / "user"
        self.alerta = f"{alerta_url}/api"
        self.console = Console(alerta_url, admin_key)
        self.alert_id = str(self.console.create_alert()["id"])
        for place in _PLACES:
            (self.root / place).mkdir(parents=True)
        self.home.mkdir()
        self._tools(directory / "bin")
        self.cloud = Cloud()
        self._host = Double(self.cloud.credentials.check)
        self.queue = self._host.create("alerta", 15)
        self._server = CloudServer(self.cloud)
        integration = self.cloud.add_oec(queues=(self.queue,), source_filter="Alerta")
        self._put(self.home / "integration.key", integration.key)
        self._put(self.home / "alerta.key", bridge_key)
        self._put(self.root / "etc/ssl/example-ca.pem", "")
        self.environment = {
            "PATH": f"{directory / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "ADMIN_KEY": admin_key,
            "SECRET": secret,
        }

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for socket in self.root.parent.rglob("agent.sock"):
            client.ask_to_retire(str(socket.parent))
        self._server.stop()
        self._host.stop()

    def _tools(self, directory: Path) -> None:
        python = shlex.quote(sys.executable)
        write_script(directory / "python3", f'#!/bin/sh\nexec {python} "$@"\n')
        main = "from alerta_opsgenie.cli import main; main()"
        write_script(directory / "alerta-opsgenie", f'#!/bin/sh\nexec {python} -c "{main}" "$@"\n')

    @staticmethod
    def _put(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)

    # -- the state before a page

    def install(self, edge: str) -> None:
        """Install a connector, as an earlier page does."""
        keys = "--alerta-key-file alerta.key --api-key-file integration.key"
        ended = self.run(f"alerta-opsgenie install --edge {edge} --alerta-url {ALERTA} {keys}")
        assert ended.returncode == 0, ended.stderr

    def write_config(self) -> None:
        """Write a connector's configuration into the user's directory."""
        keys = "--alerta-key-in file --alerta-key-file alerta.key --api-key-file integration.key"
        ended = self.run(f"alerta-opsgenie config render --alerta-url {ALERTA} {keys} --output config.json")
        assert ended.returncode == 0, ended.stderr

    def record_dead(self, directory: str, *keys: str) -> None:
        """Add dead letters with these ids to a state directory, and a waiting action for a former Alerta."""
        path = str(self.root / directory)
        state.prepare(path)
        journal = state.journal_of(path, state.target_name(self.alerta))
        for key in keys:
            body = _text(edge_message("AddNote", requestId=key), self.alert_id)
            new = New(key.ljust(64, "0"), self.alert_id, time.time_ns(), "AddNote", body)
            journal.record_dead(new, time.time(), Reason.REFUSED.value, "a test's dead letter")
        left = New("a".ljust(64, "0"), self.alert_id, time.time_ns(), "AddNote", "{}")
        state.journal_of(path, state.target_name(OLD_ALERTA)).append([left], time.time())

    # -- running

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the documentation."""
        sets_up = re.match(r"alerta-opsgenie (un)?install ", command) is not None
        self._settle_files(here=not sets_up)
        text = command.replace(ALERTA, self.alerta).replace(ALERT, self.alert_id)
        text = text.replace("…/config.json", "/home/opsgenie/oec/conf/config.json")
        text = _PATH.sub(f"{self.root}/", text)
        if sets_up:
            # These have --root, and write the real paths into files.
            text = command.replace(ALERTA, self.alerta) + f" --yes --root {shlex.quote(str(self.root))}"
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.home,
            env=self.environment,
            input="y\n",  # the answer to a question
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def as_shown(self, text: str) -> str:
        """Return an output with the documentation's addresses, id and paths."""
        return text.replace(self.alert_id, ALERT).replace(self.alerta, ALERTA).replace(f"{self.root}/", "/")

    def _settle_files(self, *, here: bool) -> None:
        """Change the paths in installed configurations to those of the sandbox (`here`), or to those of the host."""
        pairs = [(f'"/{place}/', f'"{self.root}/{place}/') for place in ("etc", "home", "var")]
        pairs += [(f'"{_VENDORS[0]}"', f'"{self._server.base_url}"')]
        for directory, _, files in os.walk(self.root):
            for path in (Path(directory, name) for name in files if name.endswith("config.json")):
                text = path.read_text(encoding="utf-8")
                made = text
                for real, ours in pairs:
                    made = made.replace(real, ours) if here else made.replace(ours, real)
                if made != text:
                    path.write_text(made, encoding="utf-8")


def _text(message: dict[str, object], alert_id: str) -> str:
    alert = {"alias": alert_id, "source": "Alerta", "username": "alice@example.com", "note": "a test's note"}
    return json.dumps({**message, "alert": alert})


def matches(command: Command, output: str) -> str:
    """Compare an output with the one on the page; return the first missing line, or an empty text.

    `…` in a line of the page matches any text.
    """
    lines = iter(output.splitlines())
    for shown in command.output:
        pattern = ".*".join(re.escape(part) for part in shown.strip().split("…"))
        if not any(re.fullmatch(pattern, line.strip()) for line in lines):
            return shown
    return ""
