"""Answers in the vendor's form (https://docs.opsgenie.com/docs/response), and what is recorded of a request."""

from __future__ import annotations

import json
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from aiohttp import web

THROTTLED_TEXT = "You are making too many requests! To avoid errors, we recommend you limit requests."
TOOK_SECONDS = 0.001


@dataclass
class Noted:
    """What a handler notes for the record of its request: whose key it was, and the body as JSON."""

    integration_id: str = ""
    body: Any = None


NOTED: ContextVar[Noted] = ContextVar("noted")


def answer(
    status: int, content: dict[str, Any], *, request_id: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    """Return `content` with `took`, `requestId` and the headers that each answer has."""
    request_id = request_id or str(uuid.uuid4())
    body = {**content, "took": TOOK_SECONDS, "requestId": request_id}
    fixed = {"X-Request-Id": request_id, "X-Response-Time": str(TOOK_SECONDS), "X-RateLimit-State": "OK"}
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", headers={**fixed, **(headers or {})}
    )


def error(status: int, message: str, *, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    """Return an error with its message and further fields (`errors` of a 422, `code` of a 403)."""
    return answer(status, {"message": message, **more}, headers=headers)


def throttled(period_seconds: int, *, retry_after: bool) -> web.Response:
    """Return the 429 of a bucket of `period_seconds`."""
    headers = {
        "X-RateLimit-State": "THROTTLED",
        "X-RateLimit-Reason": "ACCOUNT",
        "X-RateLimit-Period-In-Sec": str(period_seconds),
    }
    if retry_after:
        headers["Retry-After"] = str(period_seconds)
    return error(429, THROTTLED_TEXT, headers=headers)
