"""Regular expressions whose matching time is bounded for any text.

Python's `re` backtracks: it tries all ways to match, and cannot be interrupted. `.*(db|sql).*(down|dead).*` has n * n *
n ways on n characters; the ways of `(a+)+b` grow exponentially. So a text is cut to a length with few enough ways, and
a pattern with too many ways on a short text is refused when it is read.
"""

import re
from typing import Any, NamedTuple, Pattern, Sequence

try:
    from re import _parser as sre_parse  # type: ignore[attr-defined]
except ImportError:  # before Python 3.11
    import sre_parse

LENGTHS = (1000, 300, 70)
"""Lengths (characters) to which a text is cut; the first with few enough ways is used."""

MOST_WAYS = 2 * 10**8
"""About 0.1 s. Most patterns consist mostly of letters and take a thousandth of that."""

MOST_TEXTS = 4
"""How many times that length is read of all texts of a field together; the rest is ignored."""

_SINGLE = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "CATEGORY", "AT"})
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})


class PatternError(ValueError):
    """A pattern cannot be used; the text says why and what to do."""


class BoundedPattern(NamedTuple):
    """A pattern, and the length (characters) to which each text is cut."""

    pattern: Pattern[str]
    length: int

    @classmethod
    def compile(cls, text: str) -> "BoundedPattern":
        """Compile a regular expression. Raises PatternError."""
        try:
            compiled = re.compile(text)
            tree = sre_parse.parse(text)
            length = next((length for length in LENGTHS if _ways(tree, length) <= MOST_WAYS), 0)
        except (re.error, RecursionError, OverflowError) as error:
            raise PatternError(f"is no regular expression: {error}") from None
        if not length:
            raise PatternError(
                "could stop Alerta: on some texts it has too many ways to match; write it without a repeat in a repeat,"
                " and with at most four of `.*` and the like"
            )
        return cls(compiled, length)

    def fits(self, texts: Sequence[str], *, whole: bool) -> bool:
        """Whether it matches one of the texts: the whole text, or its beginning."""
        left = self.length * MOST_TEXTS
        for text in texts:
            if left <= 0:
                return False
            cut = text[: min(self.length, left)]
            left -= len(cut)
            if self.pattern.fullmatch(cut) if whole else self.pattern.match(cut):
                return True
        return False


def _ways(tree: Any, length: int) -> int:
    """Count the ways in which a sequence can match; at least one."""
    ways = 1
    for operation, argument in tree:
        ways *= _ways_of(str(operation), argument, length)
        if ways > MOST_WAYS:
            return ways
    return ways


def _ways_of(name: str, argument: Any, length: int) -> int:
    if name in _SINGLE:
        return 1
    if name in _REPEATS:
        return _ways_of_repeat(argument, length)
    if name == "BRANCH":
        return sum(_ways(tree, length) for tree in argument[1])
    if name in ("SUBPATTERN", "ASSERT", "ASSERT_NOT"):
        return _ways(argument[-1], length)
    if name == "ATOMIC_GROUP":
        return _ways(argument, length)
    return MOST_WAYS + 1  # references to groups, and operations of later Python versions


def _ways_of_repeat(argument: Any, length: int) -> int:
    least, most, tree = argument
    most = min(int(most), length)
    once = _ways(tree, length)
    if once > 1 and most > 1:
        return MOST_WAYS + 1 if once ** min(most, 64) > MOST_WAYS else once**most * (most - int(least) + 1)
    return once * max(1, most - min(int(least), most) + 1)
