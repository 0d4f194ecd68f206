"""Decides whether a request still has to be sent: it may have had its effect already, or be too late.

It may have had its effect if an earlier attempt got no response, or if it waited long before this process started: the
outbox may come from a backup. Only creates and notes are looked up; the other requests change nothing the second time.
"""

from typing import Any, Callable, Union

from alerta_opsgenie.clients.opsgenie import Reason, RequestOutcome
from alerta_opsgenie.core.instants import iso_seconds
from alerta_opsgenie.core.publish import Request
from alerta_opsgenie.core.snapshot import AlertState, read_vendor_alert
from alerta_opsgenie.journal import Action

_CLOCK_DOUBT_SECONDS = 5.0
_OLD_SECONDS = 600.0
_WHAT = {"create": "", "note": "/notes"}
_LEAST_SNOOZE_SECONDS = 3.0  # https://docs.opsgenie.com/docs/alert-api: endTime has to be some seconds ahead


def is_over(request: Request, now: float) -> bool:
    """Whether the request is a snooze that ended while the request waited."""
    if request.operation != "snooze":
        return False
    end = iso_seconds(str(request.body.get("endTime")))
    return end is not None and end < now + _LEAST_SNOOZE_SECONDS


def is_ambiguous(action: Action) -> bool:
    """Whether an earlier attempt may have had its effect: it got no response, or its process died."""
    return action.first_attempt_at is not None and action.reason in ("", Reason.NETWORK.value, Reason.TIMEOUT.value)


def may_be_restored(action: Action, began_at: float, now: float) -> bool:
    """Whether the request waited long before this process started, so that the outbox may come from a backup."""
    return action.accepted_at < min(began_at, now) - _OLD_SECONDS


def had_effect(read: Callable[[str], Any], request: Request, action: Action) -> Union[bool, RequestOutcome]:
    """Return whether the vendor has the alert or the note already; a `RequestOutcome` if the look-up failed.

    `read` looks up the vendor's alert or, with `/notes`, its notes. It returns a `RequestOutcome` if it fails.
    """
    what = _WHAT.get(request.operation)
    found = None if what is None else read(what)
    if isinstance(found, RequestOutcome) and is_ambiguous(action):
        return found
    since = (action.first_attempt_at or action.accepted_at) - _CLOCK_DOUBT_SECONDS
    if request.operation == "create":
        state = read_vendor_alert(found, "") if isinstance(found, dict) else None
        return state is not None and (state.is_open or (action.first_attempt_at is None and _was_closed(state, since)))
    notes = found if isinstance(found, list) else []
    return any(_is_note(note, str(request.body.get("note")), since) for note in notes)


def _was_closed(state: AlertState, since_seconds: float) -> bool:
    """Whether people closed the alert in Opsgenie after this create. If the bridge closed it, the create is sent."""
    return not state.from_bridge and state.opened >= since_seconds


def _is_note(note: object, text: str, since_seconds: float) -> bool:
    if not isinstance(note, dict) or note.get("note") != text:
        return False
    written = iso_seconds(str(note.get("createdAt") or ""))
    return written is None or written >= since_seconds
