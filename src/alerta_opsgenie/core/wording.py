"""An alert of Alerta's as plain values, and the words that the other side is told about it."""

import datetime as dt
import string
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

STOCK_TEXTS = frozenset(
    [f"{action} operator action" for action in ("open", "assign", "ack", "unack", "shelve", "unshelve", "close")]
    + ["bulk status update", "status change via console"]
)
"""Texts that Alerta and its web interface put where the operator wrote nothing."""


class HistoryEntry(NamedTuple):
    """One entry of an alert's history; `at_seconds` since the epoch, `timeout_seconds` None where it has none."""

    change: str
    status: str = ""
    severity: str = ""
    id: str = ""
    at_seconds: float = 0.0
    timeout_seconds: Optional[int] = None
    text: str = ""


class AlertValues(NamedTuple):
    """An alert as it is after the event.

    `history` has the newest entry first; `received_id` is the last receipt's, `received_at_seconds` the first one's.
    The statuses are in the words of the usual alarm model; `shown_status` is Alerta's own, where it has another one.
    `account` is what the vendor knows the owner by (an e-mail address or an account id), where that is known.
    """

    id: str
    resource: str = ""
    event: str = ""
    environment: str = ""
    severity: str = ""
    status: str = "open"
    service: Tuple[str, ...] = ()
    group: str = ""
    value: str = ""
    text: str = ""
    tags: Tuple[str, ...] = ()
    attributes: Mapping[str, Any] = {}
    origin: str = ""
    type: str = ""
    customer: str = ""
    previous_severity: str = ""
    trend: str = ""
    duplicates: int = 0
    repeat: bool = False
    received_id: str = ""
    history: Tuple[HistoryEntry, ...] = ()
    shown_status: str = ""
    received_at_seconds: float = 0.0
    account: str = ""

    @property
    def is_new(self) -> bool:
        """Whether this is the first that was heard of it."""
        return not self.repeat and len(self.history) == 1 and self.history[0].change == "new"

    @property
    def owner(self) -> str:
        """The attribute `owner`, which the bridge sets for an assignment."""
        value = self.attributes.get("owner")
        return value if isinstance(value, str) else ""


class Templates(NamedTuple):
    """Texts with the names of fields in braces; an empty one stands for the built-in wording."""

    message: str = ""
    description: str = ""
    entity: str = ""
    tags: Tuple[str, ...] = ()


EARLIER_TEMPLATES: Mapping[str, Templates] = {
    "5.0": Templates(message="[ {environment} ]: {severity}: {text}", entity="{environment}")
}
"""The wording of earlier plugins by version: alerta-contrib, plugins/opsgenie/alerta_opsgenie.py of 5.0.3."""


class TemplateError(ValueError):
    """A template of the settings cannot be used; the text says which one and why."""


FIELDS = (
    "id", "resource", "event", "environment", "severity", "status", "service", "group", "value", "text", "tags",
    "origin", "type", "customer", "previous_severity", "trend", "duplicates",
)  # fmt: skip
"""What a template can name, beside `attributes.NAME`."""


def message(alert: AlertValues, templates: Templates) -> str:
    """Word the message: `severity: text -> value`."""
    if templates.message:
        return fill_template(templates.message, alert) or alert.event
    what = alert.text or f"{alert.event} on {alert.resource}"
    return f"{alert.severity}: {what}" + (f" -> {alert.value}" if alert.value else "")


def description(alert: AlertValues, templates: Templates) -> str:
    """Word the description: the whole text."""
    return fill_template(templates.description, alert) if templates.description else alert.text


def entity(alert: AlertValues, templates: Templates) -> str:
    """Word the entity: `services-environment`."""
    if templates.entity:
        return fill_template(templates.entity, alert)
    return "-".join(part for part in (", ".join(alert.service), alert.environment) if part)


def tags(alert: AlertValues, templates: Templates) -> List[str]:
    """Word the tags: environment, resource, services, event. A template `{tags}` or `{service}` gives each of them."""
    if not templates.tags:
        return [alert.environment, alert.resource, *alert.service, alert.event]
    lists = {"{tags}": alert.tags, "{service}": alert.service}
    return [tag for template in templates.tags for tag in lists.get(template, (fill_template(template, alert),))]


def details(alert: AlertValues, dashboard_url: str, attributes: Sequence[str]) -> Dict[str, str]:
    """Word the details: the existing plugin's, and what else tells the alert from others; all are texts."""
    values = {
        "web_url": f"{dashboard_url.rstrip('/')}/#/alert/{alert.id}" if dashboard_url else "",
        "environment": alert.environment,
        "resource": alert.resource,
        "service": ", ".join(alert.service),
        "origin": alert.origin,
        "event": alert.event,
        "group": alert.group,
        "value": alert.value,
        "trendIndication": alert.trend,
        "severity": alert.severity,
        "previousSeverity": alert.previous_severity,
        "duplicateCount": str(alert.duplicates),
        "customer": alert.customer,
        **{name: attribute_text(alert.attributes.get(name)) for name in attributes},
    }
    return {name: value for name, value in values.items() if value}


def values(alert: AlertValues) -> Dict[str, Tuple[str, ...]]:
    """Give what a route can match on."""
    single = ("resource", "environment", "group", "event", "severity", "text", "customer", "origin", "type")
    found: Dict[str, Tuple[str, ...]] = {name: (getattr(alert, name),) for name in single}
    found.update({f"attributes.{name}": (attribute_text(value),) for name, value in alert.attributes.items()})
    return {**found, "service": alert.service, "tag": alert.tags}


SENTENCES: Mapping[str, str] = {
    "severity changed": "The severity changed from {before} to {now} in Alerta",
    "severity changed to one that is not sent": "The severity changed from {before} to {now} in Alerta",
    "unack": "Unacknowledged in Alerta",
    "shelve": "Shelved in Alerta until {until}",
    "unshelve, to open": "Unshelved in Alerta",
    "unshelve, to ack": "Unshelved in Alerta, still acknowledged",
    "shelve timed out, to open": "The time for which it was shelved in Alerta is over",
    "shelve timed out, to ack": "The time for which it was shelved in Alerta is over; still acknowledged",
    "expired": "Expired in Alerta",
    "delete": "Deleted in Alerta",
    "assign": "Assigned in Alerta",
}
"""What is said of an event (by its name) for which the vendor has no call."""


def note_text(event: str, alert: AlertValues, remark: str = "", until_seconds: Optional[float] = None) -> str:
    """Say what happened in Alerta, for a note; `remark` is what the operator wrote."""
    said = SENTENCES[event].format(
        before=alert.previous_severity or "?",
        now=alert.severity,
        until="further notice" if until_seconds is None else iso_utc(until_seconds),
    )
    if event == "assign" and alert.owner:
        said += f" to {alert.owner}"
    return said + (f": {remark}" if remark else "")


def iso_utc(seconds: float) -> str:
    """Write an instant as ISO 8601 in UTC, whole seconds."""
    moment = dt.datetime.fromtimestamp(round(seconds), dt.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def attribute_text(value: Any) -> str:
    """Make a text of an attribute's value; nothing of one that has parts."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (str, int, float)) else ""


# -- Templates


class _Filler(string.Formatter):
    """Names of fields alone: no attributes, no items of objects, so that a template reaches nothing else."""

    def get_field(self, field_name: str, _args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tuple[Any, str]:
        if field_name not in kwargs and not field_name.startswith("attributes."):
            raise KeyError(field_name)
        return kwargs.get(field_name, ""), field_name


def fill_template(template: str, alert: AlertValues) -> str:
    """Put the alert's values into a template; an attribute that the alert has not is empty."""
    values = {name: getattr(alert, name) for name in FIELDS}
    known = {name: ", ".join(value) if isinstance(value, tuple) else str(value) for name, value in values.items()}
    known["status"] = alert.shown_status or alert.status
    known.update({f"attributes.{name}": attribute_text(value) for name, value in alert.attributes.items()})
    return _Filler().vformat(template, (), known)


def check_template(setting: str, template: str) -> str:
    """Give the template back if it can be used. Raises `TemplateError`."""
    try:
        fill_template(template, AlertValues("id"))
    except KeyError as error:
        raise TemplateError(
            f"{setting}: no field {error.args[0]!r}; there are {', '.join(FIELDS)} and attributes.NAME"
        ) from None
    except (ValueError, IndexError) as error:
        raise TemplateError(f"{setting}: {template!r} is no template: {error}") from None
    return template
