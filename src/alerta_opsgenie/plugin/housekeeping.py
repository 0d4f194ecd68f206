"""Prevents that Alerta's housekeeping ends a shelve or an ack too early.

Alerta 9.1.0 searches the whole history for a shelve whose timeout is over (database/backends/postgres/base.py,
`get_unshelve`, `get_unack`), so an older, shorter shelve ends the newest one. The plugin wraps `Alert.housekeeping` and
removes alerts whose newest shelve or ack is not over. To refuse them in `take_action` is not enough: each run of the
housekeeping job would end with a 500.
"""

import time
from typing import Any, List, Tuple

from alerta.models.alert import Alert

from alerta_opsgenie.core.events import end_of
from alerta_opsgenie.plugin import guard
from alerta_opsgenie.plugin.alert_values import usual_status, values_of

_CHANGES = {"shelved": "shelve", "ack": "ack"}
_MARK = "alerta_opsgenie_checked"


def is_too_early(alert: Alert, now: float) -> bool:
    """Whether the alert's newest shelve or ack is not over yet."""
    change = _CHANGES.get(usual_status(alert.status))
    if change is None:
        return False
    values = values_of(alert)
    if not any(entry.change == change for entry in values.history):
        return False
    end = end_of(values, change)
    return end is None or now < end


def _with_history(alert: Alert) -> Alert:
    """Read an alert again if its history has `None` in it.

    MongoDB's `get_unshelve` and `get_unack` return a single entry where the model expects a list, and the model makes
    one `None` of each of its fields (9.1.0, database/backends/mongodb/base.py).
    """
    return alert if all(alert.history or ()) else Alert.find_by_id(alert.id) or alert


def _without_early(found: List[Alert]) -> List[Alert]:
    try:
        now, alerts = time.time(), [_with_history(alert) for alert in found]
        return [alert for alert in alerts if not is_too_early(alert, now)]
    except Exception:  # noqa: BLE001 - Alerta's job continues as it would without the plugin
        guard.report("the housekeeping")
        return found


def install() -> None:
    """Wrap `Alert.housekeeping`. A second call changes nothing."""
    original: Any = Alert.housekeeping
    if getattr(original, _MARK, False):
        return

    def housekeeping(*args: Any, **kwargs: Any) -> Tuple[List[Alert], List[Alert], List[Alert]]:
        expired, shelved, acked = original(*args, **kwargs)
        return expired, _without_early(shelved), _without_early(acked)

    setattr(housekeeping, _MARK, True)
    Alert.housekeeping = staticmethod(housekeeping)
