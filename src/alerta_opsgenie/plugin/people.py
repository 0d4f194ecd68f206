"""Converts a vendor's name of a person to a login of Alerta, and back: by OPSGENIE_PEOPLE, then by Alerta's users.

The names are for display only. If the database does not answer, the name is shown unchanged.
"""

import time
from typing import Any, Callable, Dict, Optional, Tuple

import alerta.auth  # noqa: F401 - has to be first, because it and alerta.models.user import each other
from alerta.models.alert import Alert
from alerta.models.metrics import Counter
from alerta.models.user import User

from alerta_opsgenie.agent.people import PeopleFiles
from alerta_opsgenie.core import people as rules
from alerta_opsgenie.core.people import People, harmless_name, is_account_id
from alerta_opsgenie.plugin import LOG, guard, state
from alerta_opsgenie.plugin.alert_values import Query

REMEMBER_SECONDS = 60.0
_MOST_REMEMBERED = 1000

UNUSABLE = Counter("opsgenie", "people_failures", "People file", "OPSGENIE_PEOPLE could not be used")


def _warn(text: str) -> None:
    LOG.error("opsgenie: OPSGENIE_PEOPLE: %s", text)
    guard.count(UNUSABLE)


_files = PeopleFiles(_warn)
_remembered: Dict[Tuple[str, str], Tuple[str, float]] = {}


def people() -> People:
    """Return the mapping of OPSGENIE_PEOPLE. Its file is read again when it changes."""
    found = state.settings().people
    return (_files.of(found) or {}) if isinstance(found, str) else found


def shown_name(claimed: str, vendor_id: str = "") -> str:
    """Return the login of a person by OPSGENIE_PEOPLE or Alerta's users; else the name, without markup."""
    known = people()
    for one in (vendor_id, claimed):
        if one.casefold() in known:
            return known[one.casefold()]
    return _cached("login", claimed, _login_of) or harmless_name(claimed)


def name_person(alert: Alert, attributes: Dict[str, Any], attribute: str, name: str, vendor_id: str) -> None:
    """Set an attribute to a person's name, and `ATTRIBUTE-id` to the vendor's id if that is another text.

    If it is the same, `ATTRIBUTE-id` is set to None, which removes that of an earlier person.
    """
    attributes[attribute], id_attribute = name, f"{attribute}-id"
    if vendor_id and vendor_id != name:
        attributes[id_attribute] = vendor_id
    elif id_attribute in alert.attributes or id_attribute in attributes:
        attributes[id_attribute] = None


def name_owner(alert: Alert, attributes: Dict[str, Any]) -> None:
    """Replace the owner in a request of the bridge by the person's login."""
    owner = attributes.get("owner")
    if isinstance(owner, str):
        vendor_id = attributes.get("owner-id") or owner
        name_person(alert, attributes, "owner", shown_name(owner, vendor_id), vendor_id)


def account_of(login: str) -> str:
    """Return the vendor's e-mail address or account id for a login; empty if there is no single one."""
    if "@" in login or is_account_id(login):
        return login
    return rules.account_of(login, people()) or _cached("account", login, _email_of)


def address_of(login: str) -> str:
    """Return the e-mail address of a login by OPSGENIE_PEOPLE; else the login."""
    found = rules.account_of(login, people())
    return found if "@" in found else login


def _cached(what: str, name: str, look_up: Callable[[str], str]) -> str:
    now = time.monotonic()
    known = _remembered.get((what, name))
    if known is None or known[1] < now:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        until = now + REMEMBER_SECONDS
        guard.attempt("looking up a person", lambda: _remembered.update({(what, name): (look_up(name), until)}))
        known = _remembered.get((what, name), ("", until))
    return known[0]


def _login_of(name: str) -> str:
    user = User.find_by_username(name) or User.find_by_username(name.lower()) or _by_display_name(name)
    return harmless_name(user.login) if user else ""


def _by_display_name(name: str) -> Optional[User]:
    """Return the only user with that name. A user may choose any name, so an address or account id is not looked up."""
    if not name or "@" in name or is_account_id(name):
        return None
    of_postgres, of_mongodb = ("name=%(name)s", "login"), ({"name": name}, [("login", 1)])
    where, sort = of_postgres if state.process().memory else of_mongodb
    found = User.find_all(Query(where, {"name": name}, sort), page=1, page_size=2)
    return found[0] if len(found) == 1 else None


def _email_of(login: str) -> str:
    user = User.find_by_username(login)
    email = harmless_name(user.email or "") if user else ""
    return email if "@" in email else ""
