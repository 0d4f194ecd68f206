"""Durable store-and-forward on SQLite: what cannot be delivered now is kept, in order, until it is.

The guarantees, each with a test of its own:

- `keep` returns after the entry is on the disk (fsync'ed): neither a killed process nor a power cut takes it away.
- A key is taken once: waiting, dead or delivered, `keep` of the same key changes nothing.
- Within a lane, entries go out one at a time and in order; lanes do not hold up one another.
- What was claimed and not finished (a killed process) is free again when its lease runs out: at least once.
- A damaged file is set aside under another name, never deleted; what can still be read of it is carried over.

Any number of processes and threads may use one directory at once. What a body means is the caller's business.
"""

from alerta_opsgenie.journal.entry import Counts, Entry, State
from alerta_opsgenie.journal.lock import Lock, try_lock
from alerta_opsgenie.journal.place import SpoolUnavailable
from alerta_opsgenie.journal.store import Spool

__all__ = ["Counts", "Entry", "Lock", "Spool", "SpoolUnavailable", "State", "try_lock"]
