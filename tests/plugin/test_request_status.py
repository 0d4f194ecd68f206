"""Look-ups of the status of requests: a paused key does not delay those of another."""

from __future__ import annotations

from typing import Any

from alerta_opsgenie.clients.opsgenie import Reason, RequestOutcome, RequestStatus, Status, Verdict
from alerta_opsgenie.core.publish import Request
from alerta_opsgenie.plugin import request_status
from alerta_opsgenie.plugin.keys import Key
from alerta_opsgenie.plugin.outbox import OutgoingRequest
from alerta_opsgenie.plugin.rate_limits import RateLimits
from alerta_opsgenie.plugin.request_status import StatusLookups
from alerta_opsgenie.plugin.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Client:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def look_up(self, request_id: str, _key: str, _deadline: float) -> RequestStatus:
        self.asked.append(request_id)
        return RequestStatus(Status.SUCCEEDED)


def test_the_look_ups_of_a_paused_key_wait_and_those_of_others_do_not(monkeypatch: Any) -> None:
    clock, client, limits = Clock(), Client(), RateLimits()
    monkeypatch.setattr(request_status, "time", clock)
    any_of: Any = client
    settings = Settings(key=Key("0" * 36), keys={"a": Key("1" * 36), "b": Key("2" * 36)})
    lookups = StatusLookups(settings, limits, lambda *_: None, any_of, any_of, lambda *_: None)
    throttled = RequestOutcome(Verdict.LATER, Reason.THROTTLED, "", retry_after_seconds=600.0, throttled=True)
    limits.note("a", "x", throttled, clock.now)
    for number, route in enumerate("abb"):
        request = Request("acknowledge", "POST", "/", {})
        lookups.add(OutgoingRequest(f"k{number}", "x", number, route, request), f"{route}{number}")
    for _ in range(20):
        clock.now += 1
        lookups.look(any_of)
    assert client.asked == ["b1", "b2"]
    clock.now += 700
    lookups.look(any_of)
    assert client.asked[2:] == ["a0"]
