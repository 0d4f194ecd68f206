"""What the connector shows of itself on loopback: `/metrics`, `/healthz`, `/readyz`, and the page."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Callable

from alerta_opsgenie.page.server import NOT_FOUND, OK, WRONG_METHOD, Request, Response, Server

_UNAVAILABLE = 503
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Health:
    """How it goes. `stuck` parts stand still: the process should be started anew. `troubles` are for a person.

    `ready`: messages are being taken, by the `transport` `sqs` or `channel`.
    """

    ready: bool
    stuck: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    status: str = ""
    transport: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


def no_page(_request: Request) -> Response:
    """Answer where there is no page."""
    return Response(NOT_FOUND, b"there are /metrics, /healthz and /readyz\n")


class WebServer(Server):
    """Serves what `render` and `health` give; `page` answers to every other path."""

    def __init__(
        self, host: str, port: int, render: Callable[[], bytes], health: Callable[[], Health],
        page: Callable[[Request], Response] = no_page,
    ) -> None:  # fmt: skip
        super().__init__(host, port, self._answer)
        self._render = render
        self._health = health
        self._page = page

    def _answer(self, request: Request) -> Response:
        if request.path not in ("/metrics", "/healthz", "/readyz"):
            return self._page(request)
        if request.method != "GET":
            return Response(WRONG_METHOD, b"it can only be read\n")
        if request.path == "/metrics":
            return Response(OK, self._render(), _METRICS_TYPE)
        health = self._health()
        is_well = not health.stuck and (health.ready or request.path == "/healthz")
        return Response(OK if is_well else _UNAVAILABLE, _show(health, is_well=is_well), "application/json")


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
