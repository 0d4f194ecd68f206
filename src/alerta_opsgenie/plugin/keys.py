"""Keys and shared secrets: compared in constant time, printed as `***`, read again when their file changes."""

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any, Callable, FrozenSet, NamedTuple, Optional, Tuple

BRIDGE_SCOPE = "admin:alerta_opsgenie"
"""A key that lists this scope is the bridge's.

In Alerta only a user with `admin` or this scope can give it to a key (9.1.0, views/keys.py). A scope `write:...` could
be given by any user with `write`.
"""

HOW_TO_NAME_A_KEY = (
    "name the bridge's key by its hash, OPSGENIE_BRIDGE_KEY = ['sha256:...'], which is made by"
    ' `printf %s "$KEY" | sha256sum`'
)

_HASH = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


class Key:
    """A secret: a text, or the first line of the file `path`. It is false without either."""

    def __init__(self, text: str = "", *, path: str = "") -> None:
        self._text = text.strip()
        self._path = path
        self._stamp: Optional[Tuple[int, int]] = None

    def reveal(self) -> str:
        """Return the text, only for where it is sent or compared. Raises OSError if the file cannot be read."""
        if self._path:
            status = Path(self._path).stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                with Path(self._path).open(encoding="utf-8") as file:
                    self._text, self._stamp = file.readline().strip(), stamp
        return self._text

    def equals(self, text: str) -> bool:
        """Compare in constant time; an empty secret equals nothing."""
        secret = self.reveal()
        return bool(secret) and hmac.compare_digest(secret.encode("utf-8"), text.encode("utf-8", "surrogatepass"))

    def __bool__(self) -> bool:
        return bool(self._text or self._path)

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


class BridgeKeys(NamedTuple):
    """The bridge's API keys: SHA-256 hashes (64 hexadecimal digits), and ids in Alerta."""

    hashes: FrozenSet[str] = frozenset()
    ids: FrozenSet[str] = frozenset()

    def include(self, key: str, id_of_key: Callable[[], str]) -> bool:
        """Whether a valid key is one of them. `id_of_key` queries the database, and is called only if there are ids."""
        shown = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        if sum(hmac.compare_digest(shown, known) for known in self.hashes):
            return True
        return bool(self.ids) and id_of_key().lower() in self.ids


def read_bridge_keys(entries: Tuple[Any, ...]) -> BridgeKeys:
    """Read OPSGENIE_BRIDGE_KEY. Raises ValueError, without the entry in its text: it may be the key itself."""
    hashes, ids = set(), set()
    for entry in entries:
        text = str(entry).strip()
        match = _HASH.fullmatch(text)
        if match:
            hashes.add(match.group(1).lower())
        elif _ID.fullmatch(text):
            ids.add(text.lower())
        else:
            raise ValueError(f"an entry is neither a SHA-256 hash nor the id of a key; {HOW_TO_NAME_A_KEY}")
    return BridgeKeys(frozenset(hashes), frozenset(ids))
