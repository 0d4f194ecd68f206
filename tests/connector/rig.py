"""The connector as a process, with a stand-in for the vendor's cloud and its queues around it.

with Rig(alerta_url, key, directory) as rig:
connector = rig.start()
rig.person("alice@example.com").acknowledge(alias)
rig.wait_callbacks(1)
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from lab.cloud import Cloud, CloudServer, Double, Integration, QueueHost, Switches
from lab.cloud.channel import Channel
from lab.cloud.person import Person

from alerta_opsgenie.agent import state
from alerta_opsgenie.journal import Action

if TYPE_CHECKING:
    from typing_extensions import Self

JSON = dict[str, Any]
EXECUTOR = "/home/opsgenie/oec/scripts/oecAlertaExecutor.py"
ACTIONS = (
    "Create", "Acknowledge", "UnAcknowledge", "Close", "Snooze", "SnoozeEnded", "AddNote", "AssignOwnership",
    "TakeOwnership", "AddTags", "RemoveTags", "UpdatePriority", "UpdateMessage", "UpdateDescription", "AddResponder",
    "AddTeam", "EscalateToNext", "Escalate", "Delete", "Restart",
)  # fmt: skip
TIMEOUT_SECONDS = 30.0
END_SECONDS = 30.0
"""Twice the unit's TimeoutStopSec, for a busy machine."""


class Connector:
    """One running `alerta-opsgenie run`, with its log in `log_path`."""

    def __init__(self, config_path: Path, log_path: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.log_path = log_path
        command = [sys.executable, "-c", "from alerta_opsgenie.cli import main; main()", "run", "--config"]
        passed = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, str(config_path), *options], stdout=log, stderr=log, env={**passed, **(env or {})}
            )

    @property
    def log(self) -> str:
        """Its log so far."""
        return self.log_path.read_text(errors="replace")

    def wait_log(self, text: str, seconds: float = TIMEOUT_SECONDS) -> None:
        """Wait until it has written `text`."""
        wait_until(lambda: text in self.log, seconds, lambda: f"{text!r} is not in:\n{self.log}")

    @property
    def base_url(self) -> str:
        """The URL of its web server (it listens at port 0)."""
        mark = "metrics and health at "
        self.wait_log(mark)
        found = re.findall(mark + r"(http://[\d.]+:\d+)", self.log)
        return str(found[-1])

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of one of its pages."""
        try:
            with urllib.request.urlopen(self.base_url + path, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def wait_page(self, path: str, status: int, seconds: float = TIMEOUT_SECONDS) -> JSON:
        """Wait until a page has the `status`. Return its JSON."""
        wait_until(lambda: self.page(path)[0] == status, seconds, lambda: f"{self.page(path)}\n{self.log}")
        return dict(json.loads(self.page(path)[1]))

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        for line in self.page("/metrics")[1].splitlines():
            if line.startswith(name) and all(f'{key}="{value}"' in line for key, value in labels.items()):
                rest = line[len(name) :]
                if rest[:1] in ("{", " "):
                    return float(line.rpartition(" ")[2])
        raise AssertionError(f"there is no metric {name} {labels}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it as the kernel would."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 15.0) -> float:
        """End it as a service manager does. Return how long that took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the connector did not end within {seconds} s:\n{self.log}") from None
        return time.monotonic() - began


class Rig:
    """Cloud, queue and configuration for connectors before the Alerta at `alerta_url`."""

    def __init__(
        self,
        alerta_url: str,
        alerta_key: str,
        directory: Path,
        *,
        dialect: str = "oec",
        host: Callable[[Cloud], QueueHost] | None = None,
        switches: Switches | None = None,
        visibility_seconds: int = 15,
        arguments: tuple[str, ...] = (),
        own: JSON | None = None,
        mappings: JSON | None = None,
        channel: bool = False,
    ) -> None:
        self.directory = directory
        self.dialect = dialect = "jec" if channel else dialect
        self.cloud = Cloud(switches=switches)
        self.host: Any = (host or (lambda cloud: Double(cloud.credentials.check)))(self.cloud)
        self.queue = self.host.create("alerta", visibility_seconds)
        add = self.cloud.add_oec if dialect == "oec" else self.cloud.add_jec
        self.integration: Integration = add(queues=(self.queue,), source_filter="Alerta")
        self.server = CloudServer(self.cloud)
        self.cloud.channel = Channel(cast("Double", self.host)) if channel else None
        self.connectors: list[Connector] = []
        self.config_path = directory / "config.json"
        self.spool = directory / "spool"
        self.spools = [self.spool]
        self.config: JSON = {
            "apiKey": self.integration.key,
            "logLevel": "INFO",
            "globalArgs": [
                "--alertaApiUrl", alerta_url, "--alertaApiKey", alerta_key, "--spoolDir", str(self.spool), *arguments,
            ],
            "actionMappings": {
                **{name: {"filepath": EXECUTOR, "sourceType": "local"} for name in ACTIONS},
                **(mappings or {}),
            },
            "pollerConf": {"visibilityTimeoutInSeconds": visibility_seconds},
            "alertaOpsgenie": {"listen": "127.0.0.1:0", "heartbeatIntervalInSeconds": 0, **(own or {})},
        }  # fmt: skip

    def write_config(self) -> None:
        self.config["baseUrl"] = self.server.base_url
        self._write(self.config_path, self.config)

    def _write(self, path: Path, config: JSON) -> None:
        path.write_text(json.dumps(config))
        path.chmod(0o600)

    def start(self, *options: str, name: str = "", env: dict[str, str] | None = None) -> Connector:
        """Start a connector, and do not wait until it polls."""
        self.write_config()
        return self._start(self.config_path, name or str(len(self.connectors)), options, env)

    def start_elsewhere(self, name: str) -> Connector:
        """Start a connector as on another host: with another spool, `directory / name`."""
        self.write_config()
        spool = self.directory / name
        self.spools.append(spool)
        path = self.directory / f"config-{name}.json"
        arguments = [str(spool) if text == str(self.spool) else text for text in self.config["globalArgs"]]
        self._write(path, {**self.config, "globalArgs": arguments})
        return self._start(path, name, (), None)

    def _start(self, path: Path, name: str, options: tuple[str, ...], env: dict[str, str] | None) -> Connector:
        log_path = self.directory / f"connector{name}.log"
        connector = Connector(path, log_path, "--dialect", self.dialect, *options, env=env)
        self.connectors.append(connector)
        return connector

    def person(self, username: str = "alice@example.com") -> Person:
        return self.cloud.person(username)

    def create(self, alias: str, **fields: object) -> None:
        """Create an alert in the cloud, as the plugin would."""
        self.person("alerta@example.com").create("Disk usage 97%", alias, source="Alerta", **fields)

    def callbacks(self) -> list[JSON]:
        return [callback.body for callback in self.cloud.records.callbacks]

    def wait_callbacks(self, count: int, seconds: float = TIMEOUT_SECONDS) -> list[JSON]:
        """Wait for so many results. Return them."""
        done = self.cloud.wait_until(lambda: len(self.cloud.records.callbacks) >= count, seconds)
        assert done, f"{len(self.callbacks())} of {count} results came:\n{self.logs()}"
        return self.callbacks()

    def queue_counts(self) -> tuple[int, int, int]:
        """How many messages are visible, in flight and delayed (the double's queue alone)."""
        sqs = self.host.sqs
        counts: tuple[int, int, int] = sqs.queue(self.queue.url).count(sqs.now())
        return counts

    def wait_queue_empty(self, seconds: float = TIMEOUT_SECONDS) -> None:
        """Wait until every message is sent and deleted (the double's queue alone)."""
        assert self.cloud.wait_settled(seconds)
        wait_until(lambda: self.queue_counts() == (0, 0, 0), seconds, lambda: f"{self.queue_counts()}\n{self.logs()}")

    def rows(self, which: str, place: Path | None = None) -> list[Action]:
        """Return the actions in one state, from all journals of a state directory."""
        directory = str(place or self.spool)
        found: list[Action] = []
        for name in state.targets(directory):
            journal = state.journal_of(directory, name)
            found += journal.actions(which)
            journal.close()
        return found

    def count_undelivered(self) -> int:
        """Count the actions in all journals that have not ended."""
        return sum(len(self.rows(which, place)) for place in self.spools for which in ("waiting", "in-flight"))

    def wait_delivered(self, seconds: float = TIMEOUT_SECONDS) -> None:
        """Wait until every message is sent and deleted, and every action in the journals has ended."""
        self.wait_queue_empty(seconds)
        wait_until(lambda: not self.count_undelivered(), seconds, self.logs)

    def log_paths(self) -> list[Path]:
        """Return the log files of the connectors."""
        return sorted({connector.log_path for connector in self.connectors})

    def logs(self) -> str:
        return "\n".join(connector.log[-6000:] for connector in self.connectors)

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connector in self.connectors:
            if connector.process.poll() is None:
                connector.process.kill()
                connector.process.wait()
        self.server.stop()
        self.host.stop()


def wait_until(
    condition: Callable[[], bool], seconds: float = 120.0, say: Callable[[], str] = lambda: "it never came"
) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(say())
        time.sleep(0.02)
