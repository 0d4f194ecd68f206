"""The journal: what is to be delivered, in order, on disk before it is tried; and what has been done.

The guarantees, each with a test of its own:

- `append` returns after the actions are on the disk (fsync'ed): neither a killed process nor a power cut loses them.
- A key is taken once: waiting, in flight, done or dead, the same key again changes nothing.
- Of one alert one action at a time is in flight, the oldest first; alerts do not hold up one another.
- What was in flight when its process was killed waits again (`recover`), and is known to have been tried.
- A damaged file is set aside under another name, never deleted; what can be read of it is carried over.

Any number of processes and threads of one user may append and read. Only the holder of a lock (`try_lock`) may claim
and end actions. What a body means is the caller's business: the deliverer's are messages, the plugin's are requests.
"""

from alerta_opsgenie.journal.journal import Journal
from alerta_opsgenie.journal.lock import Lock, try_lock
from alerta_opsgenie.journal.place import JournalError
from alerta_opsgenie.journal.rows import Action, Counts, Memory, New

__all__ = ["Action", "Counts", "Journal", "JournalError", "Lock", "Memory", "New", "try_lock"]
