"""Changes of an alert's state in Alerta, with workarounds for quirks of Alerta's state machine.

A change is requested without reading the alert first: the usual action costs one call. Alerta answers 409 if its state
machine has no such transition. Only then the alert is read, once, and the table (`Transition`) decides. The alert is
read first if an earlier attempt of unknown end may have made the change, or if the action is so old that the alert may
have ended and re-opened since.
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
    """One action of Alerta that changes the state.

    `word` is its word in the history. `leads_from` is the only status in which it has an effect; if empty, it is
    a no-op in the statuses `no_op_in`. `leads_to` is the status after it, or empty. With `unshelve_first` a shelved
    alert is unshelved first, because Alerta's state machine has no transition from shelved. `next_word` is the word of
    the next step of the same message.
    """

    action: str
    word: str
    leads_from: str = ""
    no_op_in: FrozenSet[str] = ENDED
    leads_to: str = ""
    unshelve_first: bool = False
    next_word: str = ""

    def is_no_op(self, status: str) -> bool:
        """Whether the action has no effect on an alert in that status."""
        return status != self.leads_from if self.leads_from else status in self.no_op_in


ACK = Transition("ack", "Acknowledged", no_op_in=ENDED | {"ack"}, leads_to="ack", unshelve_first=True)
UNACK = Transition("unack", "Unacknowledged", leads_from="ack")
CLOSE = Transition("close", "Closed", leads_to="closed")
SHELVE = Transition("shelve", "Snoozed", leads_to="shelved", unshelve_first=True)
UNSHELVE = Transition("unshelve", "Snooze ended", leads_from="shelved", next_word=UNACK.word)
_WORDS = frozenset(to.word for to in (ACK, UNACK, CLOSE, SHELVE, UNSHELVE))
_WITH_NOTE = (ACK, CLOSE)
"""An acknowledge and a close can carry a note."""

# Alerta's state machine uses the newest history entry and not the alert's status (9.1.0, models/alert.py,
# `_get_hist_info`). The two differ if a note and a change are written at the same time, if the clocks of two Alerta
# hosts differ, or if another alert of the resource has this one's event in its `correlate`: then the other alert's
# entries count too. Such an acknowledged alert could never be unacknowledged. An action that is unknown to Alerta does
# not change the alert, and adds a history entry with its present status.
_RESTATE = "restate"

_REJECT_AFTER_SECONDS = 60.0  # other people's changes, and differences of the clocks of Alerta's hosts, pass by then

EARLIER_OUTAGE = Outcome(Kind.IGNORED, Reason.STALE, "the alert has ended and come again since")

Change = Generator[Call, Answer, Union[Answer, Outcome]]
"""Returns Alerta's answer if the change was made, else the outcome."""

Try = Generator[Call, Answer, Union[Answer, Outcome, None]]
"""As `Change`; None: not done yet, and another way can be tried."""


def change_state(
    task: Task, to: Transition, timeout_seconds: Optional[int] = None, *, is_second: bool = False
) -> Change:
    """Request a transition; on 409 read the alert once and decide by the table.

    `is_second`: the same message has just changed the alert, so it belongs to the present outage.
    """
    own = _own_line(task, to)
    before = yield from look_first(task, own, may_be_old=not is_second)
    if before is not None:
        return before
    asked = task.act(to.action, to.word, timeout_seconds, _note(task, to))
    changed = yield from _ask(task, to, asked)
    return (yield from _change_otherwise(task, to, asked, own)) if changed is None else changed


def look_first(task: Task, own: OwnLine, *, may_be_old: bool) -> Try:
    """Read the alert if an earlier attempt may have done the step, or if the action may be of an earlier outage.

    Return None if the step is still to be done.
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
    """Whether the alert was created or re-opened after the person acted."""
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
    """Read the alert, whose status does not allow the transition, and decide by the table."""
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
    """Return the outcome of a change that the table allows and Alerta refuses. A concurrent change passes soon."""
    since = task.context.attempted_at_seconds
    if since is not None and task.context.now_seconds - since > _REJECT_AFTER_SECONDS:
        return Outcome(Kind.REJECTED, Reason.REFUSED, what)
    return Outcome(Kind.KEPT, Reason.CONFLICT, what)


def _ask(task: Task, to: Transition, asked: Call) -> Try:
    answer = yield asked
    if answer.ok:
        return (yield from _correct_status(task, to, asked, answer))
    return None if answer.has_no_transition else outcome_of_refusal(answer)


def _ask_unshelved(task: Task, to: Transition, asked: Call) -> Try:
    """Unshelve first: Alerta's state machine has no transition from shelved."""
    first = yield task.act("unshelve", "Unshelved")
    if not first.ok and not first.has_no_transition:
        return outcome_of_refusal(first)
    changed = yield from _ask(task, to, asked)
    if changed is None and first.ok:
        # Unshelving has restored the acknowledged state; for any other action somebody else has changed the alert.
        return first if to is ACK else Outcome(Kind.KEPT, Reason.CONFLICT, f"Alerta refuses {to.action}")
    return changed


def _correct_status(task: Task, to: Transition, asked: Call, answer: Answer) -> Change:
    """Repeat a change that Alerta's state machine answered with 200 and did not make.

    | action | status before | status after | workaround |
    |---|---|---|---|
    | ack, shelve | blackout | open | request again |
    | any | `assign` | `assign` | set it to open, and request again |
    | unack | ack, with another alert's ack in its history (see `_RESTATE`) | ack | set it to open |

    To set the wanted status directly is wrong: Alerta never ends a shelve that is not in the history. Only our plugin
    returns the status in its answer.
    """
    if answer.alert_status and answer.alert_status == to.leads_from:
        opened = yield _open(task, to)
        return opened if opened.ok else outcome_of_refusal(opened)
    if to is CLOSE and answer.alert_status == "ack":
        return answer  # the alarm model has no close, and by the plugin's settings a close acknowledges
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
    since = task.context.attempted_at_seconds
    return since is not None and has_line(look, own, since, task.context.equal_lines)
