"""Alerta as the executor sees it: where it is, what the key may do, and whether names can be lent.

All of it by requests that change nothing: they name an alert that cannot exist, a fresh UUID, or say nothing at all.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from datetime import datetime, timezone
from typing import Any, Iterator, NamedTuple
from urllib.parse import urlsplit

from alerta_opsgenie.clients.alerta import AlertaClient, address_of
from alerta_opsgenie.clients.connection import AddressError, UnreachableError
from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.core.relay import Call
from alerta_opsgenie.doctor.finding import Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.http import FORBIDDEN, NOT_FOUND, OK, UNAUTHORIZED, ask
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.vendor_checks import judge_clock
from alerta_opsgenie.vendor.config import NATIVE

PERSON = "alerta-opsgenie doctor"
"""On whose behalf the doctor asks."""

BRIDGE_SCOPE = "admin:alerta_opsgenie"
"""By this scope, listed literally, the plugin knows the bridge's key (plugin/keys.py)."""

NEEDED_SCOPES = frozenset({"read:alerts", "write:alerts"})
USEFUL_SCOPES = NEEDED_SCOPES | {
    "delete:alerts", "read:heartbeats", "write:heartbeats", "read:keys", "read:config", BRIDGE_SCOPE,
}  # fmt: skip
SOON_DAYS = 30

_WEBHOOK = "/webhooks/opsgenie"
_MOST_CANDIDATES_UNREACHED = 2


class Found(NamedTuple):
    """What answered at a URL for the root of an API. `links` are the addresses that Alerta lists there."""

    links: list[str]
    status: int = 0
    clock_ahead_seconds: float = 0.0
    error: str = ""


def client_of(inst: Installation, url: str) -> AlertaClient:
    """Make a client with the executor's key. Raises `AddressError`."""
    key = inst.alerta_key[0].reveal()
    return AlertaClient(url, key, ca_file=inst.access.ca_file or None, environment=inst.request.environment)


def call(inst: Installation, url: str, request: Call) -> Answer:
    """Make one call with the executor's key. Raises `UnreachableError` and `AddressError`."""
    client = client_of(inst, url)
    try:
        return client.send(request, time.monotonic() + inst.request.limit_seconds)
    finally:
        client.close()


def try_call(inst: Installation, request: Call) -> Answer | None:
    """Make one call to the executor's Alerta; None where it is not reached, which `check_reachable` reports."""
    try:
        return call(inst, inst.access.url, request)
    except (UnreachableError, AddressError):
        return None


def look_at(inst: Installation, url: str) -> Found:
    """Ask for the root of an API, which needs no key and lists what there is."""
    try:
        answer = call(inst, url, Call("GET", "/", None, ""))
    except (UnreachableError, AddressError) as error:
        return Found([], error=str(error))
    listed = answer.body.get("links") if answer.status == OK and isinstance(answer.body, dict) else None
    links = [str(link.get("href")) for link in listed if isinstance(link, dict)] if isinstance(listed, list) else []
    return Found(links, answer.status, answer.clock_ahead_seconds)


def candidates(url: str) -> list[str]:
    """Give the URLs that may be meant by one at which Alerta does not answer, the likeliest first."""
    parts = urlsplit(url)
    path = address_of(url).path
    above = path.rpartition("/")[0]
    paths = dict.fromkeys([f"{path}/api", "/api", f"{above}/api", above, ""])
    other = "https" if parts.scheme == "http" else "http"
    same = [f"{parts.scheme}://{parts.netloc}{tried}" for tried in paths if tried != path]
    return [*same, *(f"{other}://{parts.netloc}{tried}" for tried in dict.fromkeys([path, "/api"]))]


def check_reachable(inst: Installation) -> Iterator[Finding]:
    """Look whether Alerta's API is where the executor is sent; where not, try where it may be."""
    url = inst.access.url
    if not url:
        advice = f'in {inst.path}, add "--alertaApiUrl", "https://alerta.example.com/api" to globalArgs'
        yield fail("the executor is not given Alerta's URL", advice)
        return
    try:
        address = address_of(url)
    except AddressError as error:
        yield fail(str(error), f"correct --alertaApiUrl in {inst.path}")
        return
    found = look_at(inst, url)
    if found.links:
        yield ok(f"Alerta answers at {address}")
        yield from judge_clock("Alerta", found.clock_ahead_seconds)
    else:
        what = found.error or f"{address} answers (HTTP {found.status}), but not as Alerta's API"
        yield fail(what, _suggest(inst, url))


def _suggest(inst: Installation, url: str) -> str:
    unreached = 0
    for tried in candidates(url):
        found = look_at(inst, tried)
        if found.links:
            return f'in {inst.path}, write "--alertaApiUrl", "{tried}" in globalArgs: Alerta answers there'
        unreached += bool(found.error)
        if unreached > _MOST_CANDIDATES_UNREACHED:  # a host that does not answer makes each try last its whole limit
            break
    return f"see that Alerta runs and that this host reaches it, or correct --alertaApiUrl in {inst.path}"


def _is_usable(inst: Installation) -> bool:
    """Whether asking on makes sense: other checks have reported what is missing."""
    try:
        return bool(inst.access.url and address_of(inst.access.url) and inst.alerta_key[0])
    except AddressError:
        return False


# -- The key


def check_key(inst: Installation) -> Iterator[Finding]:
    """Look whether the key is valid, what it may do, and until when."""
    key, why = inst.alerta_key
    if inst.access.url and not key:
        yield fail(f"Alerta's key: {why}", f"write it into {inst.access.key_file or inst.path}")
    if not _is_usable(inst):
        return
    act = Call("PUT", f"/alert/{uuid.uuid4()}/action", {"action": "ack", "text": PERSON}, "")
    answer = try_call(inst, act)
    if answer is None:
        return
    yield _judge_key(inst, answer)
    if answer.status == NOT_FOUND:
        yield from _check_scopes(inst)
        yield from _check_heartbeats(inst)


def _judge_key(inst: Installation, answer: Answer) -> Finding:
    place = inst.access.key_file or inst.path
    if answer.status == UNAUTHORIZED:
        advice = f"make a key in Alerta (Configuration, API Keys) and write it into {place}"
        return fail(f"Alerta refuses the key: {answer.message}", advice)
    if answer.status == FORBIDDEN:
        return fail(f"the key may not act on alerts: {answer.message}", _make_key(inst))
    if answer.status == NOT_FOUND and answer.message:
        return ok("the key may read and change alerts")
    said = f": {answer.message}" if answer.message else ""
    return fail(f"Alerta answers HTTP {answer.status} to an action{said}", "see Alerta's log, and the check alerta")


def _make_key(inst: Installation) -> str:
    """Give the command by which an administrator of Alerta makes the bridge a key, and the file that it goes into."""
    scopes = ["write:alerts", *(["write:heartbeats"] if _sends_heartbeats(inst) else [])]
    command = f"alerta key --username opsgenie-bridge {' '.join(f'--scope {scope}' for scope in scopes)}"
    return f"{command}, and write it into {inst.access.key_file or inst.path}"


def _sends_heartbeats(inst: Installation) -> bool:
    return inst.edge == NATIVE and inst.needed_config.own.get("heartbeatIntervalInSeconds") != 0


def _check_scopes(inst: Installation) -> Iterator[Finding]:
    """Find the key among those that it may list: its user, its expiry, its scopes.

    A key with a broad scope (read, write, admin) may always list itself. `/key/KEY` is never asked for: logs show it.
    """
    answer = try_call(inst, Call("GET", "/keys?page-size=1000", None, ""))
    entry = _own_entry(inst, answer)
    if entry is None:
        yield skip("when the key expires (it may not list keys)", "look it up in Alerta: Configuration, API Keys")
        return
    yield _judge_expiry(inst, str(entry.get("user")), str(entry.get("expireTime") or ""))
    scopes = {str(scope) for scope in entry.get("scopes") or []}
    broad = sorted(scopes - USEFUL_SCOPES)
    if broad:
        yield warn(f"the key has more rights than the bridge needs: {', '.join(broad)}", _make_key(inst))


def _own_entry(inst: Installation, answer: Answer | None) -> dict[str, Any] | None:
    key = inst.alerta_key[0].reveal()
    listed = answer.body.get("keys") if answer and answer.status == OK and isinstance(answer.body, dict) else None
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return next((entry for entry in entries if entry.get("key") == key), None)


def _judge_expiry(inst: Installation, user: str, text: str) -> Finding:
    try:
        ends = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return skip(f"when the key of {user} expires (Alerta says {text[:40]!r})")
    days = (ends.replace(tzinfo=ends.tzinfo or timezone.utc) - datetime.now(timezone.utc)).days
    what = f"the key is {user}'s and expires in {days} days, on {ends:%Y-%m-%d}"
    return warn(what, f"make another in time: {_make_key(inst)}") if days <= SOON_DAYS else ok(what)


def _check_heartbeats(inst: Installation) -> Iterator[Finding]:
    """Look whether our own connector may send its heartbeat: Alerta looks at the scope before it reads the body."""
    if not _sends_heartbeats(inst):
        return
    answer = try_call(inst, Call("POST", "/heartbeat", {"tags": "none, so that nothing is made of it"}, ""))
    if answer is not None and answer.status == FORBIDDEN:
        advice = f"{_make_key(inst)}; or set heartbeatIntervalInSeconds to 0 in {inst.path}"
        yield warn("the key may not send heartbeats (write:heartbeats)", advice)


# -- Alerta's own settings


def check_attribution(inst: Installation) -> Iterator[Finding]:
    """Look whether our plugin is in Alerta and knows this key as the bridge's."""
    if not _is_usable(inst):
        return
    answer = try_call(inst, Call("GET", f"/alert/{uuid.uuid4()}", None, PERSON))
    if answer is None or answer.status in {UNAUTHORIZED, FORBIDDEN}:
        return
    if answer.on_behalf_of == PERSON:
        yield ok("our plugin is in Alerta, and what people do is shown under their own names")
    elif _has_webhook(inst):
        what = "our plugin does not recognise this key as the bridge's, so one user is shown for everybody"
        digest = hashlib.sha256(inst.alerta_key[0].reveal().encode()).hexdigest()
        yield warn(what, f"in alertad.conf, set OPSGENIE_BRIDGE_KEY = ['sha256:{digest}'], and restart Alerta")
    else:
        advice = "where Alerta runs: pip install alerta-opsgenie, add 'opsgenie' to PLUGINS in alertad.conf, restart it"
        yield warn("our plugin is not in Alerta: actions show the key's user, and the person in the text alone", advice)


def _has_webhook(inst: Installation) -> bool:
    return any(link.endswith(_WEBHOOK) for link in look_at(inst, inst.access.url).links)


def check_open_access(inst: Installation) -> Iterator[Finding]:
    """Look whether Alerta, and our webhook in it, act for somebody without any key."""
    if not _is_usable(inst):
        return
    nobody = str(uuid.uuid4())
    act = _ask_without_key(inst, "PUT", f"/alert/{nobody}/action", b'{"action": "ack", "text": ""}')
    if act == NOT_FOUND:
        advice = "set AUTH_REQUIRED = True in alertad.conf and restart Alerta"
        yield warn("Alerta acts for everybody who reaches it, without a key", advice)
    elif act in {UNAUTHORIZED, FORBIDDEN}:
        yield ok("Alerta does nothing without a key")
    if _has_webhook(inst):
        yield from _check_webhook(inst, nobody)


def _check_webhook(inst: Installation, nobody: str) -> Iterator[Finding]:
    body = b'{"action": "Acknowledge", "alert": {"alias": "%s", "username": "doctor"}}' % nobody.encode()
    status = _ask_without_key(inst, "POST", _WEBHOOK, body)
    if status in {UNAUTHORIZED, FORBIDDEN, NOT_FOUND}:
        yield ok("the webhook refuses whoever has neither its secret nor a key")
    elif status:
        advice = "set OPSGENIE_WEBHOOK_SECRET_FILE in alertad.conf and restart Alerta"
        yield fail(f"the webhook takes actions from everybody (HTTP {status})", advice)


def _ask_without_key(inst: Installation, method: str, path: str, body: bytes) -> int:
    """Make one request without a key and give the status; 0 where there is no answer."""
    url, headers = str(address_of(inst.access.url)), {"Content-Type": "application/json"}
    return ask(inst, url, path, headers, body, method=method, ca_file=inst.access.ca_file).status
