"""How attempts end in the journal, where writing may fail: what could not be committed is committed later."""

import contextlib
import os
import threading
import time
from typing import Callable, List, Mapping, NamedTuple, Optional

from alerta_opsgenie.core import delivery
from alerta_opsgenie.core.outcome import REASONS, Kind, Outcome, Reason
from alerta_opsgenie.journal import Action, Journal, JournalError

DONE_BEFORE = Outcome(Kind.ALREADY, Reason.REDELIVERED, "this very action is done")

_PROBE_BYTES = 16_384


class End(NamedTuple):
    """What an attempt came to. `pause_seconds` is for an outcome that keeps the action."""

    action: Action
    outcome: Outcome
    wrote: Mapping[str, int]
    pause_seconds: float


class Ends:
    """Commits ends to one journal. `trouble` says why that cannot be written, and is empty once it can again."""

    def __init__(self, journal: Journal, state_directory: str, trouble: str = "") -> None:
        self.trouble = trouble
        self.unsaved: List[End] = []
        self._journal = journal
        self._path = state_directory
        self._mutex = threading.Lock()

    def save(self, end: End, *, claim_next: bool) -> Optional[Action]:
        """Commit an end, now or later. Gives the next action of the alert, in flight, where that is wanted."""
        following: List[Optional[Action]] = [None]
        if not self.attempt(lambda: following.append(_commit(self._journal, end, claim_next=claim_next))):
            with self._mutex:
                self.unsaved.append(end)
        return following[-1]

    def save_again(self) -> None:
        """Commit what could not be committed before; see whether the disk takes something again."""
        with self._mutex:
            unsaved, self.unsaved = self.unsaved, []
        for end in unsaved:
            self.save(end._replace(pause_seconds=0.0), claim_next=False)
        if self.trouble and not unsaved:
            self._probe()

    def attempt(self, work: Callable[[], object]) -> bool:
        """Write something to a journal; where that fails, remember why."""
        try:
            work()
        except JournalError as error:
            self.trouble = str(error)
            return False
        except RuntimeError:
            raise  # the journal was closed: nothing is promised any more
        except Exception as error:  # noqa: BLE001 - what is not written down is delivered all the same
            self.trouble = f"the journal cannot be used, this program fails: {error!r}"
            return False
        self.trouble = ""
        return True

    def _probe(self) -> None:
        """Clear the trouble if the state directory takes a file: the last error may have passed with nobody writing."""
        path = os.path.join(self._path, ".probe")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            file = os.open(path, flags, 0o600)
            try:
                if os.write(file, bytes(_PROBE_BYTES)) == _PROBE_BYTES:
                    os.fsync(file)
                    self.trouble = ""
            finally:
                os.close(file)
                os.unlink(path)


def _commit(journal: Journal, end: End, *, claim_next: bool) -> Optional[Action]:
    action, outcome, wrote, pause_seconds = end
    now, reason, detail = time.time(), outcome.reason.value, outcome.detail
    if outcome.kind is Kind.KEPT:
        journal.postpone(action, now, now + pause_seconds, reason, detail)
        return None
    if outcome.kind is Kind.REJECTED:
        return journal.dead(action, now, reason, detail, claim_next=claim_next)
    words = delivery.left_words(outcome)
    return journal.done(action, now, reason, detail, wrote=wrote, count_words=words, claim_next=claim_next)


def outcome_of_row(action: Action, *, is_ours: bool = False) -> Outcome:
    """Give the outcome of an action that has ended; `is_ours` is False for one that came again."""
    if action.state == "done" and not is_ours:
        return DONE_BEFORE
    kinds = {reason.value: (kind, reason) for kind, reasons in REASONS.items() for reason in reasons}
    kind, reason = kinds.get(action.reason, (Kind.REJECTED, Reason.REFUSED))
    return Outcome(kind if action.state == "done" else Kind.REJECTED, reason, action.detail)
