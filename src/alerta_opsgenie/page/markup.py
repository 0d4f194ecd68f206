"""HTML templates: each value is escaped, unless it is HTML from a template."""

from __future__ import annotations

import time
from html import escape

_LONGEST_CHARACTERS = 300


class Html(str):
    """HTML that is not escaped again."""

    __slots__ = ()


def html(template: str, /, **values: object) -> Html:
    """Fill in a template's `{names}`. The items of a list are joined."""
    return Html(template.format_map({name: _safe(value) for name, value in values.items()}))


def _safe(value: object) -> str:
    if isinstance(value, Html):
        return value
    if isinstance(value, (list, tuple)):
        return "".join(map(_safe, value))
    return escape(visible(str(value)))


def visible(text: str) -> str:
    """Replace characters that hide or reverse text (control characters, marks of direction) with U+FFFD."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)


def cut(text: str, longest: int = _LONGEST_CHARACTERS) -> str:
    """Return a text as one line, cut."""
    line = " ".join(text[: 4 * longest].split())
    return line if len(line) <= longest else f"{line[: longest - 1]}\u2026"


def age(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def ago(at: float, now: float) -> Html:
    """Return a time as its distance from `now`, with the UTC time as the tooltip."""
    instant = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    words = f"{age(now - at)} ago" if at <= now else f"in {age(at - now)}"
    return html('<time datetime="{at}" title="{at}">{words}</time>', at=instant, words=words)
