"""Translates the bridge's requests for Alerta's alarm model, and refuses those that the model cannot do."""

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
    """Return the alarm model of the current application."""
    return MODELS.get(str(current_app.config["ALARM_MODEL"]).lower(), ALERTA)


def translate(alert: Alert, body: Dict[str, Any]) -> None:
    """Replace the action or the status in a request of the bridge by the alarm model's own.

    Raises AlertaException for an action that the alert's status does not allow: 409 as the usual model does, after
    which the relay reads the alert, and 400 if the model never allows it.
    """
    current = model()
    if current.ways is None:
        return
    if "status" in body:
        body["status"] = current.status(body["status"])
    elif "action" in body:
        body["action"] = _allowed_action(current, text_of(alert.status), str(body["action"]))


def _allowed_action(current: AlarmModel, status: str, action: str) -> str:
    if meaning(status) == BLACKOUT:
        raise AlertaException(f"the alarm is {status}: only an operator of Alerta puts it back into service", _REFUSED)
    ways = current.ways or {}
    if action == "close" and state.settings().close_acknowledges:
        if status == "ACKED":
            return "ack"  # changes nothing; the response has the status
        action = "ack"
    if action not in ways or status in ways[action]:
        return action
    if not ways[action] and meaning(status) not in ENDED:
        raise AlertaException(current.no_close, _REFUSED)
    raise AlertaException(f"invalid action for current {status} status", _CONFLICT)
