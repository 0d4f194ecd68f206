"""An alert of Alerta as plain values, and the texts that are sent to the vendor about it."""

import datetime as dt
import string
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

STOCK_TEXTS = frozenset(
    [f"{action} operator action" for action in ("open", "assign", "ack", "unack", "shelve", "unshelve", "close")]
    + ["bulk status update", "status change via console"]
)
"""Default texts of Alerta and its web interface, for an operator who wrote none."""


class HistoryEntry(NamedTuple):
    """One entry of an alert's history; `at_seconds` since the epoch, `timeout_seconds` None if it has none."""

    change: str
    status: str = ""
    severity: str = ""
    id: str = ""
    at_seconds: float = 0.0
    timeout_seconds: Optional[int] = None
    text: str = ""


class AlertValues(NamedTuple):
    """An alert after the event.

    `history` has the newest entry first. `received_id` is of the last receipt, `received_at_seconds` of the first. The
    statuses are those of the default alarm model; `shown_status` is Alerta's own if it uses another model. `account` is
    the vendor's id of the owner (an e-mail address or an account id), if known.
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
        """Whether Alerta has received this alert for the first time."""
        return not self.repeat and len(self.history) == 1 and self.history[0].change == "new"

    @property
    def owner(self) -> str:
        """The attribute `owner`, which the bridge sets when the alert is assigned."""
        value = self.attributes.get("owner")
        return value if isinstance(value, str) else ""


class Templates(NamedTuple):
    """Texts with the names of fields in braces; empty: the default text."""

    message: str = ""
    description: str = ""
    entity: str = ""
    tags: Tuple[str, ...] = ()


EARLIER_TEMPLATES: Mapping[str, Templates] = {
    "5.0": Templates(message="[ {environment} ]: {severity}: {text}", entity="{environment}")
}
"""The texts of old plugins by version: alerta-contrib, plugins/opsgenie/alerta_opsgenie.py of 5.0.3."""


class TemplateError(ValueError):
    """A template in the settings cannot be used; the text says which one and why."""


FIELDS = (
    "id", "resource", "event", "environment", "severity", "status", "service", "group", "value", "text", "tags",
    "origin", "type", "customer", "previous_severity", "trend", "duplicates",
)  # fmt: skip
"""The fields of a template, in addition to `attributes.NAME`."""


def message(alert: AlertValues, templates: Templates) -> str:
    """Return the message: `severity: text -> value`."""
    if templates.message:
        return fill_template(templates.message, alert) or alert.event
    what = alert.text or f"{alert.event} on {alert.resource}"
    return f"{alert.severity}: {what}" + (f" -> {alert.value}" if alert.value else "")


def description(alert: AlertValues, templates: Templates) -> str:
    """Return the description: the whole text."""
    return fill_template(templates.description, alert) if templates.description else alert.text


def entity(alert: AlertValues, templates: Templates) -> str:
    """Return the entity: `services-environment`."""
    if templates.entity:
        return fill_template(templates.entity, alert)
    return "-".join(part for part in (", ".join(alert.service), alert.environment) if part)


def tags(alert: AlertValues, templates: Templates) -> List[str]:
    """Return the tags: environment, resource, services, event. `{tags}` or `{service}` makes several tags."""
    if not templates.tags:
        return [alert.environment, alert.resource, *alert.service, alert.event]
    lists = {"{tags}": alert.tags, "{service}": alert.service}
    return [tag for template in templates.tags for tag in lists.get(template, (fill_template(template, alert),))]


def details(alert: AlertValues, dashboard_url: str, attributes: Sequence[str]) -> Dict[str, str]:
    """Return the details: those of the old plugin, and other fields that identify the alert; all are texts."""
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
    """Return the values that a route can match on."""
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
"""The note for each event (by its name) for which the vendor has no call."""


def note_text(event: str, alert: AlertValues, operator_text: str = "", until_seconds: Optional[float] = None) -> str:
    """Return the text of a note about an event; `operator_text` is what the operator wrote."""
    text = SENTENCES[event].format(
        before=alert.previous_severity or "?",
        now=alert.severity,
        until="further notice" if until_seconds is None else iso_utc(until_seconds),
    )
    if event == "assign" and alert.owner:
        text += f" to {alert.owner}"
    return text + (f": {operator_text}" if operator_text else "")


def iso_utc(seconds: float) -> str:
    """Return an instant as ISO 8601 in UTC, in whole seconds."""
    moment = dt.datetime.fromtimestamp(round(seconds), dt.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def attribute_text(value: Any) -> str:
    """Return the value of an attribute as a text; empty for a list or an object."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (str, int, float)) else ""


# -- Templates


class _Filler(string.Formatter):
    """Allows only names of fields: a template cannot read attributes or items of objects."""

    def get_field(self, field_name: str, _args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tuple[Any, str]:
        if field_name not in kwargs and not field_name.startswith("attributes."):
            raise KeyError(field_name)
        return kwargs.get(field_name, ""), field_name


def fill_template(template: str, alert: AlertValues) -> str:
    """Return the template with the alert's values; a missing attribute is empty."""
    values = {name: getattr(alert, name) for name in FIELDS}
    known = {name: ", ".join(value) if isinstance(value, tuple) else str(value) for name, value in values.items()}
    known["status"] = alert.shown_status or alert.status
    known.update({f"attributes.{name}": attribute_text(value) for name, value in alert.attributes.items()})
    return _Filler().vformat(template, (), known)


def check_template(setting: str, template: str) -> str:
    """Return the template if it can be used. Raises `TemplateError`."""
    try:
        fill_template(template, AlertValues("id"))
    except KeyError as error:
        raise TemplateError(
            f"{setting}: no field {error.args[0]!r}; there are {', '.join(FIELDS)} and attributes.NAME"
        ) from None
    except (ValueError, IndexError) as error:
        raise TemplateError(f"{setting}: {template!r} is no template: {error}") from None
    return template
