"""The calls to Alerta for each action of Opsgenie or JSM.

`relay` is a generator without I/O: it yields a `Call`, is sent Alerta's `Answer`, and returns an `Outcome`. Without an
answer the caller runs it again with `attempted_at_seconds` set. So each rule can be run again from its start: after an
attempt of unknown end the history is read first, and an action whose entry is there is not requested again.

Our plugin in Alerta returns the person's name in a header, and sets the attributes of the action (`acked-by`). Without
the plugin the text contains the name, and the relay sets the attributes by a second call.
"""

from typing import Any, Callable, Dict, Mapping, Optional

from . import message as fields
from .duplicates import EVENT_TEXTS, RECORD, event_text, people_in_text
from .echo import is_echo
from .history import CLOCK_DOUBT_SECONDS, OwnLine, shelved_since_seconds
from .message import Message, MessageError
from .order import registers
from .outcome import MERGED_MARK, REDELIVERED_MARK, Answer, Kind, Outcome, Reason, outcome_of_refusal
from .people import clean_name
from .task import AttemptContext, Settings, Steps, Task
from .transitions import (
    ACK,
    CLOSE,
    EARLIER_OUTAGE,
    SHELVE,
    UNACK,
    UNSHELVE,
    change_state,
    is_of_earlier_outage,
    look_first,
)

LONGEST_SHELVE_SECONDS = 2**31 - 1  # Alerta's history keeps a timeout in PostgreSQL's integer

_SAME_SECONDS = 5  # two different timeouts that people choose are further apart

# The usual fields of a message without `alert`, as Jira's automation and JSM's channels send it through JEC.
_USUAL = frozenset({
    "action", "actionType", "alert", "customerId", "details", "discardScriptResponse", "entity", "integrationId",
    "integrationName", "integrationType", "mappedActionV2", "params", "requestId", "source",
})  # fmt: skip
_MOST_NAMES = 8

_APPLIED = Outcome(Kind.APPLIED, Reason.DONE)
_MERGED = Outcome(Kind.ALREADY, Reason.MERGED, "another integration has delivered it")
_NOTE_THERE = Outcome(Kind.ALREADY, Reason.REDELIVERED, "the note is there")
_NOTHING_LEFT = "failed to update attributes"


def gate(message: Message, settings: Settings) -> Optional[Outcome]:
    """Return the outcome of the first gate that stops the message; None if the message passes all gates."""
    if message.alert is None:
        return _gate_without_alert(message, settings)
    try:
        alias = fields.alias(message)
    except MessageError as error:
        return Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))
    if alias is None:
        return Outcome(Kind.IGNORED, Reason.NO_ALIAS, "the alert has no alias")
    source = fields.alert_source(message)
    if "*" not in settings.sources and source not in settings.sources:
        return Outcome(Kind.IGNORED, Reason.FOREIGN, f"the alert's source is {clean_name(source)!r}")
    if not fields.is_uuid(alias):
        return Outcome(Kind.REJECTED, Reason.BAD_ALIAS, "$.alert.alias: is not the whole id of an alert in Alerta")
    if is_echo(message, settings.own_names):
        return Outcome(Kind.IGNORED, Reason.ECHO, "it came from Alerta")
    return None


def _gate_without_alert(message: Message, settings: Settings) -> Optional[Outcome]:
    """Pass a mapped custom action on the alert in its details. It has no source and cannot be an echo."""
    alias, summary = fields.alias(message), _summary(message)
    if alias is None or message.action in HANDLERS:
        return Outcome(Kind.IGNORED, Reason.NO_ALERT, summary)
    if _mapped_action(message, settings) is None:
        return Outcome(Kind.IGNORED, Reason.UNKNOWN_ACTION, f"{summary}; no rule maps the action")
    if not fields.is_uuid(alias):
        where = " or ".join(f"$.details.{name}" for name in fields.ALERT_IN_DETAILS)
        return Outcome(Kind.REJECTED, Reason.BAD_ALIAS, f"{where}: is not the whole id of an alert in Alerta")
    return None


def _summary(message: Message) -> str:
    """Describe a message without `alert`: the entity and the names of its fields. Values can be secrets."""
    entity, details = (message.envelope.get(name) for name in ("entity", "details"))
    about = " ".join(filter(None, (fields.text_of(entity, "type"), fields.text_of(entity, "id"))))
    all_names = [*message.envelope, *(details if isinstance(details, dict) else ())]
    names = [name for name in all_names if name not in _USUAL]
    field_names = "with " + ", ".join(names[:_MOST_NAMES]) if names else ""
    what = clean_name(" ".join(filter(None, (about, field_names))))
    return "the message is about no alert" + (f" ({what})" if what else "")


def _mapped_action(message: Message, settings: Settings) -> Optional[str]:
    mapped = settings.custom_actions
    return next((mapped[name] for name in fields.action_names(message) if name in mapped), None)


def relay(message: Message, settings: Settings, context: AttemptContext) -> Steps:
    """Apply one action in Alerta and return its outcome. Raises nothing for any message that `parse` returned."""
    try:
        stopped = gate(message, settings)
        if stopped:
            return stopped
        task = Task(message, settings, context)
        outcome = yield from _apply(task)
        came_late = outcome.reason is Reason.STALE and outcome != EARLIER_OUTAGE and message.action == "Acknowledge"
        return (yield from _acknowledge_late(task, outcome)) if came_late else outcome
    except MessageError as error:
        return Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))


def _apply(task: Task) -> Steps:
    written = registers(task.message)
    if RECORD in task.context.superseded:
        return _MERGED
    if written and written <= task.context.superseded:
        return Outcome(Kind.IGNORED, Reason.STALE, "something newer has happened to the alert")
    return (yield from HANDLERS.get(task.message.action, _custom)(task))


# -- Changes of state


def _acknowledge(task: Task) -> Steps:
    changed = yield from change_state(task, ACK, task.settings.ack_timeout_seconds)
    if isinstance(changed, Outcome):
        return changed
    who = _with_id(task, "acked_by", task.actor, task.actor_id)
    done = yield from _attribute_unless_plugin(task, changed, **who)
    return _with_timeout(done, changed, task.settings.ack_timeout_seconds)


def _acknowledge_late(task: Task, stale: Outcome) -> Steps:
    """End the snooze that a stale acknowledge would have ended.

    The newer unacknowledge was applied first: it found the alert shelved and changed nothing.
    """
    look = yield task.call("GET")
    if not look.ok:
        refusal = outcome_of_refusal(look)
        return refusal if refusal.kind is Kind.KEPT else stale
    since_seconds = shelved_since_seconds(look)
    if since_seconds is None or since_seconds > task.acted_seconds - CLOCK_DOUBT_SECONDS:
        return stale
    if is_of_earlier_outage(task, look):
        return EARLIER_OUTAGE
    # Without its time, or our plugin would refuse the action as stale.
    ended = yield from _snooze_ended(task._replace(message=task.message._replace(updated_ns=0)))
    return stale if ended.kind is Kind.ALREADY else ended


def _unacknowledge(task: Task) -> Steps:
    changed = yield from change_state(task, UNACK)
    if isinstance(changed, Outcome):
        return changed
    return (yield from _attribute_unless_plugin(task, changed, **_with_id(task, "acked_by", None, None)))


def _with_id(task: Task, attribute: str, name: Optional[str], claimed: Optional[str]) -> Dict[str, Optional[str]]:
    """Return the attribute with a person's name, and one with the vendor's id if that is not the name."""
    if name == claimed and task.message.people is None:
        return {attribute: name}
    return {attribute: name, f"{attribute}_id": claimed if claimed != name else None}


def _attribute_unless_plugin(task: Task, answer: Answer, **values: Optional[str]) -> Steps:
    if answer.on_behalf_of:
        return _APPLIED
    done = yield task.attributes(**values)
    # Alerta 9.1.0 reports a failure after it has removed the last attribute of an alert (views/alerts.py).
    if done.message == _NOTHING_LEFT and None in values.values():
        return _APPLIED
    return _outcome_of(done)


def _close(task: Task) -> Steps:
    changed = yield from change_state(task, CLOSE)
    if isinstance(changed, Outcome):
        return changed
    instead = changed.alert_status == "ack"
    return _APPLIED._replace(detail="acknowledged: Alerta's alarm model has no close") if instead else _APPLIED


def _snooze(task: Task) -> Steps:
    left_seconds = fields.snooze_end_seconds(task.message) - task.context.now_seconds
    if left_seconds <= 0:
        return (yield from _snooze_ended(task))
    whole_seconds = min(int(left_seconds) + (left_seconds % 1 > 0), LONGEST_SHELVE_SECONDS)
    changed = yield from change_state(task, SHELVE, whole_seconds)
    return changed if isinstance(changed, Outcome) else _with_timeout(_APPLIED, changed, whole_seconds)


def _with_timeout(done: Outcome, answer: Answer, asked_seconds: Optional[int]) -> Outcome:
    """Add a detail to the outcome if Alerta will end the ack or shelve at another time than requested."""
    written = answer.alert_timeout_seconds
    same_seconds = _SAME_SECONDS if asked_seconds else 0
    if done != _APPLIED or written is None or abs(written - (asked_seconds or 0)) <= same_seconds:
        return done
    asked = f", not {asked_seconds}" if asked_seconds else ""
    return done._replace(detail=f"Alerta ends it after {written} s{asked}: its ACK_TIMEOUT or its plugin timeout")


def _snooze_ended(task: Task) -> Steps:
    """Unshelve, and unacknowledge if the alert is acknowledged then: Opsgenie re-opens an alert whose snooze ends."""
    changed = yield from change_state(task, UNSHELVE)
    if isinstance(changed, Outcome):
        return changed
    reopened = yield from change_state(task, UNACK, is_second=True)
    if isinstance(reopened, Outcome):
        return _APPLIED if reopened.kind is Kind.ALREADY else reopened
    return (yield from _attribute_unless_plugin(task, reopened, **_with_id(task, "acked_by", None, None)))


def _delete(task: Task) -> Steps:
    if task.settings.on_delete == "ignore":
        return Outcome(Kind.IGNORED, Reason.NOT_WANTED, "deletes are not passed on")
    if task.settings.on_delete != "delete":
        return (yield from _close(task))
    if task.can_be_of_an_earlier_outage and is_of_earlier_outage(task, (yield task.call("GET"))):
        return EARLIER_OUTAGE
    outcome = _outcome_of((yield task.call("DELETE")))
    if outcome.reason is Reason.NOT_FOUND:
        return Outcome(Kind.ALREADY, Reason.IN_STATE, "the alert is deleted")
    return outcome


# -- Notes, owner, tags, priority


def _add_note(task: Task) -> Steps:
    """Add the person's note. Without the plugin the text begins with the person's name."""
    text = event_text(task.message)
    return (yield from _write_note(task, f"{task.actor}: {text}", text, task.for_plugin(text, text)))


def _note_event(task: Task) -> Steps:
    text = event_text(task.message, f" in {fields.console(task.message)}")
    for_plugin = task.for_plugin(text, event_text(task.message), people_in_text(task.message))
    return (yield from _write_note(task, text, text, for_plugin))


def _write_note(task: Task, full: str, text: str, for_plugin: Dict[str, Any]) -> Steps:
    """Add a note, unless an earlier attempt has added it."""
    # The history has the newest notes; the list of notes only the hundred oldest (9.1.0, get_alert_notes).
    before = yield from look_first(task, OwnLine({full, text}, is_note=True), may_be_old=False)
    if isinstance(before, Answer):
        return _NOTE_THERE
    if before is not None:
        return before
    return _outcome_of((yield task.call("PUT", "/note", {"text": full, "bridge": for_plugin})))


def _assign(task: Task) -> Steps:
    """Set the attribute `owner` and add a note about it.

    Alerta's action `assign` re-opens an acknowledged alert whose severity had risen, and its status `assign` makes
    later acks void. Only a note adds a history entry and leaves the status as it is.
    """
    owner = fields.owner(task.message)
    who = _with_id(task, "owner", owner, fields.claimed_owner(task.message) or owner)
    answer = yield task.attributes(**who)
    return (yield from _note_event(task)) if answer.ok else outcome_of_refusal(answer)


def _tag(verb: str, field: str) -> "Callable[[Task], Steps]":
    def change(task: Task) -> Steps:
        late = task.context.superseded
        wanted = [tag for tag in fields.tags(task.message, field) if f"tag:{tag}" not in late]
        return _outcome_of((yield task.call("PUT", f"/{verb}", {"tags": wanted, "bridge": task.for_plugin()})))

    return change


def _set_priority(task: Task) -> Steps:
    return _outcome_of((yield task.attributes(opsgenie_priority=fields.priority(task.message))))


def _note_event_if_wanted(task: Task) -> Steps:
    if task.settings.all_notes:
        return (yield from _note_event(task))
    return Outcome(Kind.IGNORED, Reason.NOT_WANTED, "only --notes all passes this on")


def _create(_task: Task) -> Steps:
    return Outcome(Kind.IGNORED, Reason.NOT_WANTED, "the alert came from Alerta")
    yield  # makes this a generator like the others


def _custom(task: Task) -> Steps:
    """Apply a custom action as mapped. Without a mapping nothing is changed."""
    wanted = _mapped_action(task.message, task.settings)
    if wanted is None:
        return Outcome(Kind.IGNORED, Reason.UNKNOWN_ACTION, f"no rule for the action {task.message.action!r}")
    what = task.message.action
    before = yield from look_first(task, OwnLine({task.with_name(what), task.without_name(what)}), may_be_old=True)
    if isinstance(before, Answer):
        return Outcome(Kind.ALREADY, Reason.REDELIVERED, "the action is in the history")
    if before is not None:
        return before
    answer = yield task.act(wanted, what, words=what)
    if answer.has_no_transition:
        return Outcome(Kind.ALREADY, Reason.IN_STATE, answer.message)
    return _outcome_of(answer)


HANDLERS: Mapping[str, "Callable[[Task], Steps]"] = {
    "Acknowledge": _acknowledge,
    "UnAcknowledge": _unacknowledge,
    "Close": _close,
    "Snooze": _snooze,
    "SnoozeEnded": _snooze_ended,
    "AddNote": _add_note,
    "AssignOwnership": _assign,
    "TakeOwnership": _assign,
    "AddTags": _tag("tag", "addedTags"),
    "RemoveTags": _tag("untag", "removedTags"),
    "UpdatePriority": _set_priority,
    **dict.fromkeys(EVENT_TEXTS, _note_event_if_wanted),
    "Delete": _delete,
    "Create": _create,
}
"""The handler of each action of Opsgenie and JSM. Any other action is a custom one."""


# -- Reading Alerta's answers


def _outcome_of(answer: Answer) -> Outcome:
    if answer.ok and answer.message.startswith(REDELIVERED_MARK):
        return _NOTE_THERE
    if answer.ok and answer.message.startswith(MERGED_MARK):
        return _MERGED
    return _APPLIED if answer.ok else outcome_of_refusal(answer)
