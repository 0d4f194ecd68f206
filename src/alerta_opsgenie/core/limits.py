"""The vendor's limits, and how what Alerta has is cut to them.

Lengths are counted in UTF-16 units: whether the vendor counts those or code points is not documented, and what fits
by the one fits by the other. Limits: https://docs.opsgenie.com/docs/alert-api (JSM takes the same requests).
"""

from datetime import date
from typing import Dict, Iterable, List, Mapping, Sequence, Tuple

from .people import clean_text

END_OF_OPSGENIE = date(2027, 4, 5)
"""https://www.atlassian.com/blog/announcements/evolution-of-it-operations"""

MESSAGE = 130
ALIAS = 512
DESCRIPTION = 15000
ENTITY = 512
SOURCE = 100
USER = 100
NOTE = 25000
TAG = 50
TAGS = 20
ACTIONS, ACTION = 10, 50
RESPONDERS = 50
DETAILS = 8000
"""Keys and values together; the vendor drops the rest without a word."""

_MORE = "\u2026"
_LEAST_DETAIL = 20  # less than this of a value is not worth its key


def length(text: str) -> int:
    """Count UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Fitting:
    """Fits the fields of one request and remembers in `cut` the names of those that had to be shortened."""

    def __init__(self) -> None:
        self.cut: List[str] = []

    def text(self, name: str, value: str, limit: int) -> str:
        """Fit a text: what no database stores is replaced, white space at the ends goes, an ellipsis marks a cut."""
        clean = clean_text(value).strip()
        if length(clean) <= limit:
            return clean
        self.cut.append(name)
        return shorten(clean, limit - length(_MORE)).rstrip() + _MORE

    def ending(self, name: str, value: str, ending: str, limit: int) -> str:
        """Fit a text so that its `ending` stays whole."""
        return self.text(name, value, limit - length(ending)) + ending

    def tags(self, values: Iterable[str]) -> List[str]:
        """Fit tags: each one once, no empty ones, and no comma within, because Opsgenie names tags in one text."""
        fitted = dict.fromkeys(self.text("tags", value.replace(",", " "), TAG) for value in values)
        return self._most("tags", [tag for tag in fitted if tag], TAGS)

    def responders(self, values: Iterable[str]) -> List[Dict[str, str]]:
        """Name teams as responders."""
        return self._most("responders", [{"name": name, "type": "team"} for name in values], RESPONDERS)

    def details(self, values: Mapping[str, str]) -> Dict[str, str]:
        """Fit details in their order; the first one that finds no room ends it."""
        left, fitted = DETAILS, {}
        for name, value in values.items():
            clean_name, clean = clean_text(name), clean_text(value)
            left -= length(clean_name)
            if left < min(length(clean), _LEAST_DETAIL):
                self.cut.append("details")
                break
            fitted[clean_name] = self.text("details", clean, left)
            left -= length(fitted[clean_name])
        return fitted

    def actions(self, names: Sequence[str]) -> List[str]:
        """Fit the names of custom actions."""
        return self._most("actions", [self.text("actions", name, ACTION) for name in names], ACTIONS)

    def _most(self, name: str, values: List, limit: int) -> List:  # type: ignore[type-arg]
        if len(values) > limit:
            self.cut.append(name)
        return values[:limit]

    @property
    def names(self) -> Tuple[str, ...]:
        """Name each field that was cut, once."""
        return tuple(dict.fromkeys(self.cut))


def shorten(text: str, limit: int) -> str:
    """Take as much of the beginning as fits, without tearing a character apart."""
    return text.encode("utf-16-le", "surrogatepass")[: 2 * limit].decode("utf-16-le", "ignore")
