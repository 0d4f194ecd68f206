"""The whole circle on embedded parts: Alerta with the plugin, the stand-in cloud, a real SQS server, the connector."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS
from lab.alerta_server import AlertaServer
from lab.cloud import Cloud, CloudServer, Moto
from lab.tour import BRIDGE_USER, PERSON, SNOOZE_SECONDS, is_shelved_until

if TYPE_CHECKING:
    from typing_extensions import Self

OPERATOR = "carol@example.com"
RECONCILE_SECONDS = 2
SETTLE_SECONDS = 60.0  # nothing takes so long, also on a busy machine: it will never come
_STOP_SECONDS = 12.0

JSON = dict[str, Any]


@dataclass(frozen=True)
class Act:
    """What somebody does on one side, and what must be seen on the other: `seen` gives it as words, or None."""

    side: str
    who: str
    what: str
    do: Callable[[Circle, str], object]
    seen: Callable[[Circle, str], str | None]


@dataclass(frozen=True)
class Shown:
    """What came of an act: `saw` is None where the other side never showed it."""

    act: Act
    saw: str | None
    seconds: float


class Circle:
    """All the parts, up and running; a context manager. `config_path` is the connector's configuration."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._parts = ExitStack()
        self.cloud = Cloud()
        self.config_path = directory / "config.json"
        self.alerta: AlertaServer
        self.operator_key = ""
        self._bridge_key = secrets.token_urlsafe(30)

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            server = parts.enter_context(CloudServer(self.cloud))
            sqs = Moto()
            parts.callback(sqs.stop)
            queue = sqs.create("alerta-demo", visibility_seconds=30)
            key = self.cloud.add_api().key
            self._edge = self.cloud.add_oec(queues=(queue,), source_filter="Alerta")
            settings = {
                "PLUGINS": ["opsgenie"],
                "OPSGENIE_SERVICE_KEY": key,
                "OPSGENIE_URL": server.base_url,
                "OPSGENIE_SPOOL_DIR": str(self._directory / "plugin"),
                "OPSGENIE_RECONCILE": RECONCILE_SECONDS,
                "OPSGENIE_CONFIRM": False,
                "OPSGENIE_BRIDGE_KEY": [f"sha256:{hashlib.sha256(self._bridge_key.encode()).hexdigest()}"],
            }
            self.alerta = parts.enter_context(AlertaServer(settings=settings))
            self.operator_key = self.alerta.create_key(OPERATOR, scopes=("write:alerts", "read:alerts"))
            self._configure(server.base_url, self._edge.key)
            parts.callback(self._stop, self._start_connector())
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def new_alert(self, event: str) -> str:
        """Make an alert in Alerta and wait until the cloud has it; gives its id."""
        alert = {
            "resource": f"{event.lower()}01",
            "event": event,
            "environment": "Production",
            "service": ["Web"],
            "severity": "major",
            "text": f"{event} on {event.lower()}01",
        }
        alert_id = str(self.alerta.call("POST", "/alert", alert, key=self.operator_key)["id"])
        _wait(lambda: self.cloud.alert(alert_id) is not None or None)
        return alert_id

    def in_alerta(self, alert_id: str) -> JSON:
        """Give the alert as Alerta has it."""
        alert: JSON = self.alerta.call("GET", f"/alert/{alert_id}")["alert"]
        return alert

    def operate(self, alert_id: str, action: str, **body: object) -> None:
        """Do something to an alert in Alerta, as its operator."""
        path, name = ("note", "text") if action == "note" else ("action", "action")
        value = body.pop("text", action) if action == "note" else action
        self.alerta.call("PUT", f"/alert/{alert_id}/{path}", {name: value, **body}, key=self.operator_key)

    @contextmanager
    def losing(self) -> Iterator[None]:
        """Lose all messages meanwhile, in both directions."""
        refused = self.cloud.faults.status(422, r"/v2/alerts/[^/]+/\w+$")
        self.cloud.add(replace(self._edge, actions=frozenset()))
        try:
            yield
        finally:
            refused.clear()
            self.cloud.add(self._edge)

    def lose(self, act: Act) -> Shown:
        """Make an alert, lose what somebody does to it, and wait until the sweep has repaired the other side."""
        alert_id = self.new_alert(f"Lost{act.what}{len(self.cloud.alerts())}")
        time.sleep(2.5 * RECONCILE_SECONDS)  # until both sides are known to agree on it
        began = time.monotonic()
        with self.losing():
            act.do(self, alert_id)
            time.sleep(RECONCILE_SECONDS / 2)
            if act.seen(self, alert_id) is not None:
                return Shown(act, None, 0.0)
        return Shown(act, _wait(lambda: act.seen(self, alert_id)), time.monotonic() - began)

    def play(self, act: Act) -> Shown:
        """Make an alert, act on it, and wait until the other side shows it.

        The comparison of both sides is kept from its list meanwhile: on a slow machine it would repair the alert before
        the message arrives, and not under the person's name.
        """
        with self.cloud.faults.status(503, r"/v2/alerts/count$"):
            alert_id = self.new_alert(f"{act.what}{len(self.cloud.alerts())}")
            began = time.monotonic()
            act.do(self, alert_id)
            saw = _wait(lambda: act.seen(self, alert_id))
        return Shown(act, saw, time.monotonic() - began)

    def _configure(self, base_url: str, edge_key: str) -> None:
        mapping = {"filepath": "/home/opsgenie/oec/scripts/oecAlertaExecutor.py", "sourceType": "local"}
        key = self.alerta.create_key(BRIDGE_USER, key=self._bridge_key)
        spool = self._directory / "spool"
        config = {
            "apiKey": edge_key,
            "baseUrl": base_url,
            "logLevel": "INFO",
            "globalArgs": ["--alertaApiUrl", self.alerta.url, "--alertaApiKey", key, "--spoolDir", f"{spool}"],
            "actionMappings": dict.fromkeys((*DOCUMENTED_ACTIONS, "AddTags"), mapping),
            "pollerConf": {"visibilityTimeoutInSeconds": 30},
            "alertaOpsgenie": {"listen": "127.0.0.1:0"},
        }
        self.config_path.write_text(json.dumps(config, indent=2), encoding="utf-8")
        self.config_path.chmod(0o600)

    def _start_connector(self) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-c", "from alerta_opsgenie.cli import main; main()"]
        with (self._directory / "connector.log").open("wb") as log:
            command = [*program, "run", "--config", str(self.config_path), "--dialect", "oec"]
            return subprocess.Popen(command, stdout=log, stderr=log)

    def _stop(self, connector: subprocess.Popen[bytes]) -> None:
        connector.terminate()
        try:
            connector.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            connector.kill()
            connector.wait()


def _wait(look: Callable[[], Any]) -> Any:
    """Look again and again until there is something; None where nothing came in time."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    return None


def acts() -> list[Act]:
    """Give the seven documented actions of a person in Opsgenie, and what an operator does in Alerta."""
    return [*_in_opsgenie(), *_in_alerta()]


def _in_opsgenie() -> list[Act]:
    def act(what: str, do: Callable[[Circle, str], object], seen: Callable[[JSON], str | None]) -> Act:
        return Act("Opsgenie", PERSON, what, do, lambda circle, alias: _by(PERSON, circle.in_alerta(alias), seen))

    def person(circle: Circle) -> Any:
        return circle.cloud.person(PERSON)

    def acknowledge_first(circle: Circle, alias: str) -> None:
        person(circle).acknowledge(alias)
        _wait(lambda: circle.in_alerta(alias)["status"] == "ack" or None)
        person(circle).unacknowledge(alias)

    return [
        act("Acknowledge", lambda circle, alias: person(circle).acknowledge(alias), _status("ack")),
        act("UnAcknowledge", acknowledge_first, _status("open", last="unack")),
        act("Close", lambda circle, alias: person(circle).close(alias), _status("closed")),
        Act("Opsgenie", PERSON, "Snooze", lambda c, alias: person(c).snooze_for(alias, SNOOZE_SECONDS), _shelved),
        act("AddNote", lambda circle, alias: person(circle).add_note(alias, "looking at it"), _last("looking at it")),
        act("AssignOwnership", lambda circle, alias: person(circle).assign(alias, "bob@example.com"), _last("bob@")),
        act("TakeOwnership", lambda circle, alias: person(circle).take_ownership(alias), _last("took ownership")),
    ]


def _in_alerta() -> list[Act]:
    def act(what: str, do: Callable[[Circle, str], object], seen: Callable[[Any], str | None]) -> Act:
        return Act("Alerta", OPERATOR, what, do, lambda circle, alias: seen(circle.cloud.alert(alias)))

    def snoozed(alert: Any) -> str | None:
        return "snoozed" if alert.snoozed_until_ms else None

    def noted(alert: Any) -> str | None:
        return next((f"note: {note}" for note in alert.notes if "restarted" in note), None)

    def acknowledged(alert: Any) -> str | None:
        return _who(alert.acknowledged, alert.acknowledged_by)

    return [
        act("ack", lambda circle, alias: circle.operate(alias, "ack"), acknowledged),
        act("shelve", lambda circle, alias: circle.operate(alias, "shelve", timeout=SNOOZE_SECONDS), snoozed),
        act("note", lambda circle, alias: circle.operate(alias, "note", text="restarted it"), noted),
        act("close", lambda circle, alias: circle.operate(alias, "close"), lambda a: _who(a.closed, a.closed_by)),
    ]


def lost_acts() -> list[Act]:
    """Give what somebody does while all messages are lost: the comparison of both sides repairs it."""
    close = next(act for act in _in_opsgenie() if act.what == "Close")
    ack = next(act for act in _in_alerta() if act.what == "ack")
    return [replace(close, seen=_closed_by_the_bridge), ack]


def _closed_by_the_bridge(circle: Circle, alias: str) -> str | None:
    alert = circle.in_alerta(alias)
    return f"closed, by {alert['history'][-1]['user']}" if alert["status"] == "closed" else None


def _who(done: bool, by: str) -> str | None:
    return f"done by {by}" if done else None


def _by(person: str, alert: JSON, seen: Callable[[JSON], str | None]) -> str | None:
    """Give what is seen, if Alerta shows it under the person's own name."""
    words = seen(alert)
    last = alert["history"][-1]
    return f"{words}, by {last['user']}" if words and last["user"] == person else None


def _status(wanted: str, last: str = "") -> Callable[[JSON], str | None]:
    def seen(alert: JSON) -> str | None:
        fits = alert["status"] == wanted and (not last or alert["history"][-1]["type"] == last)
        return wanted if fits else None

    return seen


def _last(text: str) -> Callable[[JSON], str | None]:
    def seen(alert: JSON) -> str | None:
        line = str(alert["history"][-1]["text"])
        return f"{alert['status']}, {line!r}" if text in line else None

    return seen


def _shelved(circle: Circle, alias: str) -> str | None:
    """Compare the shelve's end in Alerta with the snooze's end in the cloud."""
    sent, alert = circle.cloud.alert(alias), circle.in_alerta(alias)
    if sent is None or sent.snoozed_until_ms is None or not is_shelved_until(alert, sent.snoozed_until_ms / 1000):
        return None
    last = alert["history"][-1]
    return f"shelved for {last['timeout']} s, by {last['user']}" if last["user"] == PERSON else None
