"""Secrets, and how to hide them in logs and other texts.

`mask` hides known secrets. `redact_text` hides everything that looks like a secret: by the name before it, by its place
in a URL, and by its shape. In doubt it hides.
"""

import re
from typing import Iterable, Match, Union
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"

SHORTEST_INSIDE_WORDS = 8
"""Characters. A shorter secret is only hidden as a whole word: its letters can be part of other words."""

_SECRET_WORDS = (
    "key", "token", "password", "passwd", "pwd", "passphrase", "secret", "credential", "authorization", "cookie", "dsn",
)  # fmt: skip
_NOT_SECRET_ENDINGS = ("file", "filepath", "path", "name", "id", "url", "dir")
_NOT_SECRET_NAMES = ("projectkey", "issuekey", "routingkey")

# Each repetition is bounded, so that the time grows linearly with the length of the text.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://\S*")
_USER_OF_URL = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s\"'<>]{0,1000}@")
_SCHEME = r"(?:(?:GenieKey|Key|Bearer|Basic)[ \t]{1,3})"
_AUTHORIZATION = re.compile(rf"\b({_SCHEME})[A-Za-z0-9._~+/=-]{{8,}}")
_NAME = re.compile(
    # `--name value`, also as Python and JSON show a list of arguments; then `name=value`, `"name": "value"`.
    rf"(?<![A-Za-z0-9_])(?:--?(?P<option>[A-Za-z][\w-]{{0,60}})[\"']?,?[ \t]{{1,3}}"
    rf"|(?P<name>[A-Za-z_][\w-]{{0,60}})\\?[\"']?[ \t]{{0,3}}[=:][ \t]{{0,3}}{_SCHEME}?)"
)
_VALUE = re.compile(r"(?P<open>\\?[\"'])(?P<quoted>(?:(?!(?P=open))(?:\\.|[^\n]))*)|(?P<bare>[^\s\"',;&]+)")
_RUN = re.compile(r"[A-Za-z0-9_+=-]{20,}")
_ALERT_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(-\d{1,20})?")
_LONG_RUN = 32


class Secret:
    """An API key, password or token that prints as `***`. Only `reveal()` returns its text; an empty one is false."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself. Call it only where the secret is used."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # noqa: PLC0415 - 2 ms that the executor does not need

        mine, theirs = (text.encode("utf-8", "surrogatepass") for text in (self._text, other._text))
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash(("secret", self._text))


def mask(text: str, secrets: Iterable[Union[str, Secret]]) -> str:
    """Hide these secrets in a text. One shorter than `SHORTEST_INSIDE_WORDS` is only hidden as a whole word."""
    plain = {secret.reveal() if isinstance(secret, Secret) else secret for secret in secrets}
    for secret in sorted(plain, key=len, reverse=True):
        if len(secret) >= SHORTEST_INSIDE_WORDS:
            text = text.replace(secret, HIDDEN)
        elif secret:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a key, option or variable of this name holds a secret (`alertaApiKey`, but not `alertaApiKeyFile`)."""
    folded = name.casefold().replace("-", "_")
    if folded in _NOT_SECRET_NAMES or folded.endswith(_NOT_SECRET_ENDINGS):
        return False
    return any(word in folded for word in _SECRET_WORDS)


def redact_text(text: str) -> str:
    """Hide secrets in a text by their look: in a value, a log line or a command line. Ids of alerts stay."""
    if _URL.fullmatch(text):
        return safe_url(text)
    text = _USER_OF_URL.sub(rf"\1{HIDDEN}@", text)
    text = _AUTHORIZATION.sub(rf"\1{HIDDEN}", text)
    return _RUN.sub(_hide_run, _hide_named(text))


def _hide_named(text: str) -> str:
    shown, done = "", 0
    for name in _NAME.finditer(text):
        if name.start() < done or not is_secret_name(name["option"] or name["name"]):
            continue
        value = _VALUE.match(text, name.end())
        if value is None:
            continue
        place = "bare" if value["bare"] is not None else "quoted"
        if not value[place] or (name["option"] and value[place].startswith("-")):
            continue
        shown += text[done : value.start(place)] + HIDDEN
        done = value.end(place)
    return shown + text[done:]


def _hide_run(match: "Match[str]") -> str:
    """Hide a run of characters that looks random: a whole text with a digit, or a long part of one."""
    run = match.group()
    has_digit = any(character.isdigit() for character in run)
    if run == match.string:
        return HIDDEN if has_digit else run
    if len(run) < _LONG_RUN or not has_digit or _ALERT_ID.fullmatch(run):
        return run
    mixed = any(character.islower() for character in run) and any(character.isupper() for character in run)
    return HIDDEN if mixed or (run.isalnum() and not run.isdigit()) else run


def safe_url(url: str) -> str:
    """Return a URL without user information, query and fragment: each of them can contain a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    if "@" in parts.path:
        # A password with an unquoted slash: everything up to the @ belongs to it.
        return f"{parts.scheme}://{HIDDEN}@{parts.path.rpartition('@')[2]}"
    netloc = f"{HIDDEN}@{host}" if "@" in parts.netloc else host
    query = HIDDEN if parts.query else ""
    return urlunsplit((parts.scheme, netloc, parts.path, query, HIDDEN if parts.fragment else ""))
