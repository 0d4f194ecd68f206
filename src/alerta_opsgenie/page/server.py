"""A small HTTP server: a thread for each request, and a function that returns the response."""

from __future__ import annotations

import logging
import socket
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Callable, Mapping, NamedTuple
from urllib.parse import parse_qsl

OK, SEE_OTHER, BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, WRONG_METHOD = 200, 303, 400, 401, 403, 404, 405
_TOO_LARGE, _WRONG_TYPE, _FAILED = 413, 415, 500

_FORM = "application/x-www-form-urlencoded"
_REQUEST_SECONDS = 10.0
_MOST_REQUESTS = 16
_MOST_FORM_BYTES = 16_384
_MOST_FIELDS = 20
_log = logging.getLogger(__name__)


class Request(NamedTuple):
    """A request. `fields` are those of the query, or of the form where `method` is POST."""

    method: str
    path: str
    fields: Mapping[str, str]
    headers: Message


class Response(NamedTuple):
    """A response."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = {}


def plain(status: int, why: str) -> Response:
    """Return a response with one line of text."""
    return Response(status, f"{why}\n".encode())


class Server(ThreadingTCPServer):
    """Serves `answer` at `host` and `port` (0: a free one); the constructor listens, and raises `OSError`."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, host: str, port: int, answer: Callable[[Request], Response]) -> None:
        self.host = host
        self.answer = answer
        self._slots = threading.BoundedSemaphore(_MOST_REQUESTS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        self.port = int(self.server_address[1])

    @property
    def url(self) -> str:
        """The server's URL."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.1,), name="web", daemon=True).start()

    def stop(self) -> None:
        """Stop serving and close the socket. Only after `start`: without it this blocks."""
        self.shutdown()
        self.server_close()

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Serve a request, once one of the slots is free."""
        with self._slots:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: the client has closed the connection."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _REQUEST_SECONDS
    server_version = "alerta-opsgenie"
    sys_version = ""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self._answer("GET", path, query)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > len(str(_MOST_FORM_BYTES)) or int(length) > _MOST_FORM_BYTES:
            self._send(plain(_TOO_LARGE, f"a form needs a length of at most {_MOST_FORM_BYTES} bytes"))
        elif self.headers.get_content_type() != _FORM:
            self._send(plain(_WRONG_TYPE, f"a form must have the type {_FORM}"))
        else:
            self._answer("POST", self.path.partition("?")[0], self.rfile.read(int(length)).decode("ascii", "replace"))

    def _answer(self, method: str, path: str, text: str) -> None:
        try:
            fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
        except ValueError:
            self._send(plain(BAD_REQUEST, f"at most {_MOST_FIELDS} fields are allowed"))
            return
        try:
            response = self.server.answer(Request(method, path, fields, self.headers))
        except Exception as error:  # noqa: BLE001 - a fault in one response must not stop the server
            _log.exception("the page %r cannot be made", path[:100])
            response = plain(_FAILED, f"this program fails: {type(error).__name__}; its log has more")
        self._send(response)

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        headers = {"Content-Type": response.content_type, "Content-Length": str(len(response.body))}
        for name, value in {**headers, **response.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, *_args: object) -> None:
        """Log nothing: the page sends a request every two seconds."""
