"""Keeps Alerta from ending a shelve or an ack before its time.

Alerta 9.1.0 looks for shelves that are over in the whole history (database/backends/postgres/base.py, `get_unshelve`,
`get_unack`): any older, shorter shelve of an alert ends the newest one. So only what is over by its newest entry is
left of what Alerta finds. A plugin's veto alone would end each round of the housekeeping job in a 500.
"""

import time
from typing import Any, List, Tuple

from alerta.models.alert import Alert

from alerta_opsgenie.plugin import guard
from alerta_opsgenie.plugin.alert_values import end_of, values_of, word_of

_Found = Tuple[List[Alert], List[Alert], List[Alert]]

_CHANGES = {"shelved": "shelve", "ack": "ack"}
_MARK = "alerta_opsgenie_checked"


def is_too_early(alert: Alert, now: float) -> bool:
    """Whether a timeout would end the alert's shelve or ack before its time."""
    change = _CHANGES.get(word_of(alert.status))
    if change is None:
        return False
    values = values_of(alert)
    if not any(past.change == change for past in values.history):
        return False
    end = end_of(values, change)
    return end is None or now < end


def _whole(alert: Alert) -> Alert:
    """Read an alert again whose history is not one.

    MongoDB's `get_unshelve` and `get_unack` give a single entry where the model expects a list, and the model makes of
    it one `None` for each field (9.1.0, database/backends/mongodb/base.py).
    """
    return alert if all(alert.history or ()) else Alert.find_by_id(alert.id) or alert


def _without_early(found: List[Alert]) -> List[Alert]:
    try:
        now, whole = time.time(), [_whole(alert) for alert in found]
        return [alert for alert in whole if not is_too_early(alert, now)]
    except Exception:  # noqa: BLE001 - Alerta's job goes on as it would without us
        guard.report("the housekeeping")
        return found


def install() -> None:
    """Let Alerta's housekeeping look twice; more calls change nothing."""
    original: Any = Alert.housekeeping
    if getattr(original, _MARK, False):
        return

    def housekeeping(*args: Any, **kwargs: Any) -> _Found:
        expired, shelved, acked = original(*args, **kwargs)
        return expired, _without_early(shelved), _without_early(acked)

    setattr(housekeeping, _MARK, True)
    Alert.housekeeping = staticmethod(housekeeping)
