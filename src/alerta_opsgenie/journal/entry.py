"""What lies in a spool, as its callers see it."""

from dataclasses import dataclass, field
from typing import Literal, Optional

State = Literal["waiting", "dead"]


@dataclass(frozen=True)
class Entry:
    """One thing to be delivered, as it was when it was read.

    Instants are seconds since the epoch by the caller's clock. An `Entry` that `claim` gave is also the proof of the
    lease, for `deliver`, `postpone`, `bury`, `renew` and `release`. One that was read otherwise while it was leased
    is as good a proof: only for whoever knows that the claimer is gone, such as the next holder of a role.
    """

    id: int
    """Given by the spool, never used twice in one file."""
    key: str
    """What makes it the same thing when it comes again."""
    lane: str
    """Entries of one lane are delivered one at a time, in order."""
    order_ns: int
    """Place in the lane; equal ones go by `id`."""
    body: str = field(repr=False)
    """The caller's own text; not in the repr, since it may be long or private."""
    kind: str
    """A label for lists, such as the action's name."""
    state: State
    attempts: int
    """Deliveries that failed, counting those before it was kept."""
    kept_at: float
    due_at: float
    """Not to be tried before this instant."""
    reason: str
    """Why it waits or is dead, as a short label."""
    detail: str
    """The same in words."""
    attempted_at: Optional[float]
    """When the first delivery began; None: never tried. On an entry that `claim` gave: without that claim itself."""
    since: float = 0.0
    """When it came into its present state."""
    owner: str = ""
    """Who claimed it last, as `claim` was told."""
    leased_until: Optional[float] = None
    """End of the lease; None: nobody holds it."""
    claims: int = 0
    """How often it was claimed; tells one lease from the next."""


@dataclass(frozen=True)
class Counts:
    """What lies in a spool. Ages are counted from the keeping, in seconds, and are 0 where nothing lies."""

    waiting: int
    dead: int
    lanes: int
    """Lanes in which something waits."""
    oldest_waiting_seconds: float
    oldest_dead_seconds: float
