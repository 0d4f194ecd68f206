"""One Alerta that actions are delivered to: its journal, the keys that open it, and whether it answers."""

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

# A wrong key, CA or proxy: another access may do better. Where it is Alerta itself, the turns do no harm.
_MAY_BE_THE_ACCESS = frozenset({
    Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.NOT_ALERTA, Reason.NETWORK, Reason.TIMEOUT,
})  # fmt: skip


def jitter() -> float:
    """Give a random number in [0, 1); the module `random` costs an agent's start 2 ms."""
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
        """Make a client. Raises AddressError."""
        return AlertaClient(self.url, self.key, ca_file=self.ca_file, environment=dict(self.proxies))


def access_of(options: Options) -> Access:
    """Give what options say about how to call Alerta."""
    return Access(options.alerta_url, options.alerta_key, options.ca_file, options.proxies)


class Target:
    """What is known of one Alerta. Any thread may call it."""

    def __init__(self, state_directory: str, name: str) -> None:
        self.name = name
        self.journal = journal_of(state_directory, name)
        self.reach = UP
        self.problem = ""  # What a person has to do about this Alerta; empty where nothing
        self._mutex = threading.Lock()
        self._said = ""
        self._accesses: List[Access] = []
        self._refused: Set[Access] = set()

    def news(self) -> str:
        """Say once that the journal was damaged and set aside, if it was."""
        path, said = self.journal.set_aside, self._said
        self._said = path
        if path == said:
            return ""
        return f"the journal was damaged and is now {path}; {self.journal.carried_over} actions were carried over"

    def use(self, access: Access) -> None:
        """Take an access that an action came with: a new one is tried first."""
        with self._mutex:
            if access in self._accesses:
                return
            self._accesses = [access, *self._accesses][:MOST_ACCESSES]
            self._refused &= set(self._accesses)
            self.reach = UP

    @property
    def access(self) -> Optional[Access]:
        """The access to be tried next: the newest that works; where none does, each in turn."""
        with self._mutex:
            usable = [access for access in self._accesses if access not in self._refused]
            return next(iter(usable or self._accesses), None)

    def note(self, access: Access, outcome: Outcome) -> None:
        """Learn from the outcome of an attempt."""
        with self._mutex:
            self.reach = self.reach.after(outcome, time.monotonic(), jitter())
            if outcome.reason is Reason.UNAUTHORIZED:
                self._refused.add(access)
            elif outcome.kind is not Kind.KEPT:
                self._refused.discard(access)
            if outcome.reason in _MAY_BE_THE_ACCESS and access in self._accesses:
                self._accesses.remove(access)
                self._accesses.append(access)
        if outcome.kind is not Kind.KEPT:
            self.problem = ""
        elif outcome.needs_person:
            self.problem = f"{outcome.detail}; {outcome.advice}"

    def may_hurry(self, at_work: int) -> bool:
        """Whether a new action may be tried soon: while Alerta does not answer one may, to see whether it is back."""
        with self._mutex:
            if not self.reach.rests(time.monotonic()):
                return True
            if self.reach.is_asked or at_work:
                return False
            self.reach = self.reach._replace(again_at=0.0)
            return True

    def unreached(self) -> Outcome:
        """Give the outcome of an action that is not tried, because the last attempts all failed."""
        return Outcome(Kind.KEPT, Reason.UNAVAILABLE, self.problem or "Alerta has not answered the last attempts")
