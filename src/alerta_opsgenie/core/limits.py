"""The vendor's limits, and how values are cut to them.

Lengths are counted in UTF-16 units. Whether the vendor counts those or code points is not documented; a text within
the limit in UTF-16 units is within the limit in code points too.

Limits: https://docs.opsgenie.com/docs/alert-api (JSM takes the same requests).
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
"""Keys and values together; the vendor drops the rest without an error."""

_MORE = "\u2026"
_LEAST_DETAIL = 20  # if less of a value than this fits, its key is left out too


def length(text: str) -> int:
    """Count UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Fitting:
    """Fits the fields of one request into their limits; `cut` holds the names of the shortened fields."""

    def __init__(self) -> None:
        self.cut: List[str] = []

    def text(self, name: str, value: str, limit: int) -> str:
        """Fit a text: replace what no database stores, strip white space, mark a cut by an ellipsis."""
        clean = clean_text(value).strip()
        if length(clean) <= limit:
            return clean
        self.cut.append(name)
        return shorten(clean, limit - length(_MORE)).rstrip() + _MORE

    def ending(self, name: str, value: str, ending: str, limit: int) -> str:
        """Fit a text and append `ending`, which is never cut."""
        return self.text(name, value, limit - length(ending)) + ending

    def tags(self, values: Iterable[str]) -> List[str]:
        """Fit tags: no duplicates, no empty ones, no commas (Opsgenie sends tags back with commas between)."""
        fitted = dict.fromkeys(self.text("tags", value.replace(",", " "), TAG) for value in values)
        return self._most("tags", [tag for tag in fitted if tag], TAGS)

    def responders(self, values: Iterable[str]) -> List[Dict[str, str]]:
        """Return teams as responders."""
        return self._most("responders", [{"name": name, "type": "team"} for name in values], RESPONDERS)

    def details(self, values: Mapping[str, str]) -> Dict[str, str]:
        """Fit details in their order, up to the first that does not fit."""
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
        """The fields that were cut, without duplicates."""
        return tuple(dict.fromkeys(self.cut))


def shorten(text: str, limit: int) -> str:
    """Return the longest beginning that fits. A surrogate pair is not split."""
    return text.encode("utf-16-le", "surrogatepass")[: 2 * limit].decode("utf-16-le", "ignore")
