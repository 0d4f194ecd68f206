"""The session to the vendor's cloud, which credentials and results share.

aiohttp's own `trust_env` looks for a proxy, and for a password in ~/.netrc, in a thread and anew for each request; an
entry there for the vendor's host, or a default one, would make every request fail beside our own Authorization.
"""

from __future__ import annotations

import re
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from alerta_opsgenie.clients.connection import AddressError

_LARGEST_HEADER_BYTES = 64 * 1024
_LONGEST_WORDS = 200
_LOGIN = re.compile(r"(?<=://)[^/\s]*@")


def find_proxy(url: str) -> URL | None:
    """Find the proxy that the environment names for `url`; a user and a password may stand in it.

    Raises `AddressError`, which shows neither.
    """
    wanted = URL(url)
    text = getproxies().get(wanted.scheme)
    if not text or proxy_bypass(wanted.host or ""):
        return None
    try:
        proxy = URL(text if "//" in text else f"//{text}")
        proxy = proxy if proxy.scheme else proxy.with_scheme("http")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in ("http", "https") or not proxy.host:
        expected = "http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"
        raise AddressError(f"the proxy in {wanted.scheme}_proxy cannot be used: expected {expected}")
    return proxy


def words_of(error: Exception) -> str:
    """Say on one line what went wrong; aiohttp and botocore would show the password in a proxy's address."""
    text = str(getattr(error, "strerror", None) or error)
    return _LOGIN.sub("***@", " ".join(text.split()))[:_LONGEST_WORDS]


def open_session(proxy: URL | None) -> aiohttp.ClientSession:
    """Make the session; on the event loop alone."""
    return aiohttp.ClientSession(
        # The header Token holds the credentials of every queue.
        max_field_size=_LARGEST_HEADER_BYTES,
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=proxy,
    )
