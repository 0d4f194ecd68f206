"""The journal: actions and their order on disk, so that nothing that was accepted is lost.

- What `append` returned for is on the disk: neither a killed process nor a power cut takes it away.
- A key is accepted once: waiting, in flight, done or dead, an `append` of the same key changes nothing.
- Of one alert one action is in flight at a time, in order; alerts do not hold up one another.
- A damaged file is set aside under another name, never deleted; what can be read of it is carried over.

Any number of processes and threads may append. Only the process that holds a lock (`try_lock`) may claim.
"""

from alerta_opsgenie.journal.errors import JournalError
from alerta_opsgenie.journal.journal import Journal
from alerta_opsgenie.journal.lock import Lock, try_lock
from alerta_opsgenie.journal.rows import Action, Counts, New

__all__ = ["Action", "Counts", "Journal", "JournalError", "Lock", "New", "try_lock"]
