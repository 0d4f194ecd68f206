"""Checks of Alerta with the executor's key: the URL, the key's rights, whether people's names are shown, the plugin.

The requests change nothing: they name an alert that does not exist (a fresh UUID), or have no content.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from contextlib import closing
from typing import Any, Iterator
from urllib.parse import urlsplit

from alerta_opsgenie.clients.alerta import AlertaClient, address_of
from alerta_opsgenie.core.instants import iso_seconds
from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.core.task import Call
from alerta_opsgenie.doctor.finding import CheckEndedError, Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.http import FORBIDDEN, NO_ANSWER, NOT_FOUND, OK, UNAUTHORIZED, ask
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.vendor_checks import compare_clocks
from alerta_opsgenie.page.plugin import FIGURES, read_plugin_figures
from alerta_opsgenie.vendor.config import NATIVE

PERSON = "alerta-opsgenie doctor"  # the name in X-Alerta-On-Behalf-Of
BRIDGE_SCOPE = "admin:alerta_opsgenie"
"""The plugin accepts a key that lists this scope literally as the bridge's (plugin/keys.py)."""

NEEDED_SCOPES = frozenset({"read:alerts", "write:alerts"})
USEFUL_SCOPES = NEEDED_SCOPES | {
    "delete:alerts", "read:heartbeats", "write:heartbeats", "read:keys", "read:config", BRIDGE_SCOPE,
}  # fmt: skip
SOON_DAYS = 30

_WEBHOOK = "/webhooks/opsgenie"


def client_of(inst: Installation, url: str) -> AlertaClient:
    """Return a client with the executor's key. Raises `AddressError`."""
    key = inst.alerta_key[0].reveal()
    return AlertaClient(url, key, ca_file=inst.access.ca_file or None, environment=inst.request.environment)


def call(inst: Installation, url: str, request: Call) -> Answer:
    """Make one call with the executor's key. Raises the errors of `NO_ANSWER`."""
    with closing(client_of(inst, url)) as client:
        return client.send(request, time.monotonic() + inst.request.limit_seconds)


def try_call(inst: Installation, method: str, path: str, body: Any = None, person: str = "") -> Answer:
    """Make one call to the executor's Alerta. Without URL, key or response the check ends: other checks report that."""
    if not (inst.access.url and inst.alerta_key[0]):
        raise CheckEndedError
    try:
        return call(inst, inst.access.url, Call(method, path, body, person))
    except NO_ANSWER:
        raise CheckEndedError from None


def fields_of(answer: Answer) -> dict[str, Any]:
    """Return the fields of a response with status 200; none of any other."""
    return answer.body if answer.status == OK and isinstance(answer.body, dict) else {}


def listed(answer: Answer, name: str) -> list[dict[str, Any]]:
    """Return the objects in a response's list `name`."""
    found = fields_of(answer).get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _links_at(inst: Installation, url: str) -> list[str]:
    """Return the links at the root of an API, which needs no key. Raises the errors of `NO_ANSWER`."""
    return [str(link.get("href")) for link in listed(call(inst, url, Call("GET", "/", None, "")), "links")]


def _candidates(url: str) -> list[str]:
    """Return similar URLs at which Alerta may answer, likeliest first."""
    parts, path = urlsplit(url), address_of(url).path
    above = path.rpartition("/")[0]
    paths = dict.fromkeys((f"{path}/api", "/api", f"{above}/api", above, ""))
    return [f"{parts.scheme}://{parts.netloc}{one}" for one in paths if one != path]


def check_reachable(inst: Installation) -> Iterator[Finding]:
    """Check that Alerta's API answers at the executor's URL; if not, try similar URLs."""
    url = inst.access.url
    if not url:
        advice = f'in {inst.path}, add "--alertaApiUrl", "https://alerta.example.com/api" to globalArgs'
        raise CheckEndedError(fail("the executor is not given Alerta's URL", advice))
    try:
        answer = call(inst, url, Call("GET", "/", None, ""))
        if listed(answer, "links"):
            yield ok(f"Alerta answers at {url}")
            yield from compare_clocks("Alerta", answer.clock_ahead_seconds)
            return
        right = next((tried for tried in _candidates(url) if _links_at(inst, tried)), "")
    except NO_ANSWER as error:
        advice = f"see that Alerta runs and that this host reaches it, or correct --alertaApiUrl in {inst.path}"
        raise CheckEndedError(fail(str(error), advice)) from None
    advice = f"correct --alertaApiUrl in {inst.path}"
    if right:
        advice = f'in {inst.path}, write "--alertaApiUrl", "{right}" in globalArgs: Alerta answers there'
    yield fail(f"{url} answers (HTTP {answer.status}), but not as Alerta's API", advice)


# -- The key


def check_key(inst: Installation) -> Iterator[Finding]:
    """Check that the key is valid, its rights, and its expiry."""
    key, why = inst.alerta_key
    if inst.access.url and not key:
        yield fail(f"Alerta's key: {why}", f"write it into {_key_place(inst)}")
    answer = try_call(inst, "PUT", f"/alert/{uuid.uuid4()}/action", {"action": "ack", "text": PERSON})
    yield _key_finding(inst, answer)
    if answer.status != NOT_FOUND:
        return
    yield from _check_scopes(inst)
    # Alerta checks the scope before it reads the body, and makes no heartbeat from this one.
    if _sends_heartbeats(inst) and try_call(inst, "POST", "/heartbeat", {"tags": "none"}).status == FORBIDDEN:
        advice = f"{_make_key(inst)}; or set heartbeatIntervalInSeconds to 0 in {inst.path}"
        yield warn("the key may not send heartbeats (write:heartbeats)", advice)


def _key_place(inst: Installation) -> str:
    return inst.access.key_file or inst.path


def _key_finding(inst: Installation, answer: Answer) -> Finding:
    if answer.status == UNAUTHORIZED:
        advice = f"make a key in Alerta (Configuration, API Keys) and write it into {_key_place(inst)}"
        return fail(f"Alerta refuses the key: {answer.message}", advice)
    if answer.status == FORBIDDEN:
        return fail(f"the key may not act on alerts: {answer.message}", _make_key(inst))
    if answer.status == NOT_FOUND and answer.message:
        return ok("the key may read and change alerts")
    reason = f": {answer.message}" if answer.message else ""
    return fail(f"Alerta answers HTTP {answer.status} to an action{reason}", "see Alerta's log, and the check alerta")


def _make_key(inst: Installation) -> str:
    more = " --scope write:heartbeats" if _sends_heartbeats(inst) else ""
    command = f"alerta key --username opsgenie-bridge --scope write:alerts{more}"
    return f"{command}, and write it into {_key_place(inst)}"


def _sends_heartbeats(inst: Installation) -> bool:
    return inst.edge == NATIVE and inst.config.own.get("heartbeatIntervalInSeconds") != 0


def _check_scopes(inst: Installation) -> Iterator[Finding]:
    """Find the key in the list of keys, and check its user, expiry and scopes.

    A key with a broad scope (read, write, admin) may always list itself. `/key/KEY` is not used: it would be in logs.
    """
    key, answer = inst.alerta_key[0].reveal(), try_call(inst, "GET", "/keys?page-size=1000")
    entry = next((entry for entry in listed(answer, "keys") if entry.get("key") == key), None)
    if entry is None:
        yield skip("when the key expires (it may not list keys)", "look it up in Alerta: Configuration, API Keys")
        return
    yield _expiry_finding(inst, str(entry.get("user")), str(entry.get("expireTime") or ""))
    scopes = {str(scope) for scope in entry.get("scopes") or []}
    broad = sorted(scopes - USEFUL_SCOPES)
    if broad:
        yield warn(f"the key has more rights than the bridge needs: {', '.join(broad)}", _make_key(inst))


def _expiry_finding(inst: Installation, user: str, text: str) -> Finding:
    ends = iso_seconds(text)
    if ends is None:
        return skip(f"when the key of {user} expires (Alerta returns {text[:40]!r})")
    days = (ends - time.time()) // 86400
    what = f"the key is {user}'s and expires in {days:.0f} days, on {text[:10]}"
    return warn(what, f"make another in time: {_make_key(inst)}") if days <= SOON_DAYS else ok(what)


# -- Alerta's own settings


def check_attribution(inst: Installation) -> Iterator[Finding]:
    """Check that our plugin is in Alerta and accepts this key as the bridge's."""
    answer = try_call(inst, "GET", f"/alert/{uuid.uuid4()}", person=PERSON)
    if answer.status in {UNAUTHORIZED, FORBIDDEN}:
        return
    if answer.on_behalf_of == PERSON:
        yield ok("our plugin is in Alerta, and what people do is shown under their own names")
    elif _has_webhook(inst):
        what = "our plugin does not accept this key as the bridge's, so Alerta shows one user for all people"
        digest = hashlib.sha256(inst.alerta_key[0].reveal().encode()).hexdigest()
        yield warn(what, f"in alertad.conf, set OPSGENIE_BRIDGE_KEY = ['sha256:{digest}'], and restart Alerta")
    else:
        advice = "where Alerta runs: pip install alerta-opsgenie, add 'opsgenie' to PLUGINS in alertad.conf, restart it"
        yield warn("our plugin is not in Alerta: actions show the key's user, and the person only in the text", advice)


def _has_webhook(inst: Installation) -> bool:
    try:
        return any(link.endswith(_WEBHOOK) for link in _links_at(inst, inst.access.url))
    except NO_ANSWER:
        raise CheckEndedError from None


def check_open_access(inst: Installation) -> Iterator[Finding]:
    """Check that Alerta and our webhook refuse requests without a key."""
    unknown_id = str(uuid.uuid4())
    act = _ask_without_key(inst, "PUT", f"/alert/{unknown_id}/action", {"action": "ack", "text": ""})
    if act == NOT_FOUND:
        advice = "set AUTH_REQUIRED = True in alertad.conf and restart Alerta"
        yield warn("Alerta accepts actions without a key", advice)
    elif act in {UNAUTHORIZED, FORBIDDEN}:
        yield ok("Alerta refuses actions without a key")
    if _has_webhook(inst):
        body = {"action": "Acknowledge", "alert": {"alias": unknown_id, "username": "doctor"}}
        status = _ask_without_key(inst, "POST", _WEBHOOK, body)
        if status in {UNAUTHORIZED, FORBIDDEN, NOT_FOUND}:
            yield ok("the webhook refuses requests with neither its secret nor a key")
        else:
            advice = "set OPSGENIE_WEBHOOK_SECRET_FILE in alertad.conf and restart Alerta"
            yield fail(f"the webhook accepts actions without its secret or a key (HTTP {status})", advice)


def _ask_without_key(inst: Installation, method: str, path: str, body: dict[str, Any]) -> int:
    """Return the status of one request without a key. Without a response the check ends."""
    headers, text = {"Content-Type": "application/json"}, json.dumps(body).encode()
    try:
        url = str(address_of(inst.access.url))
        return ask(inst, url, path, headers, text, method=method, ca_file=inst.access.ca_file).status
    except NO_ANSWER:
        raise CheckEndedError from None


# -- The plugin, by the figures that it stores in Alerta


def check_plugin(inst: Installation) -> Iterator[Finding]:
    """Read the figures and report the problems that they show."""
    side = read_plugin_figures("", try_call(inst, *FIGURES))
    if side.why:
        raise CheckEndedError(skip(side.why))
    problems = [fail(what, advice) for what, advice in side.problems]
    if side.figures.get("dead_letters"):
        what = f"{side.figures['dead_letters']:.0f} requests were refused permanently"
        problems.append(warn(what, "the note on each alert has the reason"))
    pinged = ", and the heartbeat is pinged" if side.figures.get("heartbeat_withheld") == 0 else ""
    yield from problems or [ok(f"the plugin sends, {side.figures['waiting']:.0f} requests wait{pinged}")]
