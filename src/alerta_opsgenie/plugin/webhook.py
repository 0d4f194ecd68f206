"""The webhook `opsgenie`: the outgoing webhook of Opsgenie or JSM posts directly to Alerta, without a connector.

The body is the same action message that the Edge Connectors get, and the same relay handles it
(POST {Alerta's API}/webhooks/opsgenie; docs: https://support.atlassian.com/opsgenie/docs/integrate-opsgenie-with-webhook/).
The response is the outcome as JSON. Its status is 200 for a final outcome, so that the message is not sent again, and
503 for one that a retry can change.
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
        """Handle one action message. Raises AlertaException for an unknown caller."""
        if not state.is_enabled():  # Alerta loads the webhook of each installed package
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
    """Return the outcome as JSON, and log it if a person should see it."""
    body: Dict[str, Any] = {
        "status": "ok" if status == 200 else "error",  # noqa: PLR2004
        "action": action,
        "outcome": outcome.kind.value,
        "reason": outcome.reason.value,
        "message": outcome.detail,
    }
    if outcome.is_warning or outcome.kind is Kind.KEPT:
        kind, reason = outcome.kind.value, outcome.reason.value
        LOG.warning("opsgenie: webhook: %s %s (%s): %s", action, kind, reason, outcome.detail)
    response = jsonify(body)
    response.status_code = status
    if outcome.kind is Kind.KEPT:
        response.headers["Retry-After"] = str(int(outcome.retry_after_seconds or RETRY_AFTER_SECONDS))
    return response
