"""What Alerta is told about an action of Opsgenie or JSM: the rules, as data where they can be.

Theory of operation. `relay` is a generator that does no I/O: it yields a `Call`, is sent Alerta's `Answer`, and
returns an `Outcome`. A driver of a dozen lines moves the bytes; whatever keeps an answer from coming (network,
time) is the driver's matter, which then runs the relay afresh with `attempted_at_seconds` set. So each rule here must
bear to be run again from its start after it went any part of the way:

- A change of state is asked for at once, without looking first: the usual action costs one call. Alerta answers 409
  when its state machine has no such transition; only then the alert is looked at, once, and the table decides.
- After an attempt of unknown end the history is read first. Where it has our very line, the step is done and is not
  asked for again: a note would stand there twice, and a change of state could undo what has happened since.

Where our plugin runs in Alerta it answers with the person's name in a header and has done what else belongs to the
action (`acked-by`); else the text names the person and the relay does the rest itself with a second call.
"""

from typing import Any, Callable, Dict, FrozenSet, Generator, Mapping, NamedTuple, Optional, Union

from . import message as fields
from .echo import is_echo
from .history import (
    CLOCK_DOUBT_SECONDS,
    Trace,
    has_left,
    is_shelved_until,
    shelved_since_seconds,
    status_of,
)
from .message import Message, MessageError
from .order import registers
from .outcome import REDELIVERED_MARK, Answer, Kind, Outcome, Reason, outcome_of_refusal


class Call(NamedTuple):
    """One request to Alerta's API; `path` begins behind the API's base URL."""

    method: str
    path: str
    body: Optional[Mapping[str, Any]]
    on_behalf_of: str


class Settings(NamedTuple):
    """How a team wants it. `own_names` are in lower case; `ack_timeout_seconds` of None lets an ack stand for good."""

    sources: FrozenSet[str] = frozenset({"Alerta"})
    own_names: FrozenSet[str] = frozenset({"alerta"})
    all_notes: bool = False
    on_delete: str = "close"
    custom_actions: Mapping[str, str] = {}
    ack_timeout_seconds: Optional[int] = None


class Circumstances(NamedTuple):
    """What the driver knows beside the message.

    `now_seconds` is the present instant since the epoch. `attempted_at_seconds` is when the first attempt of this
    very message began that ended in KEPT or in nothing known: any of its calls may have had its effect. It is None
    for a first attempt. `superseded` are the registers that something newer has written (`order.superseded`). `twins`
    counts the other actions since then that are known to have left the same line in the alert's history: a person who
    acknowledges, unacknowledges and acknowledges again leaves two.
    """

    now_seconds: float
    attempted_at_seconds: Optional[float] = None
    superseded: FrozenSet[str] = frozenset()
    twins: int = 0


Steps = Generator[Call, Answer, Outcome]

ON_DELETE = frozenset({"close", "delete", "ignore"})
LONGEST_SHELVE_SECONDS = 2**31 - 1  # Alerta's history keeps a timeout in PostgreSQL's integer
_REFUSED_FOR_GOOD_SECONDS = 60.0  # until then other people's changes and the clocks of Alerta's hosts are waited out

_APPLIED = Outcome(Kind.APPLIED, Reason.DONE)
_NOTHING_LEFT = "failed to update attributes"


def gate(message: Message, settings: Settings) -> Optional[Outcome]:
    """Decide without Alerta where that is possible: the gates in their order; None lets the message through."""
    if message.alert is None:
        return Outcome(Kind.IGNORED, Reason.NO_ALERT, "the message is about no alert")
    try:
        alias = fields.alias(message)
    except MessageError as error:
        return Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))
    if alias is None:
        return Outcome(Kind.IGNORED, Reason.NO_ALIAS, "the alert has no alias")
    source = fields.alert_source(message)
    if "*" not in settings.sources and source not in settings.sources:
        return Outcome(Kind.IGNORED, Reason.FOREIGN, f"the alert's source is {fields.clean_name(source)!r}")
    if not fields.is_uuid(alias):
        return Outcome(Kind.REJECTED, Reason.BAD_ALIAS, "$.alert.alias: is not the whole id of an alert in Alerta")
    if is_echo(message, settings.own_names):
        return Outcome(Kind.IGNORED, Reason.ECHO, "it came from Alerta")
    return None


def relay(message: Message, settings: Settings, circumstances: Circumstances) -> Steps:
    """Tell Alerta of one action and return how that ended. Raises nothing for any message that `parse` gave."""
    try:
        shut = gate(message, settings)
        if shut:
            return shut
        work = _Work(message, settings, circumstances)
        outcome = yield from _do(work)
        came_late = outcome.reason is Reason.STALE and message.action == "Acknowledge"
        return (yield from _acknowledge_late(work, outcome)) if came_late else outcome
    except MessageError as error:
        return Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))


def _do(work: "_Work") -> Steps:
    written = registers(work.message)
    if written and written <= work.circumstances.superseded:
        return Outcome(Kind.IGNORED, Reason.STALE, "something newer has happened to the alert")
    return (yield from PLANS.get(work.message.action, _custom)(work))


class _Work(NamedTuple):
    """One message on its way, with the calls that concern its alert."""

    message: Message
    settings: Settings
    circumstances: Circumstances

    def call(self, method: str, path: str = "", body: Optional[Dict[str, Any]] = None) -> Call:
        return Call(method, f"/alert/{fields.alias(self.message)}{path}", body, self.actor)

    def act(self, action: str, what: str, timeout_seconds: Optional[int] = None) -> Call:
        body: Dict[str, Any] = {"action": action, "text": self.signed(what), "bridge": self.bridge(self.unsigned(what))}
        if timeout_seconds is not None:
            body["timeout"] = timeout_seconds
        return self.call("PUT", "/action", body)

    def attributes(self, **values: Optional[str]) -> Call:
        body = {"attributes": {name.replace("_", "-"): value for name, value in values.items()}}
        return self.call("PUT", "/attributes", {**body, "bridge": self.bridge()})

    @property
    def actor(self) -> str:
        return fields.actor(self.message)

    def signed(self, what: str) -> str:
        """Say who it was in the text itself, for an Alerta without our plugin."""
        return f"{what} by {self.actor} in {fields.console(self.message)}" + self._remark(what)

    def unsigned(self, what: str) -> str:
        """Say the same where our plugin shows the person."""
        return f"{what} in {fields.console(self.message)}" + self._remark(what)

    def _remark(self, what: str) -> str:
        """Give the note that an acknowledge or a close carries, for that very step."""
        remark = fields.optional_note(self.message) if what in (_ACK.past, _CLOSE.past) else ""
        return f": {remark}" if remark else ""

    def bridge(self, text: str = "") -> Dict[str, Any]:
        """Tell our plugin what Alerta has no field for; an Alerta without it passes over this."""
        return {"text": text, "updatedAt": self.message.updated_ns, "key": self.message.key}


# -- Changes of state


class _Transition(NamedTuple):
    """How one Alerta action is asked for.

    `settled` are the statuses that make it a no-op; None means every status but the one it leads away from.
    `leads_to` is the status it must end in, `past` its word in the history. A shelved alert is unshelved first
    where `through_unshelve` says so, because Alerta's state machine has no way from shelved. `goes_on` is the word of
    the step that the same message may take next.
    """

    action: str
    past: str
    settled: Optional[FrozenSet[str]]
    leads_to: str = ""
    through_unshelve: bool = False
    goes_on: str = ""


_ENDED = frozenset({"closed", "expired"})
_ACK = _Transition("ack", "Acknowledged", _ENDED | {"ack"}, leads_to="ack", through_unshelve=True)
_UNACK = _Transition("unack", "Unacknowledged", None)
_CLOSE = _Transition("close", "Closed", _ENDED, leads_to="closed")
_SHELVE = _Transition("shelve", "Snoozed", _ENDED, leads_to="shelved", through_unshelve=True)
_UNSHELVE = _Transition("unshelve", "Snooze ended", None, goes_on=_UNACK.past)
_PASTS = frozenset(to.past for to in (_ACK, _UNACK, _CLOSE, _SHELVE, _UNSHELVE))
_LEAVES = {"unack": "ack", "unshelve": "shelved"}

# Alerta's state machine goes by the newest line of history and not by the alert's status (9.1.0, models/alert.py,
# `_get_hist_info`). The two part where a note and a change are written at once, where the clocks of two Alerta hosts
# differ, and where another alert of the resource names this one's event in its `correlate`: then that one's lines
# count too. An acknowledged alert may then never be unacknowledged. An action that Alerta does not know leaves the
# alert as it is, and a line that says how it is.
_RESTATE = "restate"


class _Moved(NamedTuple):
    """A change of state that stands: the answer tells whether our plugin was there."""

    answer: Answer


_Move = Generator[Call, Answer, Union[_Moved, Outcome]]
_Try = Generator[Call, Answer, Union[_Moved, Outcome, None]]
"""As a move; None: Alerta's state machine has no way."""


def _move(work: _Work, to: _Transition, timeout_seconds: Optional[int] = None) -> _Move:
    """Ask for a transition; on 409 look once and decide by the table."""
    ours = _trace(work, to)
    before = yield from _look_back(work, ours)
    if before is not None:
        return before
    asked = work.act(to.action, to.past, timeout_seconds)
    moved = yield from _ask(work, to, asked)
    return (yield from _move_otherwise(work, to, asked, ours)) if moved is None else moved


def _trace(work: _Work, to: _Transition) -> Trace:
    return Trace(
        {work.signed(to.past), work.unsigned(to.past)},
        _ENDED | {to.leads_to} if to.leads_to else None,
        fields.snooze_end_seconds(work.message) if to is _SHELVE else None,
        tuple(f"{past} " for past in _PASTS - {to.past, to.goes_on}),
        f" in {fields.console(work.message)}",
    )


def _move_otherwise(work: _Work, to: _Transition, asked: Call, ours: Trace) -> _Move:
    """Look at the alert whose status has no way from there, and decide by the table."""
    look = yield work.call("GET")
    status = status_of(look)
    if not status:
        return outcome_of_refusal(look)
    if _has_left(work, look, ours):
        return _Moved(look)
    if (status != _LEAVES[to.action]) if to.settled is None else (status in to.settled):
        return Outcome(Kind.ALREADY, Reason.IN_STATE, f"the alert is {status}")
    if status == "shelved" and to is _SHELVE and is_shelved_until(look, fields.snooze_end_seconds(work.message)):
        return Outcome(Kind.ALREADY, Reason.IN_STATE, "the alert is shelved until then")
    unshelve = to.through_unshelve and status == "shelved"
    ask = _ask_unshelved if unshelve else _ask
    moved = (yield from ask(work, to, asked)) if unshelve else None
    if moved is None:
        restated = yield work.act(_RESTATE, "Status stated again")
        moved = (yield from ask(work, to, asked)) if restated.ok else outcome_of_refusal(restated)
    return moved or _refused(work, f"Alerta refuses {to.action} of an alert that is {status}")


def _refused(work: _Work, what: str) -> Outcome:
    """End a change that the table allows and Alerta refuses: somebody may just have made another, but not for long."""
    since = work.circumstances.attempted_at_seconds
    if since is not None and work.circumstances.now_seconds - since > _REFUSED_FOR_GOOD_SECONDS:
        return Outcome(Kind.REJECTED, Reason.REFUSED, what)
    return Outcome(Kind.KEPT, Reason.CONFLICT, what)


def _ask(work: _Work, to: _Transition, asked: Call) -> _Try:
    answer = yield asked
    if answer.ok:
        return (yield from _settle(work, to, asked, answer))
    return None if answer.no_way else outcome_of_refusal(answer)


def _ask_unshelved(work: _Work, to: _Transition, asked: Call) -> _Try:
    """Unshelve first: Alerta's state machine has no way from shelved."""
    first = yield work.act("unshelve", "Unshelved")
    if not first.ok and not first.no_way:
        return outcome_of_refusal(first)
    moved = yield from _ask(work, to, asked)
    if moved is None and first.ok:
        # Unshelving led back to the acknowledged state that it had before; else somebody was faster.
        return _Moved(first) if to is _ACK else Outcome(Kind.KEPT, Reason.CONFLICT, f"Alerta refuses {to.action}")
    return moved


def _look_back(work: _Work, ours: Trace) -> _Try:
    """See whether an earlier attempt of unknown end has done this step; None where it has to be done."""
    if work.circumstances.attempted_at_seconds is None:
        return None
    look = yield work.call("GET")
    if not look.ok:
        return outcome_of_refusal(look)
    return _Moved(look) if _has_left(work, look, ours) else None


def _settle(work: _Work, to: _Transition, asked: Call, answer: Answer) -> _Move:
    """Mend what Alerta's state machine passes over with a 200: statuses that have no rule for the action.

    Asked for an ack or a shelve, an alert in a blackout becomes open; one in status `assign` stays as it is whatever
    is asked. From open each of them has a rule, and setting the wanted status outright would not do: a shelved alert
    without a shelve in its history never ends being so. And an unack leads to the status in the line below the ack,
    which may be that of another alert's ack (see `_RESTATE`). Only our plugin tells the status in its answer.
    """
    if answer.alert_status and answer.alert_status == _LEAVES.get(to.action):
        opened = yield _open(work, to)
        return _Moved(opened) if opened.ok else outcome_of_refusal(opened)
    if not to.leads_to or not answer.alert_status or answer.alert_status in (to.leads_to, *_ENDED):
        return _Moved(answer)
    if answer.alert_status != "open":
        opened = yield _open(work, to)
        if not opened.ok:
            return outcome_of_refusal(opened)
    again = yield asked
    if not again.ok:
        return outcome_of_refusal(again)
    if again.alert_status not in ("", to.leads_to, *_ENDED):
        what = f"Alerta takes the action {to.action}, and the alert stays {again.alert_status}"
        return Outcome(Kind.REJECTED, Reason.REFUSED, what)
    return _Moved(again)


def _open(work: _Work, to: _Transition) -> Call:
    text = f"Opened for: {to.action}"
    return work.call("PUT", "/status", {"status": "open", "text": text, "bridge": work.bridge(text)})


def _acknowledge(work: _Work) -> Steps:
    moved = yield from _move(work, _ACK, work.settings.ack_timeout_seconds)
    if isinstance(moved, Outcome):
        return moved
    return (yield from _attribute_unless_plugin(work, moved.answer, acked_by=work.actor))


def _acknowledge_late(work: _Work, stale: Outcome) -> Steps:
    """End the snooze that an acknowledge ends, even when the acknowledge itself comes too late.

    Where the unacknowledge that followed it came first, that one found the alert shelved and had nothing to do. What
    else can make an acknowledge late leaves the alert in no shelve from before it (but for a snooze to the same end).
    """
    look = yield work.call("GET")
    if not look.ok:
        refusal = outcome_of_refusal(look)
        return refusal if refusal.kind is Kind.KEPT else stale
    since_seconds = shelved_since_seconds(look)
    acted_seconds = work.message.updated_ns / 1e9 - CLOCK_DOUBT_SECONDS
    if since_seconds is None or since_seconds > acted_seconds:
        return stale
    # Our plugin would refuse what says how late it is.
    ended = yield from _snooze_ended(work._replace(message=work.message._replace(updated_ns=0)))
    return stale if ended.kind is Kind.ALREADY else ended


def _unacknowledge(work: _Work) -> Steps:
    moved = yield from _move(work, _UNACK)
    if isinstance(moved, Outcome):
        return moved
    return (yield from _attribute_unless_plugin(work, moved.answer, acked_by=None))


def _attribute_unless_plugin(work: _Work, answer: Answer, **values: Optional[str]) -> Steps:
    if answer.on_behalf_of:
        return _APPLIED
    done = yield work.attributes(**values)
    # Alerta 9.1.0 removes the last attribute of an alert and then takes the empty rest for a failure (views/alerts.py).
    if done.message == _NOTHING_LEFT and None in values.values():
        return _APPLIED
    return _end(done)


def _close(work: _Work) -> Steps:
    moved = yield from _move(work, _CLOSE)
    return moved if isinstance(moved, Outcome) else _APPLIED


def _snooze(work: _Work) -> Steps:
    left_seconds = fields.snooze_end_seconds(work.message) - work.circumstances.now_seconds
    if left_seconds <= 0:
        return (yield from _snooze_ended(work))
    whole_seconds = min(int(left_seconds) + (left_seconds % 1 > 0), LONGEST_SHELVE_SECONDS)
    moved = yield from _move(work, _SHELVE, whole_seconds)
    return moved if isinstance(moved, Outcome) else _APPLIED


def _snooze_ended(work: _Work) -> Steps:
    """Unshelve, and unacknowledge if that led back to ack: Opsgenie re-opens an alert whose snooze ends."""
    moved = yield from _move(work, _UNSHELVE)
    if isinstance(moved, Outcome):
        return moved
    reopened = yield from _move(work, _UNACK)
    if isinstance(reopened, Outcome):
        return _APPLIED if reopened.kind is Kind.ALREADY else reopened
    return (yield from _attribute_unless_plugin(work, reopened.answer, acked_by=None))


def _delete(work: _Work) -> Steps:
    if work.settings.on_delete == "ignore":
        return Outcome(Kind.IGNORED, Reason.NOT_WANTED, "deletes are not passed on")
    if work.settings.on_delete != "delete":
        return (yield from _close(work))
    outcome = _end((yield work.call("DELETE")))
    if outcome.reason is Reason.NOT_FOUND:
        return Outcome(Kind.ALREADY, Reason.IN_STATE, "the alert is deleted")
    return outcome


# -- Notes, owner, tags, priority


def _add_note(work: _Work) -> Steps:
    return (yield from _write_note(work, fields.note(work.message), signed=True))


def _write_note(work: _Work, text: str, *, signed: bool) -> Steps:
    """Add a note once. A note of the person's own begins with the name where no plugin can show it."""
    full = f"{work.actor}: {text}" if signed else text
    # The history has the newest notes; the list of notes ends after the hundred oldest (9.1.0, get_alert_notes).
    before = yield from _look_back(work, Trace({full, text}, is_note=True))
    if isinstance(before, _Moved):
        return Outcome(Kind.ALREADY, Reason.REDELIVERED, "the note is there")
    if before is not None:
        return before
    return _end((yield work.call("PUT", "/note", {"text": full, "bridge": work.bridge(text)})))


def _own(work: _Work) -> Steps:
    """Set the attribute `owner` and say so in the history.

    Alerta's own action `assign` re-opens an acknowledged alert whose severity had risen, and its status `assign`
    makes later acks void; a note is the one line of history that touches no status.
    """
    owner = fields.owner(work.message)
    answer = yield work.attributes(owner=owner)
    if not answer.ok:
        return outcome_of_refusal(answer)
    console = fields.console(work.message)
    if owner == work.actor:
        return (yield from _write_note(work, f"{owner} took ownership in {console}", signed=False))
    return (yield from _write_note(work, f"{work.actor} assigned the alert to {owner} in {console}", signed=False))


def _tag(verb: str, field: str) -> "Callable[[_Work], Steps]":
    def change(work: _Work) -> Steps:
        late = work.circumstances.superseded
        wanted = [tag for tag in fields.tags(work.message, field) if f"tag:{tag}" not in late]
        return _end((yield work.call("PUT", f"/{verb}", {"tags": wanted, "bridge": work.bridge()})))

    return change


def _prioritise(work: _Work) -> Steps:
    return _end((yield work.attributes(opsgenie_priority=fields.priority(work.message))))


def _tell(sentence: str, field: str = "") -> "Callable[[_Work], Steps]":
    """Write what happened as a note, where the team wants all of it."""

    def tell(work: _Work) -> Steps:
        if not work.settings.all_notes:
            return Outcome(Kind.IGNORED, Reason.NOT_WANTED, "only --notes all passes this on")
        what = (fields.named_thing(work.message, field) if field else "") or fields.escalation(work.message)
        text = sentence.format(who=work.actor, what=what or "?", console=fields.console(work.message))
        return (yield from _write_note(work, text, signed=False))

    return tell


def _create(_work: _Work) -> Steps:
    return Outcome(Kind.IGNORED, Reason.NOT_WANTED, "the alert came from Alerta")
    yield  # makes this a generator like the others


def _custom(work: _Work) -> Steps:
    """Pass a custom action on where it is mapped; never change a state by guess."""
    mapped = work.settings.custom_actions
    wanted = next((mapped[name] for name in fields.action_names(work.message) if name in mapped), None)
    if wanted is None:
        return Outcome(Kind.IGNORED, Reason.UNKNOWN_ACTION, f"no rule for the action {work.message.action!r}")
    what = work.message.action
    before = yield from _look_back(work, Trace({work.signed(what), work.unsigned(what)}))
    if isinstance(before, _Moved):
        return Outcome(Kind.ALREADY, Reason.REDELIVERED, "the action is in the history")
    if before is not None:
        return before
    answer = yield work.act(wanted, what)
    if answer.no_way:
        return Outcome(Kind.ALREADY, Reason.IN_STATE, answer.message)
    return _end(answer)


PLANS: Mapping[str, "Callable[[_Work], Steps]"] = {
    "Acknowledge": _acknowledge,
    "UnAcknowledge": _unacknowledge,
    "Close": _close,
    "Snooze": _snooze,
    "SnoozeEnded": _snooze_ended,
    "AddNote": _add_note,
    "AssignOwnership": _own,
    "TakeOwnership": _own,
    "AddTags": _tag("tag", "addedTags"),
    "RemoveTags": _tag("untag", "removedTags"),
    "UpdatePriority": _prioritise,
    "UpdateMessage": _tell("{who} changed the message in {console}: {what}", "message"),
    "UpdateDescription": _tell("{who} changed the description in {console}: {what}", "description"),
    "AddResponder": _tell("{who} added the responder {what} in {console}", "responder"),
    "AddTeam": _tell("{who} added the team {what} in {console}", "team"),
    "AddRecipient": _tell("{who} added the recipient {what} in {console}", "recipient"),
    "Escalate": _tell("Escalated in {console}: {what}"),
    "EscalateToNext": _tell("{who} escalated to the next level in {console}"),
    "EscalateNext": _tell("{who} escalated to the next level in {console}"),
    "Delete": _delete,
    "Create": _create,
}
"""What is done for each action of Opsgenie and JSM; any other is a custom one."""


# -- Reading what Alerta answered


def _has_left(work: _Work, look: Answer, ours: Trace) -> bool:
    """Whether the alert's history has a line that an earlier attempt of this very message left behind."""
    since = work.circumstances.attempted_at_seconds
    return since is not None and has_left(look, ours, since, work.circumstances.twins)


def _end(answer: Answer) -> Outcome:
    if answer.ok and answer.message.startswith(REDELIVERED_MARK):
        return Outcome(Kind.ALREADY, Reason.REDELIVERED, "the note is there")
    return _APPLIED if answer.ok else outcome_of_refusal(answer)
