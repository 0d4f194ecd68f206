"""What the connector shows of itself on loopback: `/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Callable

_OK, _NOT_FOUND, _UNAVAILABLE = 200, 404, 503
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_REQUEST_SECONDS = 10.0
_MOST_REQUESTS = 16


@dataclass(frozen=True)
class Health:
    """How it goes. `stuck` parts stand still: the process should be started anew. `troubles` are for a person.

    `ready` says that messages are being taken, `transport` by which way: `sqs` or `channel`, empty at the start.
    """

    ready: bool
    stuck: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    status: str = ""
    transport: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


class WebServer:
    """Serves what `render` and `health` give, at `host` and `port` (0 takes a free one, see `port` after `start`)."""

    def __init__(self, host: str, port: int, render: Callable[[], bytes], health: Callable[[], Health]) -> None:
        self.host, self.port = host, port
        self.render = render
        self.health = health
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen. Raises `OSError`."""
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="web", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, of: WebServer) -> None:
        self.of = of
        self.places = threading.BoundedSemaphore(_MOST_REQUESTS)
        self.address_family = socket.AF_INET6 if ":" in of.host else socket.AF_INET
        super().__init__((of.host, of.port), _Handler)

    def process_request_thread(self, request: object, client_address: object) -> None:
        with self.places:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: whoever asked has gone."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_SECONDS
    server_version = "alerta-opsgenie"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(_OK, _METRICS_TYPE, self.server.of.render())
        elif path in ("/healthz", "/readyz"):
            health = self.server.of.health()
            is_well = not health.stuck and (health.ready or path == "/healthz")
            self._answer(_OK if is_well else _UNAVAILABLE, "application/json", _show(health, is_well=is_well))
        else:
            self._answer(_NOT_FOUND, "text/plain", b"there are /metrics, /healthz and /readyz\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Write nothing: it is asked every few seconds."""


def _show(health: Health, *, is_well: bool) -> bytes:
    body = {
        "ok": is_well,
        "status": health.status,
        "ready": health.ready,
        "transport": health.transport,
        "stuck": list(health.stuck),
        "troubles": list(health.troubles),
        **health.numbers,
    }
    return json.dumps(body).encode("ascii")
