"""Routes: with which key, teams and priority an alert is sent, or that it is not sent.

Senders of alerts choose the texts that the patterns are matched against, so each pattern is bounded (`patterns`).
"""

from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple

from .message import PRIORITIES
from .patterns import BoundedPattern, PatternError

FIELDS = frozenset(
    {"resource", "environment", "service", "group", "event", "severity", "tag", "customer", "origin", "type", "text"}
)
"""What a route can match on, apart from `attributes.NAME`; `service` and `tag` match if one of the values does."""

DEFAULT = "default"
"""The name of the route for alerts that no other route matches."""

Values = Mapping[str, Sequence[str]]
"""An alert's values of each field."""


class RouteError(ValueError):
    """A route in the settings cannot be used; the text says which one and why."""


class Route(NamedTuple):
    """One route. `teams` and `priority` of None mean the general setting. With `send` of False the alert is not sent.

    `whole`: a pattern must match the whole value. The old plugin's matchers need to match only its beginning.
    """

    name: str
    patterns: Tuple[Tuple[str, BoundedPattern], ...] = ()
    teams: Optional[Tuple[str, ...]] = None
    priority: Optional[str] = None
    send: bool = True
    whole: bool = True

    def matches(self, values: Values) -> bool:
        """Whether each of its patterns matches."""
        return all(pattern.fits(values.get(field, ()), whole=self.whole) for field, pattern in self.patterns)


def choose(routes: Sequence[Route], values: Values) -> Route:
    """Return the first route that matches, or the default one."""
    return next((route for route in routes if route.matches(values)), Route(DEFAULT))


def read_matcher(number: int, entry: Any) -> Route:
    """Read one of SERVICE_KEY_MATCHERS: `{"regex": ..., "api_key": ...}`. It matches the beginning of the resource."""
    where = f"SERVICE_KEY_MATCHERS[{number}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("regex"), str):
        raise RouteError(f'{where}: expected {{"regex": "...", "api_key": "..."}}')
    return Route(f"matcher {entry['regex']}", (("resource", _pattern(where, entry["regex"])),), whole=False)


def read_route(number: int, entry: Any) -> Route:
    """Read one of OPSGENIE_ROUTES.

    `{"match": {"environment": "Prod.*", "tag": ["db", "sql"]}, "api_key_file": ..., "teams": [...], "priority": "P1"}`
    """
    where = f"OPSGENIE_ROUTES[{number}]"
    match = entry.get("match") if isinstance(entry, dict) else None
    if not isinstance(match, dict) or not match:
        raise RouteError(f'{where}: expected {{"match": {{FIELD: PATTERN}}, ...}}')
    unknown = set(entry) - {"name", "match", "api_key", "api_key_file", "teams", "priority", "send"}
    if unknown:
        raise RouteError(f"{where}: unknown: {', '.join(sorted(map(str, unknown)))}")
    return Route(
        name=f"route {entry.get('name', number)}",
        patterns=tuple((_field(where, name), _pattern(where, wanted)) for name, wanted in match.items()),
        teams=None if entry.get("teams") is None else read_names(entry["teams"]),
        priority=None if entry.get("priority") is None else read_priority(where, entry["priority"]),
        send=bool(entry.get("send", True)),
    )


def read_names(value: Any) -> Tuple[str, ...]:
    """Read a list of names, or a text with commas, as in an environment variable."""
    parts = value.split(",") if isinstance(value, str) else (value or ())
    return tuple(name for name in (str(part).strip() for part in parts) if name)


def read_priority(where: str, value: Any) -> str:
    """Read P1 to P5."""
    text = str(value).strip().upper()
    if text not in PRIORITIES:
        raise RouteError(f"{where}: the priority {value!r} is none of {', '.join(PRIORITIES)}")
    return text


def _field(where: str, name: Any) -> str:
    if name not in FIELDS and not str(name).startswith("attributes."):
        raise RouteError(f"{where}: no field {name!r}; there are {', '.join(sorted(FIELDS))} and attributes.NAME")
    return str(name)


def _pattern(where: str, wanted: Any) -> BoundedPattern:
    """Compile a pattern, or a list of patterns of which one must match."""
    texts = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    try:
        return BoundedPattern.compile("|".join(f"(?:{text})" for text in texts))
    except PatternError as error:
        raise RouteError(f"{where}: {wanted!r} {error}") from None
