"""Checks of Opsgenie or JSM: the key, the queue, the sources of alerts, and the end of Opsgenie.

A queue's attributes are read, but no message is received: a received message is hidden from the connector for a while,
and each receipt counts towards a dead-letter queue.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Iterator, Mapping
from urllib.parse import urlsplit

from alerta_opsgenie.clients.connection import AddressError, Response
from alerta_opsgenie.connector.credentials import CredentialsError, QueueLocation, Token
from alerta_opsgenie.connector.refresher import SQS, fetch
from alerta_opsgenie.core.limits import END_OF_OPSGENIE
from alerta_opsgenie.core.message import is_uuid
from alerta_opsgenie.doctor.finding import CheckEndedError, Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.http import NO_ANSWER, OK, ask, ask_vendor, vendor_api
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.page.view import days_left
from alerta_opsgenie.vendor.config import JEC, NATIVE, OEC

try:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError:  # an installation without the extra `connector`
    SigV4Auth = None

ALERTS: Mapping[str, str] = {OEC: "/v2/alerts", JEC: "/jsm/ops/integration/v2/alerts"}

SOON_DAYS = 180
CLOCK_WARN_SECONDS = 5.0
CLOCK_FAIL_SECONDS = 240.0
"""AWS refuses a request whose signature is 5 minutes off AWS's clock (signature version 4)."""

NAMES: Mapping[str, str] = {OEC: "Opsgenie", JEC: "Jira Service Management"}
_MOST_ALERTS = 50
_DENIED = ("AccessDenied", "UnauthorizedOperation")
_ALLOW_ACCESS = "make it reachable for this host (name server, firewall, proxy)"
_WAITING, _IN_FLIGHT = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


def compare_clocks(whose: str, ahead_seconds: float) -> Iterator[Finding]:
    """Compare a server's clock with ours; the Date header has a resolution of one second."""
    apart, advice = abs(ahead_seconds), "timedatectl set-ntp true"
    what = f"this host's clock is {apart:.0f} s {'behind' if ahead_seconds > 0 else 'ahead of'} {whose}'s"
    if apart > CLOCK_FAIL_SECONDS:
        yield fail(what, advice)
    elif apart > CLOCK_WARN_SECONDS:
        yield warn(f"{what}; a snooze ends by so much too late or early", advice)
    else:
        yield ok(f"its clock and {whose}'s agree")


def check_sources(inst: Installation) -> Iterator[Finding]:
    """Compare the sources of Alerta's alerts at the vendor with those that the executor acts on."""
    acted_on = inst.access.sources
    if "*" in acted_on:
        raise CheckEndedError(ok("the executor acts on alerts of every source"))
    wanted = ", ".join(acted_on)
    seen = _sources_seen(inst, wanted)
    other = sorted(seen - set(acted_on))
    if other:
        flags = ", ".join(f'"--source", {json.dumps(name)}' for name in (*acted_on, *other))
        what = f"alerts of Alerta's have the source {', '.join(other)}, the executor acts only on {wanted}"
        yield fail(what, f"in {inst.path}, add {flags} to globalArgs")
    else:
        yield ok(
            f"the executor acts on {wanted}; the last alerts have: {', '.join(sorted(seen)) or 'none of ours yet'}"
        )


def _sources_seen(inst: Installation, wanted: str) -> set[str]:
    untried = f"whether alerts at {NAMES[inst.dialect]} have the source {wanted}"
    try:
        response = ask_vendor(inst, f"{ALERTS[inst.dialect]}?limit={_MOST_ALERTS}&sort=createdAt&order=desc")
    except NO_ANSWER as error:
        raise CheckEndedError(skip(f"{untried}: {error}")) from None
    alerts = response.json.get("data") if isinstance(response.json, dict) else None
    if not isinstance(alerts, list):
        why = f"the list of alerts is refused (HTTP {response.status})"
        raise CheckEndedError(skip(f"{untried}: {why}"))
    found = [one for one in alerts if isinstance(one, dict) and is_uuid(str(one.get("alias")))]
    return {str(one["source"]) for one in found if one.get("source")}


def check_end_date(days: int, advice: str) -> Finding:
    """Return the finding for the days until Opsgenie ends."""
    if days <= 0:
        return fail(f"Opsgenie was switched off on {END_OF_OPSGENIE}", advice)
    what = f"Opsgenie ends in {days} days, on {END_OF_OPSGENIE}"
    return warn(what, advice) if days <= SOON_DAYS else ok(what)


def check_end(inst: Installation) -> Iterator[Finding]:
    """Report the days until Opsgenie ends."""
    if inst.dialect == OEC:
        advice = f"move to Jira Service Management: alerta-opsgenie config convert {inst.path} --to jec"
        yield check_end_date(days_left(inst.request.today), advice)


# -- The queue


def _fetch_token(inst: Installation) -> Token:
    """Request queues or a channel as the connector does at its start. A refusal ends the check."""
    transport = str(inst.config.own.get("transport", "auto")) if inst.edge == NATIVE else SQS
    try:
        with vendor_api(inst) as api:
            return fetch(api, inst.dialect, transport, inst.request.limit_seconds)
    except AddressError as error:
        raise CheckEndedError(fail(str(error), f"correct baseUrl in {inst.path}")) from None
    except CredentialsError as error:
        raise CheckEndedError(_refusal(inst, error)) from None


def _refusal(inst: Installation, error: CredentialsError) -> Finding:
    kind = inst.dialect.upper()
    if not error.status:
        return fail(
            f"{NAMES[inst.dialect]} is not reached: {error}", f"{_ALLOW_ACCESS}, or correct baseUrl in {inst.path}"
        )
    if error.status == OK:
        return fail(str(error), f"check that the {kind} integration is turned on and sends actions to {kind}")
    if error.advice:
        return fail(str(error), f"{error.advice} ({inst.path})")
    return warn(str(error), "try again later; the connector does so by itself")


def check_vendor(inst: Installation) -> Iterator[Finding]:
    """Check that the vendor is reached and returns a queue or a channel for this key."""
    token = _fetch_token(inst)
    yield ok(f"{NAMES[inst.dialect]} accepts the key")
    yield from compare_clocks(NAMES[inst.dialect], token.ahead_seconds)


def check_queue(inst: Installation) -> Iterator[Finding]:
    """Read the attributes of each queue. The channel of JEC's version 2 was already reached."""
    with suppress(CheckEndedError):  # `check_vendor` reports it
        token = _fetch_token(inst)
        if token.channel:
            yield ok(f"messages come by the channel of JEC's version 2 ({token.channel}), not by SQS")
        for place in token.queues:
            yield _check_one_queue(inst, place)


def _check_one_queue(inst: Installation, place: QueueLocation) -> Finding:
    name = place.url.rpartition("/")[2]
    if SigV4Auth is None:
        return skip(f"the queue {name}: botocore is missing", "pip install 'alerta-opsgenie[connector]'")
    try:
        response = _ask_attributes(inst, place)
    except NO_ANSWER as error:
        return fail(f"the queue {name} is not reached: {error}", _ALLOW_ACCESS)
    answer = response.json if isinstance(response.json, dict) else {}
    counts = answer.get("Attributes")
    if response.status == OK:
        number, taken = (
            str(counts.get(which, "?") if isinstance(counts, dict) else "?")[:20] for which in (_WAITING, _IN_FLIGHT)
        )
        return ok(f"the SQS queue {name} ({place.region}) answers: {number} messages wait, {taken} are taken")
    code = str(answer.get("__type", "")).rpartition("#")[2][:80]
    if any(denied in code for denied in _DENIED):
        what = f"the queue {name}: it answers, but these credentials may not read its attributes"
        return skip(what, "see connector-log and last-success")
    what = f"the queue {name} refuses: {code or f'HTTP {response.status}'}"
    return fail(what, "check that the clocks agree (check vendor); the integration may have been made again")


def _ask_attributes(inst: Installation, place: QueueLocation) -> Response:
    """Send GetQueueAttributes. botocore's own client would read files that this user can no longer read."""
    parts = urlsplit(place.url)
    origin = f"{parts.scheme}://{parts.netloc}"
    body = json.dumps({"QueueUrl": place.url, "AttributeNames": [_WAITING, _IN_FLIGHT]}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.GetQueueAttributes"}
    request = AWSRequest("POST", f"{origin}/", data=body, headers=headers)
    grant = place.credentials
    credentials = Credentials(grant.access_key_id, grant.secret_access_key, grant.session_token)
    SigV4Auth(credentials, "sqs", place.region).add_auth(request)
    return ask(inst, origin, "/", dict(request.headers.items()), body, method="POST")
