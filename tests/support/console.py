"""A small blocking client for tests that does what a person does at Alerta's console.

Not the client under test: it shares no code with the package, and each call makes a connection of its own, so that it
works right after a restart.
"""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

JSON = dict[str, Any]
NewAlert = Callable[[], str]
"""Makes an alert and gives its id."""

TIMEOUT_SECONDS = 60.0


class ConsoleError(AssertionError):
    """Alerta answered with an error; `status` is the HTTP status, `answer` the JSON body (or text under "text")."""

    def __init__(self, request: str, status: int, answer: JSON) -> None:
        super().__init__(f"{request}: Alerta answered {status}: {answer}")
        self.status = status
        self.answer = answer


class Console:
    """Talks to the Alerta at `url` with API key `key`. Any status of 400 and above raises ConsoleError."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self.key = key

    def create_alert(self, **fields: object) -> JSON:
        """Send an alert and return it as Alerta holds it. Without fields: a new major alert that matches no other."""
        unique = uuid.uuid4().hex
        alert = {
            "resource": f"host-{unique}",
            "event": f"Event{unique}",
            "environment": "Production",
            "service": ["Web"],
            "severity": "major",
            "text": "a test's alert",
        }
        return self._object(self.call("POST", "/alert", {**alert, **fields}), "alert")

    def get(self, alert_id: str) -> JSON:
        """The alert as Alerta holds it."""
        return self._object(self.call("GET", f"/alert/{quote(alert_id)}"), "alert")

    def status(self, alert_id: str) -> str:
        """The alert's status: open, ack, shelved, closed, ..."""
        return str(self.get(alert_id)["status"])

    def history(self, alert_id: str) -> list[JSON]:
        """The alert's history, the oldest entry first; notes are in it too."""
        return list(self.get(alert_id)["history"])

    def notes(self, alert_id: str) -> list[JSON]:
        """The alert's notes, in Alerta's order."""
        return list(self.call("GET", f"/alert/{quote(alert_id)}/notes")["notes"])

    def action(self, alert_id: str, action: str, text: str = "", timeout: int | None = None) -> JSON:
        """Act on the alert: ack, unack, shelve, unshelve, close, open, assign, ...; `timeout` in seconds."""
        body = {"action": action, "text": text, "timeout": timeout}
        return self.call("PUT", f"/alert/{quote(alert_id)}/action", body)

    def note(self, alert_id: str, text: str) -> JSON:
        """Add a note and return it."""
        return self._object(self.call("PUT", f"/alert/{quote(alert_id)}/note", {"note": text}), "note")

    def set_status(self, alert_id: str, status: str, text: str = "", timeout: int | None = None) -> JSON:
        """Set the status past the rules of the state machine, as some integrations do."""
        body = {"status": status, "text": text, "timeout": timeout}
        return self.call("PUT", f"/alert/{quote(alert_id)}/status", body)

    def set_attributes(self, alert_id: str, attributes: Mapping[str, object]) -> JSON:
        """Set attributes; a value of None removes that one."""
        return self.call("PUT", f"/alert/{quote(alert_id)}/attributes", {"attributes": dict(attributes)})

    def tag(self, alert_id: str, tags: Sequence[str]) -> JSON:
        return self.call("PUT", f"/alert/{quote(alert_id)}/tag", {"tags": list(tags)})

    def untag(self, alert_id: str, tags: Sequence[str]) -> JSON:
        return self.call("PUT", f"/alert/{quote(alert_id)}/untag", {"tags": list(tags)})

    def delete(self, alert_id: str) -> JSON:
        return self.call("DELETE", f"/alert/{quote(alert_id)}")

    def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> JSON:
        """Send one request and return the answer's JSON."""
        status, _headers, answer = self.exchange(method, path, body)
        if status >= http.client.BAD_REQUEST:
            raise ConsoleError(f"{method} {path}", status, answer)
        return answer

    def exchange(
        self, method: str, path: str, body: Mapping[str, object] | None = None, **headers: str
    ) -> tuple[int, dict[str, str], JSON]:
        """Send one request; status, headers (lower case) and JSON of the answer, whatever the status.

        `headers` are added with dashes for underscores: `X_Alerta_On_Behalf_Of="alice@example.com"`.
        """
        address = urlsplit(self.url)
        sent = {"Authorization": f"Key {self.key}"}
        if body is not None:  # alerta 8.7.0 answers 400 to JSON that is not there
            sent["Content-Type"] = "application/json"
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, address.path + path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            received = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, received, _parse(answer.read())
        finally:
            connection.close()

    def _object(self, answer: JSON, name: str) -> JSON:
        return dict(answer[name])


def _parse(body: bytes) -> JSON:
    try:
        return dict(json.loads(body))
    except ValueError:
        return {"text": body.decode(errors="replace")}
