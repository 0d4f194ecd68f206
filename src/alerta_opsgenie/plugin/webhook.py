"""The webhook `opsgenie`: Opsgenie's or JSM's outgoing webhook posts straight to Alerta, and no connector is needed.

The body is the same action message that the Edge Connectors get, and the same relay decides
(POST {Alerta's API}/webhooks/opsgenie; docs: https://support.atlassian.com/opsgenie/docs/integrate-opsgenie-with-webhook/).
The answer is the outcome as JSON. Its status is 200 for whatever is final, so that the message is not sent again, and
503 for what another try can do.
"""

import time
from typing import Any, Dict

from alerta.exceptions import AlertaException
from alerta.webhooks import WebhookBase
from flask import Response, jsonify, request

from alerta_opsgenie.core.message import LARGEST_MESSAGE_BYTES, MessageError, parse, with_people
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.people import clean_name
from alerta_opsgenie.core.relay import relay
from alerta_opsgenie.core.task import AttemptContext, run_relay
from alerta_opsgenie.plugin import LOG, callers, inprocess, people, state

RETRY_AFTER_SECONDS = 10


class OpsgenieWebhook(WebhookBase):  # type: ignore[misc]
    """Let people act on Alerta's alerts in Opsgenie or JSM Operations, by its outgoing webhook."""

    def __init__(self, name: str = "opsgenie") -> None:
        super().__init__(name)

    def incoming(self, path: str, query_string: Any, payload: Any) -> Response:  # noqa: ARG002 - Alerta's signature
        """Take one action message and do what it asks for. Raises AlertaException for whoever may not post here."""
        if not state.is_enabled():  # Alerta makes the webhook as soon as the package is there
            raise AlertaException("the webhook is off: put opsgenie into PLUGINS", code=404)
        caller = callers.caller()
        if request.method != "POST":
            return _answer("", Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, "expected a POST"), 405)
        if (request.content_length or 0) > LARGEST_MESSAGE_BYTES:
            return _answer("", Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, "the message is too large"), 413)
        try:
            message = with_people(parse(request.get_data()), people.people() or None)
        except MessageError as error:
            return _answer("", Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error)), 200)
        outcome = run_relay(
            relay(message, state.settings().relay, AttemptContext(time.time())),
            lambda call: inprocess.perform(call, caller),
        )
        return _answer(clean_name(message.action), outcome, 503 if outcome.kind is Kind.KEPT else 200)


def _answer(action: str, outcome: Outcome, status: int) -> Response:
    """Give the outcome as JSON, and a line of it in the log where a person should look."""
    said: Dict[str, Any] = {
        "status": "ok" if status == 200 else "error",  # noqa: PLR2004
        "action": action,
        "outcome": outcome.kind.value,
        "reason": outcome.reason.value,
        "message": outcome.detail,
    }
    if outcome.is_warning or outcome.kind is Kind.KEPT:
        kind, reason = outcome.kind.value, outcome.reason.value
        LOG.warning("opsgenie: webhook: %s %s (%s): %s", action, kind, reason, outcome.detail)
    response = jsonify(said)
    response.status_code = status
    if outcome.kind is Kind.KEPT:
        response.headers["Retry-After"] = str(int(outcome.retry_after_seconds or RETRY_AFTER_SECONDS))
    return response
