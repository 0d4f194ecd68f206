"""The queue: whether SQS answers for it with the credentials that the vendor gives.

Its attributes are asked for and nothing is received: a received message is hidden from the connector for a while, and
each receipt counts towards a dead-letter queue.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Iterator
from urllib.parse import urlsplit

from alerta_opsgenie.clients.connection import Response
from alerta_opsgenie.doctor.finding import Finding, fail, ok, skip
from alerta_opsgenie.doctor.http import OK, Asked, ask
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.vendor_checks import CREDENTIALS, ask_vendor

try:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError:  # an installation without the extra `connector`
    SigV4Auth = None

_DENIED = ("AccessDenied", "UnauthorizedOperation")
_WAITING, _IN_FLIGHT = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


@dataclass(frozen=True)
class Queue:
    """A queue with the temporary credentials for it."""

    url: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)

    @property
    def name(self) -> str:
        """The queue's name, the last part of its URL."""
        return self.url.rpartition("/")[2]


def check_queue(inst: Installation) -> Iterator[Finding]:
    """Ask each queue that the vendor gives for its attributes."""
    if inst.config is None:
        return
    asked = ask_vendor(inst, CREDENTIALS[inst.dialect])
    if asked.response is None or asked.response.status != OK:
        return  # the check before says why
    queues = _read_token(asked.response.headers.get("token", ""))
    if not queues:
        kind = inst.dialect.upper()
        what = "the header Token cannot be read" if queues is None else "no queue is given to this integration"
        yield fail(what, f"see in the {kind} integration that it is turned on and sends actions to {kind}")
        return
    for queue in queues:
        yield _check(inst, queue)


def _read_token(text: str) -> list[Queue] | None:
    """Read the queues of the header Token; None where it cannot be read."""
    try:
        return [_read_queue(entry) for entry in json.loads(text)["queueProperties"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _read_queue(entry: Any) -> Queue:
    place, role = entry["queueConfiguration"], entry["assumeRoleResult"]["credentials"]
    url, region = str(place["queueUrl"]), str(place["region"])
    return Queue(url, region, *(str(role[name]) for name in ("accessKeyId", "secretAccessKey", "sessionToken")))


def _check(inst: Installation, queue: Queue) -> Finding:
    if SigV4Auth is None:
        return skip(f"the queue {queue.name}: botocore is missing", "pip install 'alerta-opsgenie[connector]'")
    asked = _ask_attributes(inst, queue)
    if asked.response is None:
        advice = "open the way there for this host (name server, firewall, proxy)"
        return fail(f"the queue {queue.name} is not reached: {asked.error}", advice)
    response = asked.response
    code = _error_code(response)
    if response.status == OK:
        counts = _attributes(response)
        number, taken = counts.get(_WAITING, "?"), counts.get(_IN_FLIGHT, "?")
        return ok(f"the queue {queue.name} ({queue.region}) answers: {number} messages wait, {taken} are taken")
    if any(denied in code for denied in _DENIED):
        what = f"the queue {queue.name}: it answers, and these credentials may not ask for its attributes"
        return skip(what, "see connector-log and last-success")
    what = f"the queue {queue.name} refuses: {code or f'HTTP {response.status}'}"
    return fail(what, "see that the clocks agree (check vendor); the integration may have been made anew")


def _ask_attributes(inst: Installation, queue: Queue) -> Asked:
    """Send GetQueueAttributes."""
    try:
        parts = urlsplit(queue.url)
    except ValueError:
        return Asked(queue.url, error="its URL cannot be read")
    origin = f"{parts.scheme}://{parts.netloc}"
    body = json.dumps({"QueueUrl": queue.url, "AttributeNames": [_WAITING, _IN_FLIGHT]}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.GetQueueAttributes"}
    request = AWSRequest("POST", f"{origin}/", data=body, headers=headers)
    credentials = Credentials(queue.access_key_id, queue.secret_access_key, queue.session_token)
    SigV4Auth(credentials, "sqs", queue.region).add_auth(request)
    return ask(inst, origin, "/", dict(request.headers.items()), body, method="POST")


def _attributes(response: Response) -> dict[str, str]:
    found = _json(response).get("Attributes")
    return {str(name): str(value)[:20] for name, value in found.items()} if isinstance(found, dict) else {}


def _error_code(response: Response) -> str:
    return str(_json(response).get("__type", "")).rpartition("#")[2][:80]


def _json(response: Response) -> dict[str, Any]:
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
