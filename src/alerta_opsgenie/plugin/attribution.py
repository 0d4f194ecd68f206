"""Attribution: Alerta shows a request with the bridge's API key under the name of the person who acts.

Alerta writes `g.login` into history, notes and the audit trail. Its permission decorator sets `g.scopes` last, once the
request is authenticated. So the class of `g` is extended to run code then, and to set `g.login` to the person's name if
the key is the bridge's (docs/decisions/0005-attribution.md). Scopes and customers stay those of the key: the person's
name gives no rights.
"""

import re
import time
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional
from urllib.parse import unquote

from alerta.models.alert import Alert
from alerta.version import __version__
from flask import Flask, Response, appcontext_pushed, g, has_app_context, has_request_context, request

from alerta_opsgenie.clients.alerta import ALERT_STATUS, ALERT_TIMEOUT, ON_BEHALF_OF
from alerta_opsgenie.core.order import believable_ns, is_ahead
from alerta_opsgenie.core.people import harmless_name
from alerta_opsgenie.plugin import LOG, callers, guard, host, order, state
from alerta_opsgenie.plugin.alert_values import newest_timeout_seconds, usual_status
from alerta_opsgenie.plugin.people import shown_name

ENDPOINTS: FrozenSet[str] = frozenset(
    f"api.{name}"
    for name in (
        "get_alert",
        "get_notes",
        "action_alert",
        "set_status",
        "add_note",
        "delete_alert",
        "update_attributes",
        "tag_alert",
        "untag_alert",
    )
)
"""The views that the bridge calls, where attribution works: none that creates keys, users or blackouts."""

READING = frozenset({"api.get_alert", "api.get_notes"})

_ACT = "api.action_alert"

_MOST_REMEMBERED = 1000
_MOST_NAMES = 5


class BridgeCall(NamedTuple):
    """The person on whose behalf the bridge calls, and the body's `bridge` (`Task.for_plugin` in `core.task`).

    `text` is the text for the history, without the name. `updated_ns` is the time of the action (0: unknown);
    `is_ahead`: it is in the future. `incident_ns` is when Opsgenie made its alert (0: unknown). `key` is the message's
    idempotency key. `timeout_seconds` is how long the action lasts (None: not given). `person_id` is the vendor's id of
    the person. `words` and `integration` identify duplicates (`core.duplicates`).
    """

    person: str
    text: str = ""
    updated_ns: int = 0
    is_ahead: bool = False
    incident_ns: int = 0
    key: str = ""
    timeout_seconds: Optional[int] = None
    person_id: str = ""
    words: str = ""
    integration: str = ""


def read_bridge_call(claimed: str, bridge: Any, timeout: Any = None) -> BridgeCall:
    """Read the body's `bridge`. Times too far in the future are replaced: `updatedAt` by now, `incident` by 0.

    `claimed` is the person's name in the header. In the texts, names of people are replaced by their names in Alerta.
    """
    fields: Mapping[str, Any] = bridge if isinstance(bridge, dict) else {}
    text, key, words, integration, person_id = (
        _text(fields.get(name)) for name in ("text", "key", "words", "integration", "id")
    )
    person_id = harmless_name(person_id) or claimed
    person = shown_name(claimed, person_id)
    names = {name: shown_name(name) for name in _texts(fields.get("names")) if name != claimed}
    names[claimed] = person
    if fields.get("names"):
        text, words = with_names(text, names), with_names(words, names)
    updated, incident, now = _positive(fields.get("updatedAt")), _positive(fields.get("incident")), time.time()
    return BridgeCall(
        person,
        text,
        believable_ns(updated, now),
        is_ahead(updated, now),
        incident if believable_ns(incident, now) == incident else 0,
        key,
        _positive(timeout) or None,
        person_id,
        words or text,
        integration,
    )


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Replace names of people in a text, as whole words."""
    found = sorted((name for name in names if name), key=len, reverse=True)
    pattern = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in found)
    return re.sub(pattern, lambda match: names[match.group()], text) if found else text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> List[str]:
    return [one for one in value[:_MOST_NAMES] if isinstance(one, str)] if isinstance(value, list) else []


def _positive(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


class AttributedGlobals:
    """A base class for Flask's `g`, which runs `_authenticated` when Alerta sets `g.scopes`."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "scopes":
            guard.attempt("the attribution of a request", lambda: _authenticated(self))


def install() -> None:
    """Extend the class of `g` of each application of this process. A second call changes nothing."""
    appcontext_pushed.connect(_extend_globals)


def _extend_globals(app: Flask, **_: object) -> None:
    kind = app.app_ctx_globals_class
    is_first = not issubclass(kind, AttributedGlobals)
    if is_first:
        globals_class: Any = type("OpsgenieGlobals", (AttributedGlobals, kind), {})
        app.app_ctx_globals_class = globals_class
    # The `g` of this context, and of other threads, may have been made before its class was extended.
    proxy: Any = g
    current = proxy._get_current_object()  # noqa: SLF001 - as in state.py
    if not isinstance(current, AttributedGlobals):
        object.__setattr__(current, "__class__", app.app_ctx_globals_class)
    if is_first:
        guard.attempt("a check of Alerta's settings", lambda: _log_warnings(app))


def _log_warnings(app: Flask) -> None:
    for warning in host.warnings(app.config, __version__):
        LOG.warning("opsgenie: %s", warning)


# -- One request


def bridge_call() -> Optional[BridgeCall]:
    """Return the current call of the bridge; None if it is not the bridge's or names no person."""
    found: Optional[BridgeCall] = g.get("opsgenie_behalf") if has_app_context() else None
    return found


def by_bridge() -> bool:
    """Whether the bridge makes the current call, also without a person's name."""
    return has_app_context() and bool(g.get("opsgenie_bridge"))


def note_status(status: str) -> None:
    """Set the status of the current call's alert, for the response's header."""
    g.opsgenie_status = status


def note_timeout(alert: Alert) -> None:
    """Set how long the action of the current call lasts, as Alerta wrote it, for the response's header."""
    g.opsgenie_timeout = newest_timeout_seconds(alert)


_warned: Dict[Optional[str], bool] = {}


def _authenticated(context: Any) -> None:
    """Set the login to the person's name. Runs when Alerta has authenticated the request."""
    if not state.is_enabled() or not has_request_context():
        return
    endpoint = request.endpoint or ""
    order.drop_forged(endpoint)
    if endpoint not in ENDPOINTS:
        return
    claimed = request.headers.get(ON_BEHALF_OF, "")
    if request.environ.get(callers.AS_BRIDGE) or callers.is_bridge_key(callers.shown_key(), context.scopes):
        context.opsgenie_bridge = True
        _act_as(context, claimed)
    elif claimed:
        _warn(context.login)


def _act_as(context: Any, claimed: str) -> None:
    person = harmless_name(unquote(claimed))
    if not person:
        return
    body = request.get_json(silent=True)
    body = body if isinstance(body, dict) else {}
    found = context.opsgenie_behalf = read_bridge_call(person, body.get("bridge"), body.get("timeout"))
    context.login = found.person
    guard.after_request("the response to the bridge", lambda response: _add_headers(response, claimed))
    alert_id = str((request.view_args or {}).get("alert_id", ""))
    if request.endpoint not in READING:
        order.prepare_call(request.endpoint or "", alert_id, found, body)


def _add_headers(response: Response, claimed: str) -> None:
    """Add the person's name, the alert's status and its timeout as headers to the response."""
    response.headers[ON_BEHALF_OF] = claimed
    if not g.get("opsgenie_status") or (request.endpoint == _ACT and "opsgenie_timeout" not in g):
        _read_status(response)
    if g.get("opsgenie_status"):
        response.headers[ALERT_STATUS] = g.opsgenie_status
    if g.get("opsgenie_timeout") is not None:
        response.headers[ALERT_TIMEOUT] = str(g.opsgenie_timeout)


def _read_status(response: Response) -> None:
    """Read the alert if no hook was called: in a blackout, and after an action up to alerta 9.0.3."""
    if request.endpoint not in (_ACT, "api.set_status") or response.status_code >= 400:  # noqa: PLR2004
        return
    alert = Alert.find_by_id((request.view_args or {}).get("alert_id", ""))
    if alert:
        note_status(usual_status(alert.status))
        if request.endpoint == _ACT:
            note_timeout(alert)


def _warn(login: Optional[str]) -> None:
    if login not in _warned and len(_warned) < _MOST_REMEMBERED:
        _warned[login] = True
        LOG.warning(
            "opsgenie: the key of %s sends %s, which is ignored: only a key in OPSGENIE_BRIDGE_KEY acts for others",
            login or "nobody",
            ON_BEHALF_OF,
        )
