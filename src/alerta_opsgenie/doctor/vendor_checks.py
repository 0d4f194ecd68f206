"""Opsgenie or JSM: the clocks together, the sources of its alerts, and how long it goes on."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from typing import Any, Iterator, Mapping

from alerta_opsgenie import __version__
from alerta_opsgenie.clients.connection import Response
from alerta_opsgenie.core.limits import END_OF_OPSGENIE
from alerta_opsgenie.core.message import is_uuid
from alerta_opsgenie.doctor.finding import Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.http import OK, Asked, ask
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.vendor.config import JEC, OEC

ALERTS: Mapping[str, str] = {OEC: "/v2/alerts", JEC: "/jsm/ops/integration/v2/alerts"}

SOON_DAYS = 180
CLOCK_WARN_SECONDS = 5.0
CLOCK_FAIL_SECONDS = 240.0
"""AWS refuses a request that was signed 5 minutes away from its own clock (signature version 4)."""

NAMES: Mapping[str, str] = {OEC: "Opsgenie", JEC: "Jira Service Management"}
_ALERTS_LOOKED_AT = 50


def ask_vendor(inst: Installation, path: str) -> Asked:
    """Make one GET with the connector's key."""
    config = inst.needed_config
    headers = {
        "Authorization": f"GenieKey {config.api_key.reveal()}",
        f"X-{inst.dialect.upper()}-Client-Info": f"alerta-opsgenie/{__version__} doctor",
    }
    return ask(inst, config.api_root, path, headers)


def judge_clock(whose: str, ahead_seconds: float) -> Iterator[Finding]:
    """Compare a server's clock with ours; the Date header is exact to a second."""
    apart = abs(ahead_seconds)
    way = "behind" if ahead_seconds > 0 else "ahead of"
    what = f"this host's clock is {apart:.0f} s {way} {whose}'s"
    advice = "timedatectl set-ntp true"
    if apart > CLOCK_FAIL_SECONDS:
        yield fail(what, advice)
    elif apart > CLOCK_WARN_SECONDS:
        yield warn(f"{what}; a snooze ends by so much too late or early", advice)
    else:
        yield ok(f"its clock and {whose}'s agree")


def check_sources(inst: Installation) -> Iterator[Finding]:
    """Compare the sources of Alerta's alerts over there with those that the executor acts on."""
    acted_on = inst.access.sources
    if "*" in acted_on:
        yield ok("the executor acts on alerts of every source")
        return
    asked = ask_vendor(inst, f"{ALERTS[inst.dialect]}?limit={_ALERTS_LOOKED_AT}&sort=createdAt&order=desc")
    wanted, seen = ", ".join(acted_on), _sources_seen(asked.response)
    if seen is None:
        why = asked.error or f"the list of alerts is refused to this key (HTTP {asked.status})"
        yield skip(f"whether alerts over there have the source {wanted}: {why}")
        return
    other = sorted(seen - set(acted_on))
    if other:
        flags = ", ".join(f'"--source", {json.dumps(name)}' for name in (*acted_on, *other))
        advice = f"in {inst.path}, add {flags} to globalArgs"
        what = f"alerts of Alerta's have the source {', '.join(other)}, the executor acts on {wanted} alone"
        yield fail(what, advice)
    elif seen:
        yield ok(f"alerts of Alerta's have the source {', '.join(sorted(seen))}, which the executor acts on")
    else:
        yield ok(f"the executor acts on {wanted}; there is no alert of Alerta's over there yet")


def _sources_seen(response: Response | None) -> set[str] | None:
    """Give the sources of alerts whose alias is an id of Alerta's; None where there is no list."""
    if response is None or response.status != OK:
        return None
    try:
        alerts: list[dict[str, Any]] = json.loads(response.body)["data"]
        pairs = [(str(alert.get("alias")), str(alert.get("source") or "")) for alert in alerts]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return {source for alias, source in pairs if is_uuid(alias) and source}


def days_left(today: date | None = None) -> int:
    """Count the days until Opsgenie is switched off; negative after that."""
    return (END_OF_OPSGENIE - (today or datetime.now(timezone.utc).date())).days


def check_end(inst: Installation) -> Iterator[Finding]:
    """Say how long Opsgenie goes on."""
    if inst.dialect != OEC:
        return
    days = days_left(inst.request.today)
    advice = f"move to Jira Service Management: alerta-opsgenie config convert {inst.path} --to jec"
    if days <= 0:
        yield fail(f"Opsgenie was switched off on {END_OF_OPSGENIE}", advice)
    elif days <= SOON_DAYS:
        yield warn(f"Opsgenie is switched off in {days} days, on {END_OF_OPSGENIE}", advice)
    else:
        yield ok(f"Opsgenie goes on for {days} days, until {END_OF_OPSGENIE}")
