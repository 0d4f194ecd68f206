"""Names of people: cleaned, and mapped from an id of the vendor to a login in Alerta.

A message has an e-mail address, an Atlassian account id or a display name of a person. A name is only shown and gives
no rights. A name that is not in the people file is shown unchanged.
"""

import json
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

People = Mapping[str, str]
"""Login by the vendor's id in lower case."""

# Control characters, Unicode line ends, and characters that hide or reverse text to imitate another name.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060-\u2069\ufeff]+")
_MARKUP = re.compile(r"\s*(?:[<>]|://)+\s*")
# PostgreSQL refuses NUL in a text, and a lone surrogate cannot be encoded: Alerta would answer 500 for ever.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LONGEST_NAME = 320  # the longest e-mail address (RFC 3696, erratum 1690); Opsgenie's user names are addresses

# `5b10ac8d82e05b22cc7d4ef5`, and `557058:<UUID>`; up to 128 characters
# (https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-users/).
_ACCOUNT_ID = re.compile(r"[0-9a-f]{24}|\d{1,10}:[0-9a-z-]{1,117}", re.IGNORECASE | re.ASCII)


def clean_text(text: str) -> str:
    """Replace NUL and lone surrogates, which a database refuses, by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def clean_name(text: str) -> str:
    """Return a name for one line of a log, a header or a history."""
    return _CONTROL.sub(" ", clean_text(text)).strip()[:_LONGEST_NAME].rstrip()


def harmless_name(text: str) -> str:
    """Return a name of untrusted origin for an attribute, a tag or the author of a note: without `<`, `>` and `://`.

    Some versions of Alerta's web interface show an attribute that contains `://` as HTML.
    """
    return clean_name(_MARKUP.sub(" ", clean_name(text)))


def is_account_id(name: str) -> bool:
    """Whether a name is an Atlassian account id, which people do not recognise."""
    return _ACCOUNT_ID.fullmatch(name) is not None


def named(person: str, people: Optional[People]) -> str:
    """Return the login of a person; the name unchanged if it is not in the people file."""
    return (people or {}).get(person.casefold(), person)


def account_of(login: str, people: People) -> str:
    """Return the vendor's id of a login: its only e-mail address, else its only account id, else empty."""
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
    """The pairs of a JSON object, including duplicate names."""


def _lines(text: str) -> Iterator[Tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            person, equals, login = line.partition("=")
            if not (equals and person.strip() and login.strip()):
                raise ValueError(f"line {number} is not ID = LOGIN")
            yield person, login


def people_of(pairs: Any) -> People:
    """Make a mapping of pairs of texts. Raises ValueError, also if an id has two logins."""
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
