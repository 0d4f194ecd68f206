"""Directory trees for tests of install and uninstall: the files before, and a snapshot of a tree."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

VENDOR_KEY = "<API_KEY>"
OLD_ALERTA_KEY = "old-alerta-key-0123456789"
OLD_API_KEY = "11111111-2222-3333-4444-555555555555"

Snapshot = dict[str, tuple[str, int, int, int, bytes]]


def snapshot(root: Path) -> Snapshot:
    """Every path below `root` with its kind, mode, owner, group and content."""
    found: Snapshot = {}
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(directory) / name
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            kind = {stat.S_IFDIR: "directory", stat.S_IFREG: "file"}.get(stat.S_IFMT(status.st_mode), "other")
            key = str(path.relative_to(root))
            found[key] = (kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, content)
    return found


def put(root: Path, path: str, text: str, mode: int = 0o644) -> Path:
    """Write a file below `root`, with the directories above it."""
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)
    return target


def vendor_layout(root: Path) -> None:
    """The files of OEC's package: a sample configuration, and scripts of which one shadows Python's `http`."""
    scripts = "home/opsgenie/oec/scripts"
    put(root, f"{scripts}/http.py", "# the vendor's\n", 0o755)
    put(root, f"{scripts}/actionExecutor.py", "# the vendor's\n", 0o755)
    put(root, f"{scripts}/__pycache__/http.cpython-311.pyc", "bytecode")
    sample = {
        "apiKey": VENDOR_KEY,
        "baseUrl": "https://api.opsgenie.com",
        "logLevel": "DEBUG",
        "globalArgs": [],
        "globalFlags": {},
        "actionMappings": {
            "Create": {"filepath": f"/{scripts}/actionExecutor.py", "sourceType": "local", "env": []},
            "Close": {"filepath": f"/{scripts}/actionExecutor.py", "sourceType": "local", "env": []},
        },
        "pollerConf": {
            "pollingWaitIntervalInMillis": 100,
            "visibilityTimeoutInSec": 30,
            "maxNumberOfMessages": 10,
        },
    }
    put(root, "home/opsgenie/oec/conf/config.json", json.dumps(sample, indent=4), 0o644)
    (root / "var/log/opsgenie").mkdir(parents=True)
    put(root, "var/log/opsgenie/oec4711.log", "OEC version is 1.1.4\n")


def hand_made(root: Path) -> None:
    """An older set-up as the documentation described it: the old script, and Alerta's key among the arguments."""
    old = "/home/opsgenie/oec/scripts/oecAlertaExecutor.py"
    put(root, old, "#!/usr/bin/python3\nprint('the old one')\n", 0o755)
    names = ("Acknowledge", "AddNote", "Close", "AssignOwnership", "Snooze", "TakeOwnership", "UnAcknowledge")
    logs = "/var/log/opsgenie/oecAlertaExecutor"
    mapping: dict[str, Any] = {
        "filepath": old,
        "sourceType": "local",
        "env": [],
        "stderr": f"{logs}-errors.log",
        "stdout": f"{logs}.log",
    }
    value = {
        "apiKey": OLD_API_KEY,
        "baseUrl": "https://api.eu.opsgenie.com",
        "globalArgs": [
            "--alertaApiUrl",
            "https://alerta.example.com/api/alert",
            "--alertaApiKey",
            OLD_ALERTA_KEY,
            "--source",
            "Alerta-EU",
        ],
        "actionMappings": {**dict.fromkeys(names, mapping), "Restart web": {**mapping, "filepath": "/opt/restart.sh"}},
        "pollerConf": {"maxNumberOfMessages": 5},
    }
    put(root, "home/opsgenie/oec/conf/config.json", json.dumps(value), 0o600)
    put(root, f"{logs}.log", "an old line\n")
