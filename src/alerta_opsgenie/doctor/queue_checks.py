"""Where messages come from: what the vendor names, and whether SQS answers for it with the vendor's credentials.

Its attributes are asked for and nothing is received: a received message is hidden from the connector for a while, and
each receipt counts towards a dead-letter queue.
"""

from __future__ import annotations

import json
from typing import Any, Iterator
from urllib.parse import urlsplit

from alerta_opsgenie.clients.connection import AddressError, Response
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.connector.credentials import CredentialsError, QueuePlace, Token
from alerta_opsgenie.connector.keeper import SQS, fetch
from alerta_opsgenie.doctor.finding import Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.http import OK, Asked, ask
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.vendor_checks import NAMES, judge_clock
from alerta_opsgenie.vendor.config import NATIVE

try:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError:  # an installation without the extra `connector`
    SigV4Auth = None

_DENIED = ("AccessDenied", "UnauthorizedOperation")
_WAITING, _IN_FLIGHT = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


def fetch_token(inst: Installation) -> Token:
    """Ask for queues or a channel as the connector does at its start. Raises `CredentialsError` and `AddressError`."""
    transport = str(inst.needed_config.own.get("transport", "auto")) if inst.edge == NATIVE else SQS
    api = VendorApi(inst.needed_config, inst.request.environment)
    try:
        return fetch(api, inst.dialect, transport, {}, inst.request.limit_seconds)
    finally:
        api.close()


def check_vendor(inst: Installation) -> Iterator[Finding]:
    """Look whether the vendor is reached, and names a queue or a channel to this key."""
    try:
        token = fetch_token(inst)
    except AddressError as error:
        yield fail(str(error), f"correct baseUrl in {inst.path}")
        return
    except CredentialsError as error:
        yield _judge(inst, error)
        return
    yield ok(f"{NAMES[inst.dialect]} accepts the key")
    yield from judge_clock(NAMES[inst.dialect], token.ahead_seconds)


def _judge(inst: Installation, error: CredentialsError) -> Finding:
    kind = inst.dialect.upper()
    if not error.status:
        advice = f"open the way there for this host (name server, firewall, proxy), or correct baseUrl in {inst.path}"
        return fail(f"{NAMES[inst.dialect]} is not reached: {error}", advice)
    if error.status == OK:
        return fail(str(error), f"see in the {kind} integration that it is turned on and sends actions to {kind}")
    if error.advice:
        return fail(str(error), f"{error.advice} ({inst.path})")
    return warn(str(error), "try again later; the connector does so by itself")


def check_queue(inst: Installation) -> Iterator[Finding]:
    """Ask each queue that the vendor names for its attributes; the channel of JEC's version 2 was asked already."""
    try:
        token = fetch_token(inst)
    except (CredentialsError, AddressError):
        return  # the check before says why
    if token.channel:
        yield ok(f"messages come by the channel of JEC's version 2 ({token.channel}), not by SQS")
    for place in token.queues:
        yield _check(inst, place)


def _check(inst: Installation, place: QueuePlace) -> Finding:
    name = place.url.rpartition("/")[2]
    if SigV4Auth is None:
        return skip(f"the queue {name}: botocore is missing", "pip install 'alerta-opsgenie[connector]'")
    if place.grant is None:
        return fail(f"the vendor gives no credentials for the queue {name}", "make the integration anew")
    asked = _ask_attributes(inst, place)
    if asked.response is None:
        advice = "open the way there for this host (name server, firewall, proxy)"
        return fail(f"the queue {name} is not reached: {asked.error}", advice)
    code = str(_json(asked.response).get("__type", "")).rpartition("#")[2][:80]
    if asked.status == OK:
        counts = _json(asked.response).get("Attributes")
        counts = counts if isinstance(counts, dict) else {}
        number, taken = (str(counts.get(which, "?"))[:20] for which in (_WAITING, _IN_FLIGHT))
        return ok(f"the SQS queue {name} ({place.region}) answers: {number} messages wait, {taken} are taken")
    if any(denied in code for denied in _DENIED):
        what = f"the queue {name}: it answers, and these credentials may not ask for its attributes"
        return skip(what, "see connector-log and last-success")
    what = f"the queue {name} refuses: {code or f'HTTP {asked.status}'}"
    return fail(what, "see that the clocks agree (check vendor); the integration may have been made anew")


def _ask_attributes(inst: Installation, place: QueuePlace) -> Asked:
    """Send GetQueueAttributes. botocore's own client would read files that this user may not read any more."""
    assert place.grant is not None  # noqa: S101 - the caller looks at it
    parts = urlsplit(place.url)
    origin = f"{parts.scheme}://{parts.netloc}"
    body = json.dumps({"QueueUrl": place.url, "AttributeNames": [_WAITING, _IN_FLIGHT]}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.GetQueueAttributes"}
    request = AWSRequest("POST", f"{origin}/", data=body, headers=headers)
    grant = place.grant
    credentials = Credentials(grant.access_key_id, grant.secret_access_key, grant.session_token)
    SigV4Auth(credentials, "sqs", place.region).add_auth(request)
    return ask(inst, origin, "/", dict(request.headers.items()), body, method="POST")


def _json(response: Response) -> dict[str, Any]:
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
