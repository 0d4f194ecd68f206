"""Messages as the Edge Connectors take them from their queue, their configurations, and scripts for them to start."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from alerta_opsgenie.vendor.config import EdgeConfig
from alerta_opsgenie.vendor.runner import Message, ScriptHost, ScriptResult, run_message

REQUEST_ID = "9a8b7c6d-1e2f-4a3b-8c4d-5e6f7a8b9c0d"
ENTITY_ID = "3f1c7a52-8d0e-4b6a-9c41-5e2b7f90d1aa-1751623200123"
API_KEY = "edge-key-c0ffee-4711"


def edge_message(action: str, **changes: Any) -> dict[str, Any]:
    """Build a small message for an action; `changes` replace top-level fields, None removes one."""
    message = {
        "action": action,
        "actionType": "custom",
        "requestId": REQUEST_ID,
        "entity": {"id": ENTITY_ID, "type": "alert"},
        "alert": {"alertId": ENTITY_ID, "alias": "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e", "source": "Alerta"},
    }
    return {key: value for key, value in {**message, **changes}.items() if value is not None}


def edge_document(**changes: Any) -> dict[str, Any]:
    """Return the documented configuration, complete and sound but for what `changes` replace (None removes a key)."""
    mapping = {
        "filepath": "/home/opsgenie/oec/scripts/oecAlertaExecutor.py",
        "sourceType": "local",
        "env": [],
        "stderr": "/var/log/opsgenie/oecAlertaExecutor-errors.log",
        "stdout": "/var/log/opsgenie/oecAlertaExecutor.log",
    }
    actions = ("Acknowledge", "AddNote", "Close", "AssignOwnership", "Snooze", "TakeOwnership", "UnAcknowledge")
    document = {
        "apiKey": API_KEY,
        "baseUrl": "https://api.opsgenie.com",
        "logLevel": "WARN",
        "globalArgs": ["--alertaApiUrl", "https://alerta.example.com/api", "--alertaApiKeyFile", "/etc/alerta.key"],
        "globalFlags": {},
        "actionMappings": {name: dict(mapping) for name in actions},
        "pollerConf": {
            "pollingWaitIntervalInMillis": 100,
            "visibilityTimeoutInSeconds": 30,
            "maxNumberOfMessages": 10,
        },
        "poolConf": {
            "maxNumberOfWorker": 12,
            "minNumberOfWorker": 4,
            "monitoringPeriodInMillis": 15000,
            "keepAliveTimeInMillis": 6000,
            "queueSize": 0,
        },
    }
    return {key: value for key, value in {**document, **changes}.items() if value is not None}


def write_script(path: Path, text: str, *, mode: int = 0o755) -> Path:
    """Write a script with the mode that makes it start; its directory is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def connector_path(directory: Path) -> str:
    """Make a PATH of a connector's host on which `python` is this interpreter, and give it."""
    write_script(directory / "python", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    return f"{directory}:/usr/bin:/bin"


def run_messages(
    config: EdgeConfig, messages: Iterable[Message | str], workers: int = 12, *, host: ScriptHost | None = None
) -> list[ScriptResult]:
    """Run messages as a connector's pool does, up to `workers` at once; gives the results in the messages' order."""
    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(lambda message: run_message(config, message, host=host), messages))
