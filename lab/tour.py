"""The main job on embedded parts: the Edge Connector's way through the one-file executor into a real Alerta."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.executor.build import write_to
from alerta_opsgenie.vendor.config import EdgeConfig
from alerta_opsgenie.vendor.render import RenderOptions, render_config
from alerta_opsgenie.vendor.runner import ScriptHost, ScriptResult, run_message
from alerta_opsgenie.vendor.structure import read_config
from lab.agents import end_agent
from lab.alerta_server import AlertaServer

if TYPE_CHECKING:
    from typing_extensions import Self

BRIDGE_USER = "opsgenie-bridge@example.com"
PERSON = "alice@example.com"
SNOOZE_SECONDS = 30 * 60
# Alerta keeps a whole number of seconds that begin with its call, so the end moves by rounding and by the delivery.
_ROUNDING_SECONDS = 2
_DELIVERY_SECONDS = 300

JSON = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """One action: what the alert is like before, what the message carries, and what Alerta must hold afterwards.

    `before` are Alerta's own actions; `attributes` and `says` (a text of its last line of history) must be found.
    """

    action: str
    event: str
    status: str
    before: tuple[str, ...] = ()
    carries: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    says: str = ""


def scenes(now_seconds: float) -> list[Scene]:
    """Give the seven documented actions; snoozes end half an hour from `now_seconds`."""
    until = int((now_seconds + SNOOZE_SECONDS) * 1000)
    return [
        Scene("Acknowledge", "DiskFull", "ack", attributes={"acked-by": PERSON}),
        Scene("UnAcknowledge", "HighLoad", "open", before=("ack",)),
        Scene("Close", "ServiceDown", "closed"),
        Scene("Snooze", "CertExpires", "shelved", carries={"snoozedUntil": until}),
        Scene("AddNote", "SlowQuery", "open", carries={"note": "looking at it"}, says="looking at it"),
        Scene(
            "AssignOwnership",
            "QueueGrows",
            "ack",
            before=("ack",),
            carries={"owner": "bob@example.com"},
            attributes={"owner": "bob@example.com"},
            says="assigned",
        ),
        Scene("TakeOwnership", "ReplicaLag", "open", attributes={"owner": PERSON}, says="took ownership"),
    ]


@dataclass(frozen=True)
class Played:
    """What came of a scene: `wrong` says what Alerta does not hold as it should."""

    scene: Scene
    alert_id: str
    before: str
    after: str
    history: str
    outcome: str
    wrong: tuple[str, ...]


class Stage:
    """Alerta and a connector's directory tree with the built executor and a `config.json` in the documented form.

    A context manager that ends the agent which the executors start.
    """

    def __init__(self, alerta: AlertaServer, directory: Path) -> None:
        self._alerta = alerta
        self.config_path = directory / "oec" / "conf" / "config.json"
        self.script_path = directory / "oec" / "scripts" / "oecAlertaExecutor.py"
        for name in ("conf", "output", "scripts"):
            (directory / "oec" / name).mkdir(parents=True, exist_ok=True)
        write_to(str(self.script_path.parent))
        self.config = self._configure(directory / "oec" / "output")
        # The connectors start `python`; where the system has none, the demo's own is meant.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        self._state = str(directory / "state")
        self._host = ScriptHost(environment={**os.environ, "PATH": path, "ALERTA_OPSGENIE_SPOOL_DIR": self._state})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end_agent(self._state)

    def play(self, scene: Scene) -> Played:
        """Make the alert, let the connector start the executor, and look at what Alerta holds."""
        alert_id = self._make_alert(scene)
        before = self._alert(alert_id)["status"]
        result = self.act(scene.action, alert_id, scene.carries)
        alert = self._alert(alert_id)
        wrong = tuple(_differences(scene, alert, result))
        last = alert["history"][-1]
        line = f"{last['user']}: {last['text']}"
        return Played(scene, alert_id, before, alert["status"], line, _outcome(result), wrong)

    def act(self, action: str, alert_id: str, carries: Mapping[str, Any]) -> ScriptResult:
        """Run the executor for one message, as OEC does."""
        return run_message(self.config, message(action, alert_id, carries), host=self._host)

    def _configure(self, output: Path) -> EdgeConfig:
        content = render_config(
            RenderOptions(
                dialect="oec",
                api_key=Secret("demo-integration-key"),
                alerta_url=f"{self._alerta.url}/alert",
                alerta_key=Secret(self._alerta.create_key(BRIDGE_USER)),
                script=str(self.script_path),
                log_directory=str(output),
            )
        )
        self.config_path.write_text(json.dumps(content, indent=2), encoding="utf-8")
        self.config_path.chmod(0o600)
        return read_config(self.config_path, dialect="oec")

    def _make_alert(self, scene: Scene) -> str:
        alert = {
            "resource": f"{scene.event.lower()}01",
            "event": scene.event,
            "environment": "Production",
            "service": ["Web"],
            "severity": "major",
            "text": f"{scene.event} on {scene.event.lower()}01",
        }
        alert_id = str(self._alerta.call("POST", "/alert", alert)["id"])
        for action in scene.before:
            self._alerta.call("PUT", f"/alert/{alert_id}/action", {"action": action, "text": "before the demo"})
        return alert_id

    def _alert(self, alert_id: str) -> JSON:
        alert: JSON = self._alerta.call("GET", f"/alert/{alert_id}")["alert"]
        return alert


def message(action: str, alias: str, carries: Mapping[str, Any]) -> JSON:
    """Make a message of OEC's form: `carries` goes into its alert."""
    now_ns = time.time_ns()
    opsgenie_id = f"{uuid.uuid4()}-{now_ns // 1_000_000}"
    return {
        "action": action,
        "actionType": "custom",
        "requestId": str(uuid.uuid4()),
        "source": {"name": "", "type": "web"},
        "entity": {"id": opsgenie_id, "type": "alert"},
        "integrationType": "OEC",
        "alert": {
            "alertId": opsgenie_id,
            "alias": alias,
            "source": "Alerta",
            "username": PERSON,
            "createdAt": now_ns // 1_000_000,
            "updatedAt": now_ns,
            **carries,
        },
    }


def _differences(scene: Scene, alert: JSON, result: ScriptResult) -> Iterator[str]:
    if result.exit_code != 0:
        yield f"exit code {result.exit_code}: {result.stderr or result.failure or result.dropped_reason}"
    if alert["status"] != scene.status:
        yield f"status {alert['status']}, not {scene.status}"
    for name, value in scene.attributes.items():
        if alert["attributes"].get(name) != value:
            yield f"attribute {name} is {alert['attributes'].get(name)!r}, not {value!r}"
    last = alert["history"][-1]
    if scene.says not in last["text"] or (PERSON not in last["text"] and last["user"] != PERSON):
        yield f"the last line of history is {last['text']!r}"
    until_ms = scene.carries.get("snoozedUntil")
    if until_ms is not None and not is_shelved_until(alert, until_ms / 1000):
        yield f"shelved for {last['timeout']} s from {last['updateTime']}, not until {until_ms} ms"


def is_shelved_until(alert: JSON, end_seconds: float) -> bool:
    """Compare the end of Alerta's newest shelve with the end that was sent (seconds since the epoch)."""
    last = alert["history"][-1]
    began = datetime.fromisoformat(str(last["updateTime"]).replace("Z", "+00:00"))
    late_seconds = began.timestamp() + float(last["timeout"] or 0) - end_seconds
    return bool(alert["status"] == "shelved") and -_ROUNDING_SECONDS <= late_seconds <= _DELIVERY_SECONDS


def _outcome(result: ScriptResult) -> str:
    """Take the outcome out of the executor's line: time, level, outcome, ..."""
    words = result.stdout.split()
    return words[2] if len(words) > 2 else "none"  # noqa: PLR2004
