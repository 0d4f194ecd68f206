"""The journal: actions and their order on disk, so that no accepted action is lost.

- When `append` returns, the actions are on disk: a killed process or a power cut does not lose them.
- A key is accepted once: another `append` of the same key changes nothing, whatever the state of its action.
- Each alert has at most one action in flight, in order. Alerts do not wait for one another.
- A damaged file is renamed, never deleted; its readable rows are copied to a new file.

Any number of processes and threads may append. Only the process that holds the lock (`try_lock`) may claim.
"""

from alerta_opsgenie.journal.errors import JournalError
from alerta_opsgenie.journal.journal import Journal
from alerta_opsgenie.journal.lock import Lock, try_lock
from alerta_opsgenie.journal.rows import Action, Counts, New

__all__ = ["Action", "Counts", "Journal", "JournalError", "Lock", "New", "try_lock"]
