"""One Alerta that actions are delivered to: its journal, its API keys, and whether it responds."""

import os
import threading
import time
from typing import List, NamedTuple, Optional, Set, Tuple

from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.state import journal_of
from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.core.delivery import UP
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason

MOST_ACCESSES = 4

# The key, CA or proxy may be wrong, so the next attempt uses another access. If Alerta itself fails, this does no harm.
_ACCESS_MAY_BE_WRONG = frozenset({
    Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.NOT_ALERTA, Reason.NETWORK, Reason.TIMEOUT,
})  # fmt: skip


def jitter() -> float:
    """Return a random number in [0, 1). Importing `random` would take 2 ms of an agent's start."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


class Access(NamedTuple):
    """What is needed to call one Alerta. `proxies` are the variables that name proxies."""

    url: str
    key: str
    ca_file: Optional[str] = None
    proxies: Tuple[Tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Show everything but the key."""
        return f"Access(url={self.url!r}, key=***)"

    def client(self) -> AlertaClient:
        """Return a new client. Raises AddressError."""
        return AlertaClient(self.url, self.key, ca_file=self.ca_file, environment=dict(self.proxies))


def access_of(options: Options) -> Access:
    """Return the access to Alerta that options name."""
    return Access(options.alerta_url, options.alerta_key, options.ca_file, options.proxies)


class Target:
    """The state of one Alerta. Thread-safe."""

    def __init__(self, state_directory: str, name: str) -> None:
        self.name = name
        self.journal = journal_of(state_directory, name)
        self.reach = UP
        self.problem = ""  # What a person has to do about this Alerta; empty where nothing
        self._mutex = threading.Lock()
        self._noticed_path = ""
        self._accesses: List[Access] = []
        self._refused: Set[Access] = set()

    def damage_notice(self) -> str:
        """Return a notice, once, if the journal was damaged and replaced."""
        path = self.journal.set_aside
        if path == self._noticed_path:
            return ""
        self._noticed_path = path
        return f"the journal was damaged and is now {path}; {self.journal.carried_over} actions were carried over"

    def add_access(self, access: Access) -> None:
        """Add the access of an action. A new one is tried first."""
        with self._mutex:
            if access in self._accesses:
                return
            self._accesses = [access, *self._accesses][:MOST_ACCESSES]
            self._refused &= set(self._accesses)
            self.reach = UP

    @property
    def access(self) -> Optional[Access]:
        """The access for the next attempt: the newest that works; where none works, each in turn."""
        with self._mutex:
            usable = [access for access in self._accesses if access not in self._refused]
            return next(iter(usable or self._accesses), None)

    def record(self, access: Access, outcome: Outcome) -> None:
        """Update the state from the outcome of an attempt."""
        with self._mutex:
            self.reach = self.reach.after(outcome, time.monotonic(), jitter())
            if outcome.reason is Reason.UNAUTHORIZED:
                self._refused.add(access)
            elif outcome.kind is not Kind.KEPT:
                self._refused.discard(access)
            if outcome.reason in _ACCESS_MAY_BE_WRONG and access in self._accesses:
                self._accesses.remove(access)
                self._accesses.append(access)
        if outcome.kind is not Kind.KEPT:
            self.problem = ""
        elif outcome.needs_person:
            self.problem = f"{outcome.detail}; {outcome.advice}"

    def may_try_now(self, busy_workers: int) -> bool:
        """Whether a new action may be tried now. While Alerta does not respond, one action may, to test it."""
        with self._mutex:
            if not self.reach.rests(time.monotonic()):
                return True
            if self.reach.is_asked or busy_workers:
                return False
            self.reach = self.reach._replace(again_at=0.0)
            return True

    def unavailable_outcome(self) -> Outcome:
        """Return the outcome of an action that is not tried, because the last attempts all failed."""
        return Outcome(Kind.KEPT, Reason.UNAVAILABLE, self.problem or "Alerta has not answered the last attempts")
