"""Changes of an alert's state: asked for at once, and corrected where Alerta's state machine has its quirks.

A change is asked for without looking first: the usual action costs one call. Alerta answers 409 when its state machine
has no such transition; only then the alert is looked at, once, and the table (`Transition`) decides. The alert is
looked at first where an earlier attempt of unknown end may have done it, or where the action is so old that the alert
may have ended and come again since.
"""

from typing import FrozenSet, Generator, NamedTuple, Optional, Union

from . import message as fields
from .history import (
    CLOCK_DOUBT_SECONDS,
    ENDED,
    OwnLine,
    has_line,
    is_of_another_model,
    is_shelved_until,
    opened_seconds,
    status_of,
)
from .outcome import Answer, Kind, Outcome, Reason, outcome_of_refusal
from .task import Call, Task


class Transition(NamedTuple):
    """How one Alerta action is asked for.

    `word` is what the history says. `leads_from` is the one status that it leads away from, or empty; where that is
    empty, `no_op_in` are the statuses that make it a no-op. `leads_to` is the status it must end in, or empty. A
    shelved alert is unshelved first where `unshelve_first` says so, because Alerta's state machine has no way from
    shelved. `next_word` is the word of the step that the same message may take next.
    """

    action: str
    word: str
    leads_from: str = ""
    no_op_in: FrozenSet[str] = ENDED
    leads_to: str = ""
    unshelve_first: bool = False
    next_word: str = ""

    def is_no_op(self, status: str) -> bool:
        """Whether an alert in that status needs no such change."""
        return status != self.leads_from if self.leads_from else status in self.no_op_in


ACK = Transition("ack", "Acknowledged", no_op_in=ENDED | {"ack"}, leads_to="ack", unshelve_first=True)
UNACK = Transition("unack", "Unacknowledged", leads_from="ack")
CLOSE = Transition("close", "Closed", leads_to="closed")
SHELVE = Transition("shelve", "Snoozed", leads_to="shelved", unshelve_first=True)
UNSHELVE = Transition("unshelve", "Snooze ended", leads_from="shelved", next_word=UNACK.word)
_WORDS = frozenset(to.word for to in (ACK, UNACK, CLOSE, SHELVE, UNSHELVE))
_WITH_NOTE = (ACK, CLOSE)
"""An acknowledge and a close can carry a note."""

# Alerta's state machine goes by the newest line of history and not by the alert's status (9.1.0, models/alert.py,
# `_get_hist_info`). The two part where a note and a change are written at once, where the clocks of two Alerta hosts
# differ, and where another alert of the resource names this one's event in its `correlate`: then that one's lines
# count too. An acknowledged alert may then never be unacknowledged. An action that Alerta does not know leaves the
# alert as it is, and a line that says how it is.
_RESTATE = "restate"

_REFUSED_FOR_GOOD_SECONDS = 60.0  # until then other people's changes and the clocks of Alerta's hosts are waited out

EARLIER_OUTAGE = Outcome(Kind.IGNORED, Reason.STALE, "the alert has ended and come again since")


Change = Generator[Call, Answer, Union[Answer, Outcome]]
"""A change of state that stands gives Alerta's answer, which tells whether our plugin was there."""

Try = Generator[Call, Answer, Union[Answer, Outcome, None]]
"""As a change; None: not done, and no reason not to do it in another way."""


def change_state(
    task: Task, to: Transition, timeout_seconds: Optional[int] = None, *, is_second: bool = False
) -> Change:
    """Ask for a transition; on 409 look once and decide by the table.

    `is_second` says that the same message has just changed the alert: it is of the present outage.
    """
    own = _own_line(task, to)
    before = yield from look_first(task, own, may_be_old=not is_second)
    if before is not None:
        return before
    asked = task.act(to.action, to.word, timeout_seconds, _note(task, to))
    changed = yield from _ask(task, to, asked)
    return (yield from _change_otherwise(task, to, asked, own)) if changed is None else changed


def look_first(task: Task, own: OwnLine, *, may_be_old: bool) -> Try:
    """See whether an earlier attempt has done this step, or whether the action is of an earlier outage.

    None where the step has to be done.
    """
    if not task.was_attempted and not (may_be_old and task.can_be_of_an_earlier_outage):
        return None
    look = yield task.call("GET")
    if not look.ok:
        return outcome_of_refusal(look)
    if _has_own_line(task, look, own):
        return look
    return EARLIER_OUTAGE if may_be_old and is_of_earlier_outage(task, look) else None


def is_of_earlier_outage(task: Task, look: Answer) -> bool:
    """Whether the alert came, or came again, after the person acted."""
    opened = opened_seconds(look)
    return opened is not None and 0 < task.acted_seconds < opened - CLOCK_DOUBT_SECONDS


def _own_line(task: Task, to: Transition) -> OwnLine:
    note = _note(task, to)
    return OwnLine(
        {task.with_name(to.word, note), task.without_name(to.word, note)},
        ENDED | {to.leads_to} if to.leads_to else None,
        fields.snooze_end_seconds(task.message) if to is SHELVE else None,
        tuple(f"{word} " for word in _WORDS - {to.word, to.next_word}),
        f" in {fields.console(task.message)}",
    )


def _note(task: Task, to: Transition) -> str:
    return fields.optional_note(task.message) if to in _WITH_NOTE else ""


def _change_otherwise(task: Task, to: Transition, asked: Call, own: OwnLine) -> Change:
    """Look at the alert whose status has no way from there, and decide by the table."""
    look = yield task.call("GET")
    status = status_of(look)
    if not status:
        return outcome_of_refusal(look)
    if _has_own_line(task, look, own):
        return look
    if to.is_no_op(status):
        return Outcome(Kind.ALREADY, Reason.IN_STATE, f"the alert is {status}")
    if status == "shelved" and to is SHELVE and is_shelved_until(look, fields.snooze_end_seconds(task.message)):
        return Outcome(Kind.ALREADY, Reason.IN_STATE, "the alert is shelved until then")
    unshelve = status == "shelved" and (to.unshelve_first or is_of_another_model(look))
    ask = _ask_unshelved if unshelve else _ask
    changed = (yield from ask(task, to, asked)) if unshelve else None
    if changed is None:
        restated = yield task.act(_RESTATE, "Status stated again")
        changed = (yield from ask(task, to, asked)) if restated.ok else outcome_of_refusal(restated)
    return changed or _refused(task, f"Alerta refuses {to.action} of an alert that is {status}")


def _refused(task: Task, what: str) -> Outcome:
    """End a change that the table allows and Alerta refuses: somebody may just have made another, but not for long."""
    since = task.circumstances.attempted_at_seconds
    if since is not None and task.circumstances.now_seconds - since > _REFUSED_FOR_GOOD_SECONDS:
        return Outcome(Kind.REJECTED, Reason.REFUSED, what)
    return Outcome(Kind.KEPT, Reason.CONFLICT, what)


def _ask(task: Task, to: Transition, asked: Call) -> Try:
    answer = yield asked
    if answer.ok:
        return (yield from _correct_status(task, to, asked, answer))
    return None if answer.no_way else outcome_of_refusal(answer)


def _ask_unshelved(task: Task, to: Transition, asked: Call) -> Try:
    """Unshelve first: Alerta's state machine has no way from shelved."""
    first = yield task.act("unshelve", "Unshelved")
    if not first.ok and not first.no_way:
        return outcome_of_refusal(first)
    changed = yield from _ask(task, to, asked)
    if changed is None and first.ok:
        # Unshelving led back to the acknowledged state that it had before; else somebody was faster.
        return first if to is ACK else Outcome(Kind.KEPT, Reason.CONFLICT, f"Alerta refuses {to.action}")
    return changed


def _correct_status(task: Task, to: Transition, asked: Call, answer: Answer) -> Change:
    """Do again what Alerta's state machine answered with 200 and did not do.

    | action | alert was | Alerta makes it | so we |
    |---|---|---|---|
    | ack, shelve | in a blackout | open | ask again |
    | any | in status `assign` | `assign`, unchanged | set it to open, and ask again |
    | unack | ack, with another alert's ack in its history (see `_RESTATE`) | ack | set it to open |

    Setting the wanted status outright would not do: a shelved alert without a shelve in its history never ends being
    so. Only our plugin tells the status in its answer.
    """
    if answer.alert_status and answer.alert_status == to.leads_from:
        opened = yield _open(task, to)
        return opened if opened.ok else outcome_of_refusal(opened)
    if to is CLOSE and answer.alert_status == "ack":
        return answer  # the alarm model has no close, and the plugin's settings make this of one
    if not to.leads_to or not answer.alert_status or answer.alert_status in (to.leads_to, *ENDED):
        return answer
    if answer.alert_status != "open":
        opened = yield _open(task, to)
        if not opened.ok:
            return outcome_of_refusal(opened)
    again = yield asked
    if not again.ok:
        return outcome_of_refusal(again)
    if again.alert_status not in ("", to.leads_to, *ENDED):
        what = f"Alerta takes the action {to.action}, and the alert stays {again.alert_status}"
        return Outcome(Kind.REJECTED, Reason.REFUSED, what)
    return again


def _open(task: Task, to: Transition) -> Call:
    text = f"Opened for: {to.action}"
    return task.call("PUT", "/status", {"status": "open", "text": text, "bridge": task.for_plugin(text)})


def _has_own_line(task: Task, look: Answer, own: OwnLine) -> bool:
    """Whether the alert's history has a line that an earlier attempt of this very message left behind."""
    since = task.circumstances.attempted_at_seconds
    return since is not None and has_line(look, own, since, task.circumstances.equal_lines)
