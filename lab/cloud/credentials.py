"""Queue credentials as the credentials endpoints give them out: they expire, and are replaced before that."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from lab.cloud.integrations import Integration, Queue
from lab.cloud.model import JSON, MILLISECONDS_PER_SECOND, NS_PER_MS


@dataclass(frozen=True)
class Grant:
    """A set of temporary AWS credentials; `expires_at_ms` is in milliseconds since 1970."""

    access_key_id: str
    expires_at_ms: int
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


class Credentials:
    """Gives out credentials for queues, and says of those in a request whether they are good.

    All times are in seconds. A grant is replaced when less than `renew_before_seconds` of it are left.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.lifetime_seconds = 3600.0
        self.renew_before_seconds = 300.0
        self.success_refresh_seconds = 60
        self.error_refresh_seconds = 60
        self._now_ns = now_ns
        self._current: dict[tuple[str, str], Grant] = {}
        self._expiries: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()
        self.own = self._grant(10 * 365 * 86400.0)

    def describe(self, integration: Integration, held: dict[str, int], *, always: bool) -> JSON:
        """Return the content of the `Token` header for `integration`.

        `held` has the expiry (ms) of what the connector holds by region; what is good of it is not sent again,
        unless `always`.
        """
        properties = []
        for queue in integration.queues:
            grant = self._current_grant(integration, queue)
            fresh = not always and held.get(queue.region) == grant.expires_at_ms
            role = {} if fresh else _role(grant)
            properties.append({"assumeRoleResult": role, "queueConfiguration": self._conf(queue)})
        return {"ownerId": integration.owner_id, "queueProperties": properties}

    def expire(self) -> None:
        """Let everything that was given out expire now."""
        with self._lock:
            self._current.clear()
            own = self.own.access_key_id
            self._expiries = {key: (token, end if key == own else 0) for key, (token, end) in self._expiries.items()}

    def check(self, access_key_id: str, session_token: str) -> str | None:
        """Return None for good credentials, else AWS's error code."""
        with self._lock:
            token, expires_at_ms = self._expiries.get(access_key_id, ("", 0))
        if not token or token != session_token:
            return "InvalidClientTokenId"
        return "ExpiredToken" if expires_at_ms <= self._now_ns() // NS_PER_MS else None

    def _current_grant(self, integration: Integration, queue: Queue) -> Grant:
        key = (integration.integration_id, queue.url)
        renew_at_ms = self._now_ns() // NS_PER_MS + int(self.renew_before_seconds * MILLISECONDS_PER_SECOND)
        with self._lock:
            grant = self._current.get(key)
        if grant is None or grant.expires_at_ms <= renew_at_ms:
            grant = self._grant(self.lifetime_seconds)
            with self._lock:
                self._current[key] = grant
        return grant

    def _grant(self, lifetime_seconds: float) -> Grant:
        end_ms = self._now_ns() // NS_PER_MS + int(lifetime_seconds * MILLISECONDS_PER_SECOND)
        grant = Grant(f"ASIA{uuid.uuid4().hex[:16].upper()}", end_ms, uuid.uuid4().hex, uuid.uuid4().hex * 4)
        with self._lock:
            self._expiries[grant.access_key_id] = (grant.session_token, end_ms)
        return grant

    def _conf(self, queue: Queue) -> JSON:
        return {
            "credentialSuccessRefreshPeriod": self.success_refresh_seconds,
            "credentialErrorRefreshPeriod": self.error_refresh_seconds,
            "region": queue.region,
            "queueUrl": queue.url,
        }


def _role(grant: Grant) -> JSON:
    return {
        "credentials": {
            "accessKeyId": grant.access_key_id,
            "secretAccessKey": grant.secret_access_key,
            "sessionToken": grant.session_token,
            "expireTimeMillis": grant.expires_at_ms,
        },
        "assumeRole": {"id": "edge", "arn": "arn:aws:sts::000000000000:assumed-role/edge/edge"},
    }
