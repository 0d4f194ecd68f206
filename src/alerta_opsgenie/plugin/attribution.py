"""Who acts: a request by the bridge's own API key is shown under the name of the person on whose behalf it is made.

Alerta writes `g.login` into history, notes and the audit trail, and its permission decorator sets `g.scopes` last of
all. So `g` is given a class of its own that sees this, and makes the person's name of `g.login` where the key is the
bridge's (docs/decisions/0005-attribution.md). Scopes and customers stay those of the key: a name is lent, never a
right.
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
from alerta_opsgenie.plugin.alert_values import newest_timeout_seconds, word_of
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
"""Where a name can be lent: what the bridge calls, and nothing that makes keys, users or blackouts."""

READING = frozenset({"api.get_alert", "api.get_notes"})

_ACT = "api.action_alert"

_MOST_REMEMBERED = 1000
_MOST_NAMES = 5


class BridgeCall(NamedTuple):
    """On whose behalf a call is made, and what goes with it: see `core.task`, `Task.for_plugin`.

    `text` is what the history should say, without the name. `updated_ns` orders what happened to the alert (0: not
    known); `is_ahead` tells that it lies in the future. `incident_ns` is when Opsgenie made its alert (0: not known).
    `key` is the message's. `timeout_seconds` is how long the action is to last (None: not said). `person_id` is the
    vendor's name of the person. By `words` and `integration` an act that comes twice is known (`core.duplicates`).
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
    """Read what the bridge says beside what Alerta knows; times that nobody can believe are corrected.

    `claimed` is the person as the bridge names them. In what it says, people get the names that Alerta knows.
    """
    said: Mapping[str, Any] = bridge if isinstance(bridge, dict) else {}
    text, key, words, integration, person_id = (
        _text(said.get(name)) for name in ("text", "key", "words", "integration", "id")
    )
    person_id = harmless_name(person_id) or claimed
    person = shown_name(claimed, person_id)
    names = {name: shown_name(name) for name in _texts(said.get("names")) if name != claimed}
    names[claimed] = person
    if said.get("names"):
        text, words = with_names(text, names), with_names(words, names)
    updated, incident, now = _whole(said.get("updatedAt")), _whole(said.get("incident")), time.time()
    return BridgeCall(
        person,
        text,
        believable_ns(updated, now),
        is_ahead(updated, now),
        incident if believable_ns(incident, now) == incident else 0,
        key,
        _whole(timeout) or None,
        person_id,
        words or text,
        integration,
    )


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Put other names of people into a text."""
    found = sorted((name for name in names if name), key=len, reverse=True)
    pattern = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in found)
    return re.sub(pattern, lambda match: names[match.group()], text) if found else text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> List[str]:
    return [one for one in value[:_MOST_NAMES] if isinstance(one, str)] if isinstance(value, list) else []


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


class Attributed:
    """Mixed into the class of Flask's `g`."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "scopes":
            guard.attempt("finding out who calls", lambda: _authenticated(self))


def install() -> None:
    """See to it that each application of this process lends names; more calls change nothing."""
    appcontext_pushed.connect(_adopt)


def _adopt(app: Flask, **_: object) -> None:
    kind = app.app_ctx_globals_class
    is_first = not issubclass(kind, Attributed)
    if is_first:
        globals_class: Any = type("AttributedGlobals", (Attributed, kind), {})
        app.app_ctx_globals_class = globals_class
    # The context that tells of the application was made with the class from before; so may those of other threads be.
    proxy: Any = g
    present = proxy._get_current_object()  # noqa: SLF001 - as in state.py
    if not isinstance(present, Attributed):
        object.__setattr__(present, "__class__", app.app_ctx_globals_class)
    if is_first:
        guard.attempt("looking at Alerta's settings", lambda: _remark(app))


def _remark(app: Flask) -> None:
    for remark in host.remarks(app.config, __version__):
        LOG.warning("opsgenie: %s", remark)


# -- One request


def bridge_call() -> Optional[BridgeCall]:
    """On whose behalf the present call is made; None: on nobody's."""
    found: Optional[BridgeCall] = g.get("opsgenie_behalf") if has_app_context() else None
    return found


def by_bridge() -> bool:
    """Whether the present call is the bridge's, whoever it is made for."""
    return has_app_context() and bool(g.get("opsgenie_bridge"))


def note_status(status: str) -> None:
    """Note the status that the alert of the present call has now."""
    g.opsgenie_status = status


def note_timeout(alert: Alert) -> None:
    """Note how long the action of the present call lasts, as Alerta has written it."""
    g.opsgenie_timeout = newest_timeout_seconds(alert)


_warned: Dict[Optional[str], bool] = {}


def _authenticated(context: Any) -> None:
    """Decide whose name is stored, at the moment when Alerta has found out who calls."""
    if not state.is_enabled() or not has_request_context():
        return
    endpoint = request.endpoint or ""
    order.drop_forged(endpoint)
    if endpoint not in ENDPOINTS:
        return
    claimed = request.headers.get(ON_BEHALF_OF, "")
    if request.environ.get(callers.AS_BRIDGE) or callers.is_bridge(callers.shown_key(), context.scopes):
        context.opsgenie_bridge = True
        _lend(context, claimed)
    elif claimed:
        _warn(context.login)


def _lend(context: Any, claimed: str) -> None:
    person = harmless_name(unquote(claimed))
    if not person:
        return
    body = request.get_json(silent=True)
    body = body if isinstance(body, dict) else {}
    found = context.opsgenie_behalf = read_bridge_call(person, body.get("bridge"), body.get("timeout"))
    context.login = found.person
    guard.after_request("the answer to the bridge", lambda response: _answer(response, claimed))
    alert_id = str((request.view_args or {}).get("alert_id", ""))
    if request.endpoint not in READING:
        order.enter(request.endpoint or "", alert_id, found, body)


def _answer(response: Response, claimed: str) -> Response:
    """Say that the name was lent, which status the alert has now, and how long that lasts."""
    response.headers[ON_BEHALF_OF] = claimed
    if not g.get("opsgenie_status") or (request.endpoint == _ACT and "opsgenie_timeout" not in g):
        _look(response)
    if g.get("opsgenie_status"):
        response.headers[ALERT_STATUS] = g.opsgenie_status
    if g.get("opsgenie_timeout") is not None:
        response.headers[ALERT_TIMEOUT] = str(g.opsgenie_timeout)
    return response


def _look(response: Response) -> None:
    """Look at the alert where no hook told of it: in a blackout, and up to alerta 9.0.3 after an action."""
    if request.endpoint not in (_ACT, "api.set_status") or response.status_code >= 400:  # noqa: PLR2004
        return
    alert = Alert.find_by_id((request.view_args or {}).get("alert_id", ""))
    if alert:
        note_status(word_of(alert.status))
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
