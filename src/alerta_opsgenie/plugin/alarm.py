"""What the bridge asks Alerta for, in the words of Alerta's alarm model, and nothing that would do harm there."""

from typing import Any, Dict

from alerta.exceptions import AlertaException
from alerta.models.alert import Alert
from flask import current_app

from alerta_opsgenie.core.alarm_model import ALERTA, MODELS, AlarmModel, meaning
from alerta_opsgenie.core.events import BLACKOUT
from alerta_opsgenie.core.history import ENDED
from alerta_opsgenie.plugin import state
from alerta_opsgenie.plugin.alert_values import text_of

_CONFLICT, _REFUSED = 409, 400


def model() -> AlarmModel:
    """Give the alarm model of the application at hand."""
    return MODELS.get(str(current_app.config["ALARM_MODEL"]).lower(), ALERTA)


def translate(alert: Alert, body: Dict[str, Any]) -> None:
    """Put the action or the status of a call of the bridge's into the words of the model.

    Raises AlertaException for an action that has no way: 409 as the usual model answers, which lets the relay look at
    the alert, and 400 where that would help nobody.
    """
    present = model()
    if present.ways is None:
        return
    if "status" in body:
        body["status"] = present.status(body["status"])
    elif "action" in body:
        body["action"] = _possible(present, text_of(alert.status), str(body["action"]))


def _possible(present: AlarmModel, status: str, action: str) -> str:
    if meaning(status) == BLACKOUT:
        raise AlertaException(f"the alarm is {status}: only an operator of Alerta puts it back into service", _REFUSED)
    ways = present.ways or {}
    if action == "close" and state.settings().close_acknowledges:
        if status == "ACKED":
            return "ack"  # changes nothing, and is told so by the status
        action = "ack"
    if action not in ways or status in ways[action]:
        return action
    if not ways[action] and meaning(status) not in ENDED:
        raise AlertaException(present.no_close, _REFUSED)
    raise AlertaException(f"invalid action for current {status} status", _CONFLICT)
