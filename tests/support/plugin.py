"""A real Alerta with the plugin, in front of the stand-in for Atlassian's cloud.

`with plugged(alerta.postgres, directory) as run:` gives both, and what a test asks of them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.alerta_server import AlertaServer
from lab.cloud import Cloud, CloudServer, Integration, Switches
from lab.cloud.model import Alert
from lab.postgres import Postgres

from alerta_opsgenie.journal import Journal
from alerta_opsgenie.plugin.database import Database
from alerta_opsgenie.plugin.database_journal import DatabaseJournal
from tests.conftest import BRIDGE_USER
from tests.support.console import Console

JSON = dict[str, Any]
SECRET = "a-shared-secret-of-the-webhook"
SECRET_HEADER = "X-Alerta-Opsgenie-Secret"
SETTLE_SECONDS = 60.0
TAKEN = 202


def fingerprint(key: str) -> str:
    """Name an API key as OPSGENIE_BRIDGE_KEY does."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def wait_until(condition: Callable[[], object], seconds: float = SETTLE_SECONDS) -> bool:
    """Look again and again until `condition` holds; return whether that came."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@dataclass
class Plugged:
    """The whole: `console` is an operator with the administrator's key, `bridge` the bridge's own key."""

    alerta: AlertaServer
    cloud: Cloud
    server: CloudServer
    key: Integration
    console: Console
    bridge: Console
    spool_directory: Path
    product: str = ""
    """The product of the outbox, if there are two."""

    def settle(self) -> None:
        """Return when the plugin's outbox is empty and the cloud has processed all requests."""
        assert wait_until(lambda: self.waiting() == 0), f"still waiting: {self.entries()}"
        assert self.cloud.wait_settled(), "the cloud has not settled"

    def waiting(self) -> int:
        """How many requests wait in the plugin's outbox, or are being sent."""
        with self.outbox() as outbox:
            counts = outbox.counts(time.time())
        return counts.waiting + counts.in_flight

    @contextmanager
    def outbox(self) -> Iterator[Journal | DatabaseJournal]:
        """The plugin's outbox, opened anew."""
        if self.alerta.settings.get("OPSGENIE_OUTBOX") == "disk" or self.alerta.is_on_mongodb:
            with Journal(self.spool_directory / self.product) as journal:
                yield journal
            return
        url = self.alerta.postgres.uri(self.alerta.database)
        database = Database({"DATABASE_URL": url}, self.product)
        try:
            yield DatabaseJournal(database)
        finally:
            database.close()

    def entries(self) -> list[str]:
        """The content of the plugin's outbox, for a failing test."""
        with self.outbox() as outbox:
            return [f"{row.kind} {row.state} {row.reason} {row.detail}" for row in outbox.actions()]

    def upstream(self, alert_id: str) -> Alert:
        """The cloud's alert of that alias; fails where there is none."""
        self.settle()
        found = self.cloud.alert(alert_id)
        assert found is not None, f"the cloud has no alert {alert_id}"
        return found

    def requests(self, alert_id: str) -> list[tuple[str, str, JSON]]:
        """The writing requests about an alert that the cloud took: method, last part of the path, body."""
        self.settle()
        found = []
        for seen in list(self.cloud.records.requests):
            body = seen.body if isinstance(seen.body, dict) else {}
            about = alert_id in seen.path or body.get("alias") == alert_id
            if about and seen.method != "GET" and seen.status == TAKEN:
                last = seen.path.partition("?")[0].rpartition("/")[2]
                found.append((seen.method, "" if last in ("alerts", alert_id) else last, body))
        return found

    def told(self, alert_id: str) -> list[str]:
        """The same, as words: `create`, `acknowledge`, `PUT priority`, ..."""
        words = {"POST ": "create", "DELETE ": "delete"}
        plain = [f"{method} {last}" for method, last, _body in self.requests(alert_id)]
        return [words.get(text, text.replace("POST ", "")) for text in plain]

    def log(self) -> str:
        """All that Alerta has logged so far."""
        return self.alerta.log_path.read_text(errors="replace")


@contextmanager
def plugged(
    postgres: Postgres | None,
    directory: Path,
    *,
    product: str = "opsgenie",
    switches: Switches | None = None,
    settings: JSON | None = None,
    workers: int = 2,
    webhook: bool = False,
    expect_violations: bool = False,
    **options: Any,
) -> Iterator[Plugged]:
    """Start Alerta with the plugin and the stand-in of `product`.

    `settings` are added to alertad.conf, `options` are further parameters of `AlertaServer`.
    """
    cloud = Cloud(switches=switches)
    bridge_key = secrets.token_urlsafe(30)
    key = cloud.add_api(product=product)
    with CloudServer(cloud) as server:
        conf = {
            "PLUGINS": ["opsgenie"],
            "AUDIT_TRAIL": ["admin", "write", "auth"],
            "AUDIT_LOG": True,
            "LOG_LEVEL": "INFO",
            "OPSGENIE_SERVICE_KEY": key.key,
            "OPSGENIE_URL": server.base_url if product == "opsgenie" else server.jsm_url,
            "OPSGENIE_SPOOL_DIR": str(directory / "spool"),
            "OPSGENIE_TIMEOUT": 2,
            "OPSGENIE_BRIDGE_KEY": [fingerprint(bridge_key)],
            "OPSGENIE_WEBHOOK_SECRET": SECRET,
            **(settings or {}),
        }
        with AlertaServer(postgres=postgres, settings=conf, workers=workers, **options) as alerta:
            if webhook:
                url = f"{alerta.url}/webhooks/opsgenie"
                cloud.add_webhook(url, headers={SECRET_HEADER: SECRET}, product=product)
            alerta.create_key(BRIDGE_USER, key=bridge_key)
            console, bridge = Console(alerta.url, alerta.admin_key), Console(alerta.url, bridge_key)
            yield Plugged(alerta, cloud, server, key, console, bridge, directory / "spool")
    if not expect_violations:
        cloud.assert_no_violations()


def audit_lines(log: str) -> list[JSON]:
    """The audit trail's entries in Alerta's log."""
    found = []
    for line in log.splitlines():
        start = line.find('{"id": ')
        if start >= 0 and '"category"' in line:
            found.append(dict(json.JSONDecoder().raw_decode(line[start:])[0]))
    return found
