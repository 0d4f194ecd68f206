"""Names of people: made harmless, and an id of the vendor's put into the login that people in Alerta know.

A message names a person by an e-mail address, an Atlassian account id or a display name. A name is shown and lends no
right; one that nobody knows is shown as it came.
"""

import json
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

People = Mapping[str, str]
"""Logins by the vendor's ids, which are in lower case."""

# Controls, line ends of Unicode, and what turns or hides text so that a name looks like another.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060-\u2069\ufeff]+")
_MARKUP = re.compile(r"\s*(?:[<>]|://)+\s*")
# PostgreSQL refuses NUL in a text, and a lone surrogate cannot be encoded: Alerta would answer 500 for ever.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LONGEST_NAME = 320  # the longest e-mail address (RFC 3696, erratum 1690); Opsgenie's user names are addresses

# `5b10ac8d82e05b22cc7d4ef5`, and `557058:<UUID>`; up to 128 characters
# (https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-users/).
_ACCOUNT_ID = re.compile(r"[0-9a-f]{24}|\d{1,10}:[0-9a-z-]{1,117}", re.IGNORECASE | re.ASCII)


def clean_text(text: str) -> str:
    """Replace what no database would store (NUL, lone surrogates) by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def clean_name(text: str) -> str:
    """Make a name fit for one line of a log, a header or a history."""
    return _CONTROL.sub(" ", clean_text(text)).strip()[:_LONGEST_NAME].rstrip()


def harmless_name(text: str) -> str:
    """Make a name that strangers chose fit for an attribute, a tag or the author of a note.

    Some versions of Alerta's web interface show an attribute as HTML where it has `://` in it. So nothing of markup
    is left: no `<`, no `>`, no `://`.
    """
    return clean_name(_MARKUP.sub(" ", clean_name(text)))


def is_account_id(name: str) -> bool:
    """Whether a name is an Atlassian account id, which no person knows."""
    return _ACCOUNT_ID.fullmatch(name) is not None


def named(person: str, people: Optional[People]) -> str:
    """Give the login of a person; the name as it is where nobody knows it."""
    return (people or {}).get(person.casefold(), person)


def account_of(login: str, people: People) -> str:
    """Give what the vendor knows a login by: its one e-mail address, else its one account id; empty where in doubt."""
    ids = [one for one, name in people.items() if name.casefold() == login.casefold()]
    kinds = ([one for one in ids if "@" in one], [one for one in ids if is_account_id(one)])
    return next((found[0] for found in kinds if len(found) == 1), "")


# -- A mapping, as people write it


def read_people(text: str) -> People:
    """Read lines `ID = LOGIN` (with `#` comments), or a JSON object of texts. Raises ValueError."""
    if not text.lstrip().startswith("{"):
        return people_of(_lines(text))
    try:
        found = json.loads(text, object_pairs_hook=_Pairs)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return people_of(found)


class _Pairs(List[Tuple[str, Any]]):
    """An object with all of its names, also those that come twice."""


def _lines(text: str) -> Iterator[Tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            person, equals, login = line.partition("=")
            if not (equals and person.strip() and login.strip()):
                raise ValueError(f"line {number} is not ID = LOGIN")
            yield person, login


def people_of(pairs: Any) -> People:
    """Make a mapping of pairs of texts. Raises ValueError, also where an id has two logins."""
    people: Dict[str, str] = {}
    for person, login in pairs:
        if not isinstance(person, str) or not isinstance(login, str):
            raise ValueError("expected a text for each id: ID = LOGIN")  # noqa: TRY004 - the input is wrong, not a call
        one, name = harmless_name(person).casefold(), harmless_name(login)
        if not one or not name:
            raise ValueError("an id or a login is empty")
        if people.setdefault(one, name) != name:
            raise ValueError(f"{one[:80]!r} has two logins")
    return people
