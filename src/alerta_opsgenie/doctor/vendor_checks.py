"""Opsgenie or JSM as the connector sees it: reachable, the key accepted, a queue given, the clocks together."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any, Iterator, Mapping

from alerta_opsgenie import __version__
from alerta_opsgenie.clients.connection import (
    AddressError,
    Connection,
    Response,
    UnreachableError,
    clock_ahead_seconds,
    read_address,
)
from alerta_opsgenie.core.message import is_uuid
from alerta_opsgenie.doctor.finding import Finding, fail, ok, warn
from alerta_opsgenie.doctor.subject import Subject
from alerta_opsgenie.vendor.config import JEC, OEC

CREDENTIALS: Mapping[str, str] = {OEC: "/v1/oec/credentials", JEC: "/jsm/ops/jec/v1/credentials"}
"""Where each connector fetches its queue's credentials (queue/processor.go of opsgenie/oec and atlassian/jec)."""

ALERTS: Mapping[str, str] = {OEC: "/v2/alerts", JEC: "/jsm/ops/integration/v2/alerts"}

END_OF_OPSGENIE = date(2027, 4, 5)
"""https://www.atlassian.com/blog/announcements/evolution-of-it-operations"""

SOON_DAYS = 180
CLOCK_WARN_SECONDS = 5.0
CLOCK_FAIL_SECONDS = 240.0
"""AWS refuses a request that was signed 5 minutes away from its own clock (signature version 4)."""

WHOSE: Mapping[str, str] = {OEC: "Opsgenie", JEC: "Jira Service Management"}
_ALERTS_LOOKED_AT = 50
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _UNPROCESSABLE = 200, 401, 403, 404, 422


@dataclass(frozen=True)
class Asked:
    """The answer to one request, or why there is none."""

    where: str
    response: Response | None = None
    trouble: str = ""


def ask(subject: Subject, path: str) -> Asked:
    """Make one GET with the connector's key."""
    config = subject.config
    assert config is not None  # noqa: S101 - the callers look at it
    try:
        address = read_address(config.api_root, WHOSE[subject.dialect], "https://api.opsgenie.com")
    except AddressError as error:
        return Asked(config.api_root, trouble=str(error))
    headers = {
        "Authorization": f"GenieKey {config.api_key.reveal()}",
        f"X-{subject.dialect.upper()}-Client-Info": f"alerta-opsgenie/{__version__} doctor",
    }
    connection = Connection(address, environment=subject.request.environment)
    try:
        deadline = time.monotonic() + subject.request.limit_seconds
        return Asked(str(address), connection.exchange("GET", path, None, headers, deadline))
    except UnreachableError as error:
        return Asked(str(address), trouble=str(error))
    finally:
        connection.close()


def check_vendor(subject: Subject) -> Iterator[Finding]:
    """Fetch the queue's credentials, as the connector does at its start."""
    if subject.config is None:
        return
    asked = ask(subject, CREDENTIALS[subject.dialect])
    if asked.response is None:
        mend = "open the way there for this host (firewall, HTTPS_PROXY of the service), or correct baseUrl"
        yield fail(f"{WHOSE[subject.dialect]} is not reached: {asked.trouble}", mend)
        return
    yield ok(f"{asked.where} answers")
    yield from _judge_answer(subject, asked.response)
    yield from judge_clock(WHOSE[subject.dialect], clock_ahead_seconds(asked.response.headers.get("date")))


def _judge_answer(subject: Subject, response: Response) -> Iterator[Finding]:
    kind = subject.dialect.upper()
    if response.status in {_UNAUTHORIZED, _UNPROCESSABLE}:
        mend = f"put the API key of the {kind} integration into apiKey, and see that the integration is switched on"
        yield fail(f"the key is refused (HTTP {response.status})", mend)
    elif response.status == _FORBIDDEN:
        yield fail("the key is known and may not do this (HTTP 403)", f"use the key of an {kind} integration")
    elif response.status == _NOT_FOUND:
        yield fail("what answers there is not the connectors' API (HTTP 404)", "correct baseUrl, or give --dialect")
    elif response.status != _OK:
        yield warn(f"the answer is HTTP {response.status}", "try again later; the connector does so by itself")
    else:
        yield ok("the key is accepted")
        yield _judge_token(kind, response.headers.get("token", ""))


def _judge_token(kind: str, text: str) -> Finding:
    mend = f"see in the {kind} integration that it is switched on and sends actions to {kind}"
    try:
        queues = json.loads(text)["queueProperties"]
        places = [str(queue["queueConfiguration"]["region"]) for queue in queues]
        given = all((queue.get("assumeRoleResult") or {}).get("credentials") for queue in queues)
    except (ValueError, KeyError, TypeError, AttributeError):
        return fail("the answer brings no queue credentials (header Token)", mend)
    if not places or not given:
        return fail("no queue is given to this integration", mend)
    return ok(f"credentials are given for {len(places)} queue(s) in {', '.join(sorted(set(places)))}")


def judge_clock(whose: str, ahead_seconds: float) -> Iterator[Finding]:
    """Compare a server's clock with ours; the Date header is exact to a second."""
    apart = abs(ahead_seconds)
    way = "behind" if ahead_seconds > 0 else "ahead of"
    what = f"this host's clock is {apart:.0f} s {way} {whose}'s"
    mend = "let this host follow a time server: timedatectl set-ntp true"
    if apart > CLOCK_FAIL_SECONDS:
        yield fail(what, mend)
    elif apart > CLOCK_WARN_SECONDS:
        yield warn(f"{what}; a snooze ends by so much too late or early", mend)
    else:
        yield ok(f"its clock and {whose}'s agree")


def check_sources(subject: Subject) -> Iterator[Finding]:
    """Compare the sources of Alerta's alerts over there with those that the executor acts on."""
    if subject.config is None:
        return
    acted_on = subject.told.sources
    if "*" in acted_on:
        yield ok("the executor acts on alerts of every source")
        return
    asked = ask(subject, f"{ALERTS[subject.dialect]}?limit={_ALERTS_LOOKED_AT}&sort=createdAt&order=desc")
    seen = _sources_seen(asked.response)
    wanted = ", ".join(acted_on)
    if seen is None:
        yield ok(f"the executor acts on {wanted}; this key may not list alerts, so the other side cannot be compared")
        return
    other = sorted(seen - set(acted_on))
    if other:
        flags = " ".join(f"--source {name}" for name in other)
        mend = f'put {flags} into globalArgs, or let the plugin in Alerta send "{acted_on[0]}" (OPSGENIE_ALERT_SOURCE)'
        yield fail(f"alerts of Alerta's have the source {', '.join(other)}, the executor acts on {wanted} alone", mend)
    elif seen:
        yield ok(f"alerts of Alerta's have the source {', '.join(sorted(seen))}, which the executor acts on")
    else:
        yield ok(f"the executor acts on {wanted}; there is no alert of Alerta's over there yet")


def _sources_seen(response: Response | None) -> set[str] | None:
    """Give the sources of alerts whose alias is an id of Alerta's; None where the list cannot be had."""
    if response is None or response.status != _OK:
        return None
    try:
        alerts: list[dict[str, Any]] = json.loads(response.body)["data"]
        pairs = [(str(alert.get("alias")), str(alert.get("source") or "")) for alert in alerts]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return {source for alias, source in pairs if is_uuid(alias) and source}


def check_end(subject: Subject) -> Iterator[Finding]:
    """Count the days until Opsgenie is switched off."""
    if subject.dialect != OEC:
        return
    today = subject.request.today or datetime.now(timezone.utc).date()
    days = (END_OF_OPSGENIE - today).days
    mend = "move to Jira Service Management: alerta-opsgenie config convert --to jec"
    if days <= 0:
        yield fail(f"Opsgenie was switched off on {END_OF_OPSGENIE}", mend)
    elif days <= SOON_DAYS:
        yield warn(f"Opsgenie is switched off in {days} days, on {END_OF_OPSGENIE}", mend)
    else:
        yield ok(f"Opsgenie goes on for {days} days, until {END_OF_OPSGENIE}")
