"""The state directory: one for each connector's user, with a journal for each target (docs/architecture.md).

A target is named by the normalised URL of its Alerta alone, so a corrected key delivers the actions that wait.
"""

import os
from typing import List, Optional, Tuple
from urllib.parse import quote, unquote

from alerta_opsgenie.clients.alerta import address_of
from alerta_opsgenie.core.digest import hex_digest
from alerta_opsgenie.journal import Journal
from alerta_opsgenie.journal.directory import open_directory

LOCK_NAME = "agent"

_LONGEST_NAME = 200  # a file name has up to 255 bytes on Linux


def prepare(path: str) -> None:
    """Create the state directory where it is missing, for its owner alone. Raises JournalError."""
    for directory in (path, os.path.join(path, "targets")):
        os.close(open_directory(directory))


def identity(path: str) -> Optional[Tuple[int, int]]:
    """Return device and inode of a file; None where there is none. They differ for another file of the same name."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def earlier_build(path: str) -> str:
    """Return which files of an earlier build are in a directory, and what to do about them; empty where none are."""
    found = [name for name in ("spool.db", "taken") if os.path.lexists(os.path.join(path, name))]
    return f"{' and '.join(found)} in {path}: drain with the build that left it, then remove it" if found else ""


def target_name(url: str) -> str:
    """Return the target of a URL, the same for any case, standard port, or `/alert` at the end. Raises AddressError."""
    address = address_of(url)
    host = quote(address.host.lower(), safe="")
    path = quote(address.path, safe="").replace("-", "%2D")
    name = f"{address.scheme}-{host}-{address.port}-{path}"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{hex_digest(name.encode())[:16]}"


def target_url(name: str) -> str:
    """Return the URL of a target, for people."""
    scheme, _, rest = name.partition("-")
    authority, _, path = rest.rpartition("-")
    host, _, port = unquote(authority).rpartition("-")
    where = f"[{host}]" if ":" in host else host
    standard = {"http": "80", "https": "443"}.get(scheme)
    return f"{scheme}://{where}{'' if port == standard else ':' + port}{unquote(path)}"


def targets(path: str) -> List[str]:
    """Return the targets that a state directory has a journal for."""
    try:
        found = sorted(os.listdir(os.path.join(path, "targets")))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in found if os.path.isfile(os.path.join(path, "targets", name, "journal.db"))]


def journal_of(path: str, target: str, *, busy_seconds: float = 5.0) -> Journal:
    """Return the journal of a target; the file is opened at its first use."""
    return Journal(os.path.join(path, "targets", target), busy_seconds=busy_seconds)
