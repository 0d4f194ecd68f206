"""Blocking HTTP with a deadline for the whole request.

It uses `http.client` (docs/decisions/0001-standard-library.md). The timeout of each read is the time that is left: a
fixed timeout per read never ends if a server sends single bytes. Redirects are not followed: a key is for one host.
"""

import functools
import http.client
import io
import json
import os
import select
import socket
import time
from email.utils import parsedate_to_datetime
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence
from urllib.parse import urlsplit

LARGEST_RESPONSE_BYTES = 4 * 1024 * 1024
"""An alert with its whole history (100 entries by default) is about 50 kB; a larger response is an error."""

LONGEST_IDLE_SECONDS = 1.0
"""gunicorn closes an idle connection after 2 s (its `keepalive`), the shortest time of the usual servers."""

_STANDARD_PORTS = {"http": 80, "https": 443}


class UnreachableError(Exception):
    """No response came, because of a timeout (`timed_out`) or an error. The text has the cause and no secret."""

    def __init__(self, text: str, *, timed_out: bool) -> None:
        super().__init__(text)
        self.timed_out = timed_out


class AddressError(ValueError):
    """A URL cannot be used. The text has the cause and an example."""


class Address(NamedTuple):
    """The URL of an API. `path` is its base path without a slash at the end."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.where}{self.path}"

    @property
    def where(self) -> str:
        """Host and port, as in CONNECT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """Host and port, as in a `Host` header: without the default port of the scheme, and in ASCII."""
        where = self.where if self.host.isascii() else f"{self.host.encode('idna').decode('ascii')}:{self.port}"
        return where[: -len(f":{self.port}")] if self.port == _STANDARD_PORTS[self.scheme] else where


class Proxy(NamedTuple):
    """A proxy; `login` is the value of `Proxy-Authorization`, empty if not needed."""

    host: str
    port: int
    login: str = ""

    def __repr__(self) -> str:
        """Hide the login."""
        return f"Proxy({self.host!r}, {self.port})"


class Response(NamedTuple):
    """A response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is no JSON."""
        try:
            return json.loads(self.body.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None


def read_address(url: str, whose: str, example: str, endings: Sequence[str] = ()) -> Address:
    """Read a base URL, without the `endings`. Raises `AddressError`, whose text contains `whose` and `example`."""
    text = url.strip()
    try:
        parts = urlsplit(text)
        is_plain = parts.path.isascii() and all(" " < letter != "\x7f" for letter in text)
        is_usable = parts.scheme in _STANDARD_PORTS and bool(parts.hostname) and parts.port != 0 and is_plain
    except ValueError:
        is_usable = False
    if not is_usable or "@" in parts.netloc or parts.query or parts.fragment:
        raise AddressError(
            f"the URL of {whose} cannot be used: expected something like {example}, without credentials, query and"
            " fragment; other characters must be percent-encoded"
        )
    path = parts.path.rstrip("/")
    for ending in endings:
        if path.endswith(ending):
            path = path[: -len(ending)].rstrip("/")
    return Address(parts.scheme, parts.hostname or "", parts.port or _STANDARD_PORTS[parts.scheme], path)


class Connection:
    """A keep-alive connection to one address. Not thread-safe.

    `ca_file` has the certificates of a private CA (PEM). `environment` has the proxies; default: `os.environ`.
    """

    def __init__(
        self, address: Address, *, ca_file: Optional[str] = None, environment: Optional[Mapping[str, str]] = None
    ) -> None:
        self.address = address
        self._ca_file = ca_file
        self._proxy = proxy_for(address, os.environ if environment is None else environment)
        self._http: Optional[http.client.HTTPConnection] = None
        self._socket: _DeadlineSocket
        self._used_at = 0.0

    def exchange(
        self, method: str, path: str, body: Optional[bytes], headers: Mapping[str, str], deadline: float
    ) -> Response:
        """Make one request until `deadline` (of `time.monotonic`). Raises `UnreachableError`.

        No request is sent twice: the server may have processed it. A connection that was idle, or that has unread input
        (its end, or the rest of an earlier response), is closed and opened again first.
        """
        if self._http is not None:
            idle_seconds = time.monotonic() - self._used_at
            if idle_seconds > LONGEST_IDLE_SECONDS or self._socket.has_something():
                self.close()
        try:
            connection = self._http or self._open(deadline)
            self._socket.deadline = deadline
            connection.request(method, self._target(path), body, {**self._own_headers(), **headers})
            response = connection.getresponse()
            if self._socket.ended:  # http.client accepts headers that were cut off
                raise http.client.IncompleteRead(b"")
            raw = _read(response)
        except (TimeoutError, socket.timeout):
            self.close()
            raise UnreachableError(f"{self.address} did not answer in time", timed_out=True) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise UnreachableError(f"{self.address}: {_describe(error)}", timed_out=False) from None
        self._used_at = time.monotonic()
        # After an interim response (such as 103) the final one follows. The next request must not read it.
        if response.will_close or response.status < http.client.OK:
            self.close()
        return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, raw)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._http is not None:
            self._http.close()
            self._http = None
            self._socket.plain.close()

    def _own_headers(self) -> Dict[str, str]:
        own = {"Host": self.address.authority}
        if self._proxy and self._proxy.login and self.address.scheme == "http":
            own["Proxy-Authorization"] = self._proxy.login
        return own

    def _target(self, path: str) -> str:
        if self._proxy and self.address.scheme == "http":
            return f"{self.address}{path}"
        return self.address.path + path

    def _open(self, deadline: float) -> http.client.HTTPConnection:
        host, port = self._proxy[:2] if self._proxy else (self.address.host, self.address.port)
        plain = _connect(host, port, deadline)
        self._socket = _DeadlineSocket(plain, deadline)
        self._http = connection = http.client.HTTPConnection(host, port)
        connection.sock = self._socket
        if self.address.scheme == "https":
            if self._proxy:
                self._tunnel(deadline)
            self._socket = _DeadlineSocket(self._secure(plain, deadline), deadline)
            connection.sock = self._socket
        return connection

    def _tunnel(self, deadline: float) -> None:
        where = self.address.where
        through = _DeadlineSocket(self._socket.plain, deadline)
        login = f"Proxy-Authorization: {self._proxy.login}\r\n" if self._proxy and self._proxy.login else ""
        through.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{login}\r\n".encode("ascii"))
        response = http.client.HTTPResponse(through, method="CONNECT")  # type: ignore[arg-type]
        response.begin()
        if response.status != http.client.OK:
            raise OSError(f"the proxy answered {response.status} to CONNECT")

    def _secure(self, plain: socket.socket, deadline: float) -> socket.socket:
        import ssl  # noqa: PLC0415 - 10 ms that are not needed for http://

        try:
            context = ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ssl.SSLError):
            raise OSError(f"the CA file {self._ca_file} cannot be read as PEM certificates") from None
        plain.settimeout(_left(deadline))
        return context.wrap_socket(plain, server_hostname=self.address.host)


def proxy_for(address: Address, environment: Mapping[str, str]) -> Optional[Proxy]:
    """Return the proxy for the address from the environment, by the rules of curl and the Go connectors."""
    name = f"{address.scheme}_proxy"
    # HTTP_PROXY in capitals is ignored: in a CGI process a client's header could set it (CVE-2016-5385).
    url = environment.get(name) or (environment.get(name.upper()) if address.scheme == "https" else None)
    if not url or _proxy_not_wanted(address, environment.get("no_proxy") or environment.get("NO_PROXY") or ""):
        return None
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("", "http") or not parts.hostname:
        expected = "http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"
        raise AddressError(f"the proxy in {name} cannot be used: expected {expected}")
    return Proxy(parts.hostname, port or 80, _basic(parts.username, parts.password) if parts.username else "")


def _basic(user: str, password: Optional[str]) -> str:
    import base64  # noqa: PLC0415 - few proxies need it
    from urllib.parse import unquote  # noqa: PLC0415

    both = f"{unquote(user)}:{unquote(password or '')}".encode("utf-8", "surrogateescape")
    return "Basic " + base64.b64encode(both).decode("ascii")


def _proxy_not_wanted(address: Address, no_proxy: str) -> bool:
    host = address.host.lower()
    for entry in no_proxy.lower().replace(",", " ").split():
        name, _, port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
        if port and port != str(address.port):
            continue
        name = name.strip("[]").lstrip(".")
        if name in ("*", host) or host.endswith("." + name):
            return True
    return False


class _DeadlineSocket:
    """The part of a socket that `http.client` uses, with one deadline for all reads and writes."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self.plain = plain
        self.deadline = deadline
        self.ended = False

    def sendall(self, data: bytes) -> None:
        self.plain.settimeout(_left(self.deadline))
        self.plain.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self))

    def has_something(self) -> bool:
        watch = select.poll()
        watch.register(self.plain, select.POLLIN)
        return bool(watch.poll(0))

    def close(self) -> None:
        """Do nothing: `http.client` closes before it has read a response that ends the connection."""


class _DeadlineReader(io.RawIOBase):
    def __init__(self, of: _DeadlineSocket) -> None:
        self._of = of

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._of.plain.settimeout(_left(self._of.deadline))
        count = self._of.plain.recv_into(buffer)
        self._of.ended = count == 0
        return count


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    last: OSError = OSError("the name has no address")
    addresses = _resolve(host, port, deadline)
    for tried, (family, kind, protocol, _, where) in enumerate(addresses):
        plain = socket.socket(family, kind, protocol)
        try:
            # Each address gets a part of the time: a route that drops packets (often IPv6) must not use all of it.
            plain.settimeout(_left(deadline) / (len(addresses) - tried))
            plain.connect(where)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            plain.close()
            last = error
        else:
            return plain
    raise last


def _resolve(host: str, port: int, deadline: float) -> List[Any]:
    """Look the name up in a separate thread: the system's resolver has no timeout."""
    import threading  # noqa: PLC0415 - not needed for an address in digits

    found: List[Any] = []
    failed: List[OSError] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error if isinstance(error, OSError) else OSError("the name is no valid host name"))

    if host.replace(".", "").isdigit() or ":" in host:
        look_up()
    else:
        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(_left(deadline))
        if thread.is_alive():
            raise TimeoutError
    if failed:
        raise failed[0]
    return found


def _read(response: http.client.HTTPResponse) -> bytes:
    raw = response.read(LARGEST_RESPONSE_BYTES + 1)
    if len(raw) > LARGEST_RESPONSE_BYTES:
        raise OSError(f"the answer is larger than {LARGEST_RESPONSE_BYTES} bytes")
    if response.length:
        raise http.client.IncompleteRead(raw, response.length)
    return raw


def _describe(error: Exception) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed before an answer came"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was closed in the middle of the answer"
    if isinstance(error, http.client.HTTPException):
        return f"the answer is not HTTP ({type(error).__name__})"
    verify = getattr(error, "verify_message", "")
    if verify:
        return f"its certificate is not trusted: {verify}"
    if not isinstance(error, OSError):
        return "the request has characters that HTTP does not allow"  # the error shows the key
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200]


def retry_after_seconds(text: Optional[str]) -> Optional[float]:
    """Read `Retry-After`: seconds, or a date (RFC 9110, 10.2.3); None if it is absent or invalid."""
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004
        return float(text)
    ahead = _date_seconds(text)
    return None if ahead is None else max(0.0, ahead - time.time())


def clock_ahead_seconds(date: Optional[str]) -> float:
    """Return how far a server's clock is ahead of ours, by its `Date` header; 0 without one."""
    instant = _date_seconds(date) if date else None
    return 0.0 if instant is None else instant - time.time()


@functools.lru_cache(maxsize=8)
def _date_seconds(text: str) -> Optional[float]:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
