"""Who acts: a request by the bridge's own API key is shown under the name of the person on whose behalf it is made.

Alerta's views write `g.login` into history, notes and the audit trail, and it is set in one place, by its permission
decorator, once the key is known to be good. So `g` is given a class of its own (`Flask.app_ctx_globals_class`) that
sees this assignment: when the key is the bridge's and the header names a person, the person's name is what is stored.
This covers each endpoint alike, those without a plugin hook and alerts in a blackout included
(docs/decisions/0005-attribution.md). Scopes and customers stay those of the key: a name is lent, never a right.
"""

import logging
import time
from typing import Any, Dict, FrozenSet, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import unquote

from alerta.models.alert import Alert
from alerta.models.user import User
from flask import (
    Flask,
    Response,
    after_this_request,
    appcontext_pushed,
    g,
    has_app_context,
    has_request_context,
    request,
)
from flask.globals import app_ctx

from alerta_opsgenie.clients.alerta import ALERT_STATUS, ON_BEHALF_OF
from alerta_opsgenie.core.message import clean_name
from alerta_opsgenie.plugin import order, state

LOG = logging.getLogger("alerta.plugins.opsgenie")

ENDPOINTS: FrozenSet[str] = frozenset(
    f"api.{name}"
    for name in (
        "get_alert", "get_notes", "action_alert", "set_status", "add_note", "delete_alert", "update_attributes",
        "tag_alert", "untag_alert",
    )
)
"""Where a name can be lent: what the bridge calls, and nothing that makes keys, users or blackouts."""

READING = frozenset({"api.get_alert", "api.get_notes"})

REMEMBER_SECONDS = 60.0
_MOST_REMEMBERED = 1000


class Behalf(NamedTuple):
    """On whose behalf a call is made, and what goes with it: see `core.relay`, `_Work.bridge`.

    `text` is what the history should say, without the name; `updated_ns` orders what happened to the alert; `key` is
    the message's.
    """

    person: str
    text: str = ""
    updated_ns: int = 0
    key: str = ""


def read_behalf(person: str, bridge: Any) -> Behalf:
    """Read what the bridge says beside what Alerta knows."""
    said: Mapping[str, Any] = bridge if isinstance(bridge, dict) else {}
    text, updated, key = said.get("text"), said.get("updatedAt"), said.get("key")
    return Behalf(
        person,
        text if isinstance(text, str) else "",
        updated if isinstance(updated, int) and not isinstance(updated, bool) else 0,
        key if isinstance(key, str) else "",
    )


class Attributed:
    """Mixed into the class of Flask's `g`."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "login":
            value = _login_to_show(self, value)
        super().__setattr__(name, value)


def install() -> None:
    """See to it that each application of this process lends names; more calls change nothing."""
    appcontext_pushed.connect(_adopt)


def _adopt(app: Flask, **_: object) -> None:
    kind = app.app_ctx_globals_class
    if issubclass(kind, Attributed):
        return
    globals_class: Any = type("AttributedGlobals", (Attributed, kind), {})
    app.app_ctx_globals_class = globals_class
    # The context that tells of the application was made with the class from before.
    attributed = globals_class()
    attributed.__dict__.update(app_ctx.g.__dict__)
    app_ctx.g = attributed


# -- One request


def behalf() -> Optional[Behalf]:
    """On whose behalf the present call is made; None: on nobody's."""
    found: Optional[Behalf] = g.get("opsgenie_behalf") if has_app_context() else None
    return found


def by_bridge() -> bool:
    """Whether the present call is the bridge's, whoever it is made for."""
    return has_app_context() and bool(g.get("opsgenie_bridge"))


def act_for(person: Behalf) -> None:
    """Make what follows in this context the deed of a person, for the webhook."""
    g.opsgenie_bridge = True
    g.opsgenie_behalf = person
    g.login = person.person


def tell_status(status: str) -> None:
    """Note the status that the alert of the present call has now."""
    g.opsgenie_status = status


def name_of(claimed: str) -> str:
    """Give the login of the user whom Alerta knows by that login or e-mail address, else the name as it is."""
    now = time.monotonic()
    known = _known.get(claimed)
    if known is None or known[1] < now:
        user = User.find_by_username(claimed) or User.find_by_username(claimed.lower())
        if len(_known) >= _MOST_REMEMBERED:
            _known.clear()
        known = _known[claimed] = (user.login if user else claimed, now + REMEMBER_SECONDS)
    return known[0]


_known: Dict[str, Tuple[str, float]] = {}
_warned: Dict[Optional[str], bool] = {}


def _login_to_show(context: Any, login: Optional[str]) -> Optional[str]:
    """Decide whose name is stored, at the moment when Alerta has checked the key."""
    if not state.is_enabled() or not has_request_context() or request.endpoint not in ENDPOINTS:
        return login
    is_bridge = login is not None and context.get("user_id") is None and login in state.settings().bridge_users
    if is_bridge:
        context.opsgenie_bridge = True
    claimed = request.headers.get(ON_BEHALF_OF, "")
    if not claimed:
        return login
    if not is_bridge:
        _warn(login)
        return login
    return _lend(context, claimed) or login


def _lend(context: Any, claimed: str) -> str:
    person = clean_name(unquote(claimed))
    if not person:
        return ""
    person = name_of(person)
    body = request.get_json(silent=True)
    found = context.opsgenie_behalf = read_behalf(person, body.get("bridge") if isinstance(body, dict) else None)
    after_this_request(lambda response: _answer(response, claimed))
    alert_id = str((request.view_args or {}).get("alert_id", ""))
    if request.endpoint not in READING:
        order.enter(request.endpoint or "", alert_id, found.updated_ns, body if isinstance(body, dict) else {})
    return person


def _answer(response: Response, claimed: str) -> Response:
    """Say that the name was lent, and which status the alert has now."""
    response.headers[ON_BEHALF_OF] = claimed
    status = g.get("opsgenie_status") or _look_status(response)
    if status:
        response.headers[ALERT_STATUS] = status
    return response


def _look_status(response: Response) -> str:
    """Look the status up where no hook of ours was called, as for an alert in a blackout."""
    if request.endpoint not in ("api.action_alert", "api.set_status") or response.status_code >= 400:  # noqa: PLR2004
        return ""
    alert = Alert.find_by_id((request.view_args or {}).get("alert_id", ""))
    return str(alert.status) if alert else ""


def _warn(login: Optional[str]) -> None:
    if login not in _warned:
        _warned[login] = True
        LOG.warning(
            "opsgenie: the key of %s sends %s, which is ignored: only a user in OPSGENIE_BRIDGE_USER acts for others",
            login or "nobody",
            ON_BEHALF_OF,
        )
