"""Alerta as the executor sees it: where it is, what the key may do, whose it is, whether names can be lent.

All of it by requests that change nothing: they name an alert that cannot exist, a fresh UUID.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Iterator
from urllib.parse import urlsplit

from alerta_opsgenie.clients.alerta import AlertaClient, address_of
from alerta_opsgenie.clients.connection import AddressError, UnreachableError
from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.core.relay import Call
from alerta_opsgenie.doctor.finding import Finding, fail, ok, warn
from alerta_opsgenie.doctor.subject import Subject
from alerta_opsgenie.doctor.vendor_checks import judge_clock

PERSON = "alerta-opsgenie doctor"
"""On whose behalf the doctor asks."""

_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404
_WEBHOOK = "/webhooks/opsgenie"


@dataclass(frozen=True)
class Found:
    """Where Alerta answered: `links` are the addresses that its API lists. `trouble` says why nothing came."""

    url: str
    answer: Answer | None = None
    trouble: str = ""

    @property
    def is_alerta(self) -> bool:
        """Whether it is Alerta's API that answered."""
        return self.answer is not None and self.answer.status == _OK and bool(self.links)

    @property
    def links(self) -> list[str]:
        """The addresses that Alerta's API lists at its root."""
        body = self.answer.body if self.answer else None
        listed = body.get("links") if isinstance(body, dict) else None
        if not isinstance(listed, list):
            return []
        return [str(link.get("href")) for link in listed if isinstance(link, dict)]


def call(subject: Subject, url: str, request: Call) -> Answer:
    """Make one call with the executor's key. Raises `UnreachableError` and `AddressError`."""
    key = subject.alerta_key[0].reveal()
    client = AlertaClient(url, key, ca_file=subject.told.ca_file or None, environment=subject.request.environment)
    try:
        return client.send(request, time.monotonic() + subject.request.limit_seconds)
    finally:
        client.close()


def look_at(subject: Subject, url: str) -> Found:
    """Ask for the root of an API, which needs no key and lists what there is."""
    try:
        return Found(url, call(subject, url, Call("GET", "/", None, "")))
    except (UnreachableError, AddressError) as error:
        return Found(url, trouble=str(error))


def candidates(url: str) -> list[str]:
    """Give the URLs that may be meant by one at which Alerta does not answer, the likeliest first."""
    parts = urlsplit(url)
    path = address_of(url).path
    above = path.rpartition("/")[0]
    paths = dict.fromkeys([f"{path}/api", "/api", f"{above}/api", above, ""])
    other = "https" if parts.scheme == "http" else "http"
    same = [f"{parts.scheme}://{parts.netloc}{tried}" for tried in paths if tried != path]
    return [*same, *(f"{other}://{parts.netloc}{tried}" for tried in dict.fromkeys([path, "/api"]))]


def check_reachable(subject: Subject) -> Iterator[Finding]:
    """Look whether Alerta's API is where the executor is told; where not, try where it may be."""
    url = subject.told.url
    if not url:
        if subject.config is not None:
            mend = 'put "--alertaApiUrl" and https://alerta.example.com/api into globalArgs'
            yield fail("nothing tells the executor where Alerta is", mend)
        return
    try:
        address_of(url)
    except AddressError as error:
        yield fail(str(error), "correct --alertaApiUrl in globalArgs")
        return
    found = look_at(subject, url)
    if found.is_alerta and found.answer is not None:
        yield ok(f"Alerta answers at {address_of(url)}")
        yield from judge_clock("Alerta", found.answer.clock_ahead_seconds)
        return
    what = found.trouble or f"{address_of(url)} answers (HTTP {_status(found)}), but not as Alerta's API"
    yield fail(what, _suggest(subject, url))


def _status(found: Found) -> int:
    return found.answer.status if found.answer else 0


def _suggest(subject: Subject, url: str) -> str:
    unreachable = 0
    for tried in candidates(url):
        found = look_at(subject, tried)
        if found.is_alerta:
            return f'Alerta answers at {tried}: put that behind "--alertaApiUrl" in globalArgs'
        unreachable += bool(found.trouble)
        if unreachable > 2:  # noqa: PLR2004 - a host that does not answer makes each try last its whole limit
            break
    return "see that Alerta runs and that this host may reach it (firewall, proxy, CA), or correct --alertaApiUrl"


def _usable(subject: Subject) -> bool:
    """Whether asking on makes sense: other checks have told what is missing."""
    return bool(subject.told.url and subject.alerta_key[0]) and _address_is_good(subject.told.url)


def _address_is_good(url: str) -> bool:
    try:
        address_of(url)
    except AddressError:
        return False
    return True


def check_key(subject: Subject) -> Iterator[Finding]:
    """Look whether the key is valid, what it may do, and whose it is."""
    if not subject.told.url or not _address_is_good(subject.told.url):
        return
    if not subject.alerta_key[0]:
        yield fail(f"Alerta's key: {subject.alerta_key[1]}", "put the key into that file, alone on one line")
        return
    nobody = f"/alert/{uuid.uuid4()}"
    act = Call("PUT", f"{nobody}/action", {"action": "ack", "text": PERSON}, "")
    try:
        answer = call(subject, subject.told.url, act)
    except (UnreachableError, AddressError):
        return  # told by the check before
    yield from _judge_key(answer, subject)


def _judge_key(answer: Answer, subject: Subject) -> Iterator[Finding]:
    if answer.status == _UNAUTHORIZED:
        yield fail(
            f"Alerta refuses the key: {_words(answer)}", "make one in Alerta (Configuration, API Keys) and put it in"
        )
    elif answer.status == _FORBIDDEN:
        mend = "give the key the scope write:alerts in Alerta (it includes read:alerts)"
        yield fail(f"the key may not act on alerts: {_words(answer)}", mend)
    elif answer.status == _NOT_FOUND and _words(answer):
        yield ok(f"the key may read and change alerts{_whose(subject)}")
    else:
        what = f"Alerta answers HTTP {answer.status} to an action{_behind(_words(answer))}"
        yield fail(what, "see Alerta's log, and that the URL leads to its API")


def _behind(words: str) -> str:
    return f": {words}" if words else ""


def _words(answer: Answer) -> str:
    body = answer.body
    return " ".join(str(body.get("message") or "").split())[:200] if isinstance(body, dict) else ""


def _whose(subject: Subject) -> str:
    """Say whose the key is, where it may ask: one for alerts alone may not. Never by `/key/KEY`, which logs show."""
    key = subject.alerta_key[0].reveal()
    try:
        answer = call(subject, subject.told.url, Call("GET", "/keys?page-size=1000", None, ""))
    except (UnreachableError, AddressError):
        return ""
    listed = answer.body.get("keys") if answer.status == _OK and isinstance(answer.body, dict) else None
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and entry.get("key") == key:
            return f"; it is {entry.get('user')}'s"
    return "; whose it is, --send-test tells"


def check_attribution(subject: Subject) -> Iterator[Finding]:
    """Look whether our plugin is in Alerta and lends the key the names of those who act."""
    if not _usable(subject):
        return
    try:
        answer = call(subject, subject.told.url, Call("GET", f"/alert/{uuid.uuid4()}", None, PERSON))
    except (UnreachableError, AddressError):
        return
    if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
        return
    if answer.on_behalf_of == PERSON:
        yield ok("our plugin is in Alerta, and what people do is shown under their own names")
    elif any(link.endswith(_WEBHOOK) for link in look_at(subject, subject.told.url).links):
        mend = (
            "put the user of this key into OPSGENIE_BRIDGE_USER, and opsgenie into PLUGINS, in Alerta's configuration"
        )
        yield warn("our package is in Alerta, but lends this key no names: one user is shown for everybody", mend)
    else:
        mend = "pip install alerta-opsgenie into Alerta's environment, with opsgenie in PLUGINS, and restart Alerta"
        yield warn("our plugin is not in Alerta: actions show the key's user, and the person in the text alone", mend)
