"""Undoing an installation by its record: the last step first, each checked against what is really there now.

What has changed since is a person's, and is left with a word. Undoing that was killed is run again and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from alerta_opsgenie.journal import Spool, SpoolUnavailable, try_lock
from alerta_opsgenie.lanes import Desk
from alerta_opsgenie.setup.as_user import CannotBecomeError, run_as
from alerta_opsgenie.setup.file_steps import LOG, PARENT
from alerta_opsgenie.setup.host import Attributes, Host, SetupError, digest, run_command
from alerta_opsgenie.setup.record import Entry, Record
from alerta_opsgenie.setup.steps import ASIDE, ATTRIBUTES, DIRECTORY, FILE, GROUP, LEAVING, UNIT, USER

_DRAINER = "drainer"


@dataclass(frozen=True)
class Undone:
    """What became of one step: `text` tells it. With `left` something stays, and `why` says what and what to do."""

    text: str
    left: bool = False
    why: str = ""


def undo_all(host: Host, record: Record, tell: Callable[[Undone], None], *, purge: bool = False) -> list[Undone]:
    """Undo all that the record tells of; `tell` hears of each step. Raises `SetupError` where it cannot go on.

    With `purge` goes also what has changed since it was installed, and a spool in which actions wait.
    """
    endings = []
    for entry in reversed(list(record.entries)):
        try:
            ending = _UNDO[entry["kind"]](host, entry, purge)
        except OSError as error:
            what = f"{entry['name']}: {error.strerror}"
            raise SetupError(what, "mend that and run this again: it goes on where it stopped") from None
        record.drop(entry)
        tell(ending)
        endings.append(ending)
        if entry["kind"] == FILE and entry["name"].endswith(".service") and host.has_systemd:
            run_command(["systemctl", "daemon-reload"])
    return endings


def describe_undo(entry: Entry) -> str:
    """Say what undoing this entry means."""
    name = entry["name"]
    if entry["kind"] == FILE:
        return f"remove {name}" if entry["made"] else f"restore {name} from {entry['copies'][0]['path']}"
    return {
        GROUP: f"remove group {name}",
        USER: f"remove user {name}",
        DIRECTORY: f"remove {name}/ if it is empty",
        ATTRIBUTES: f"give {name} its owner and mode back",
        ASIDE: f"move {name} back to {entry.get('origin')}",
        LEAVING: f"remove {name}, if it has come to be",
        UNIT: f"stop and disable {name}",
    }[entry["kind"]]


def _undo_group(host: Host, entry: Entry, purge: bool) -> Undone:  # noqa: ARG001
    if host.user_number(entry["name"]) is not None:
        return Undone(f"left group {entry['name']}", left=True, why="the user of this name is still there")
    host.remove_group(entry["name"])
    return Undone(f"removed group {entry['name']}")


def _undo_user(host: Host, entry: Entry, purge: bool) -> Undone:  # noqa: ARG001
    uid = host.user_number(entry["name"])
    places = [path for path in entry["places"] if _belongs(host, path, uid)]
    if places:
        # Its number would be given to the next user who is made, and with it these files.
        return Undone(f"left user {entry['name']}", left=True, why=f"{', '.join(places)} still belongs to it")
    host.remove_user(entry["name"])
    return Undone(f"removed user {entry['name']}")


def _belongs(host: Host, path: str, uid: int | None) -> bool:
    found = host.look(path)
    return found is not None and found.attributes.uid == uid


def _undo_directory(host: Host, entry: Entry, purge: bool) -> Undone:  # noqa: ARG001
    path = entry["name"]
    if host.remove_directory(path):
        return Undone(f"removed {path}/")
    names = ", ".join(sorted(item.name for item in host.at(path).iterdir())[:5])
    return Undone(
        f"left {path}/", left=True, why=f"others' files are in it ({names}): remove it if they are not needed"
    )


def _undo_file(host: Host, entry: Entry, purge: bool) -> Undone:
    path = entry["name"]
    found = host.look(path)
    content = host.read(path) if found is not None and found.kind == "file" else None
    original = None if entry["made"] else entry["copies"][0]
    later = [copy["path"] for copy in entry["copies"][0 if entry["made"] else 1 :]]
    mark = digest(content) if content is not None else ""
    if original is not None and mark == original["digest"]:
        host.remove_file(original["path"])
        host.remove_remains(path)
        return _with_copies(f"{path} is what it was", later)
    if found is not None and mark not in entry["ours"] and not purge:
        return Undone(f"left {path}", left=True, why=f"it was changed since{_beside(entry)}; remove it by hand")
    if original is None:
        host.remove_file(path)
        return _with_copies(f"removed {path}", later)
    return _restore(host, path, original, later)


def _restore(host: Host, path: str, original: Entry, later: list[str]) -> Undone:
    if host.look(original["path"]) is None:
        return Undone(f"left {path}", left=True, why=f"{original['path']}, which it was kept as, is not there any more")
    host.remove_remains(path)
    host.set_attributes(original["path"], Attributes(original["uid"], original["gid"], original["mode"]))
    host.move(original["path"], path)
    return _with_copies(f"restored {path}", later)


def _beside(entry: Entry) -> str:
    copies = [copy["path"] for copy in entry["copies"]]
    return f"; what was there before is in {', '.join(copies)}" if copies else ""


def _with_copies(text: str, copies: list[str]) -> Undone:
    if not copies:
        return Undone(text)
    return Undone(text, left=True, why=f"versions of yours are kept in {', '.join(copies)}")


def _undo_attributes(host: Host, entry: Entry, purge: bool) -> Undone:  # noqa: ARG001
    path = entry["name"]
    found = host.look(path)
    if found is None or found.attributes != Attributes(**entry["set"]):
        return Undone(f"left owner and mode of {path}", left=found is not None, why="they were changed since")
    host.set_attributes(path, Attributes(**entry["was"]))
    return Undone(f"gave {path} its owner and mode back")


def _undo_aside(host: Host, entry: Entry, purge: bool) -> Undone:  # noqa: ARG001
    kept, origin = entry["name"], entry["origin"]
    if host.look(kept) is None:
        ending = Undone(f"{origin} was not moved")
    elif host.look(origin) is not None:
        return Undone(f"left {kept}", left=True, why=f"there is another {origin} by now")
    else:
        host.move(kept, origin)
        ending = Undone(f"moved {origin} back")
    host.remove_directory(kept.rpartition("/")[0])
    return ending


def _undo_leaving(host: Host, entry: Entry, purge: bool) -> Undone:
    path, what = entry["name"], entry["what"]
    if what == LOG:
        return _remove_logs(host, path)
    found = host.look(path)
    if found is None:
        return Undone(f"{path} never came to be")
    if what == PARENT:
        return _undo_directory(host, entry, purge)
    waiting = "" if purge else _what_waits(host.at(path), found.attributes)
    if waiting:
        mend = f"alerta-opsgenie spool list --spool-dir {path}, or uninstall --purge"
        return Undone(f"left {path}/", left=True, why=f"{waiting}: {mend}")
    host.remove_tree(path)
    return Undone(f"removed {path}/")


def _remove_logs(host: Host, path: str) -> Undone:
    log = host.at(path)
    # Rotated ones have an instant in their name, as the connectors' own logger writes it.
    names = [*log.parent.glob(log.name), *log.parent.glob(f"{log.stem}-[0-9]*{log.suffix}")]
    for name in names:
        name.unlink(missing_ok=True)
    return Undone(f"removed {path}" if names else f"{path} never came to be")


def _what_waits(directory: Path, attributes: Attributes) -> str:
    """Say what a spool still holds; an empty text where it may go."""
    try:
        held = run_as(attributes.uid, attributes.gid, lambda: _count(str(directory)))
    except CannotBecomeError as error:
        return f"it cannot be looked into ({error})"
    if held["busy"]:
        return "a drainer is delivering what is in it"
    waiting, dead = held["waiting"], held["dead"]
    return f"{waiting} actions wait in it and {dead} are dead letters" if waiting or dead else ""


def _count(directory: str) -> dict[str, Any]:
    lock = try_lock(directory, _DRAINER)
    if lock is None:
        return {"busy": True, "waiting": 0, "dead": 0}
    with lock:
        desk = Desk(directory)
        desk.prepare()
        if desk.has_orphans():
            return {"busy": False, "waiting": "some", "dead": 0}
        try:
            with Spool(directory, create=False) as spool:
                counts = spool.counts(0.0)
        except SpoolUnavailable as error:
            if error.label == "absent":
                return {"busy": False, "waiting": 0, "dead": 0}
            raise
    return {"busy": False, "waiting": counts.waiting, "dead": counts.dead}


def _undo_unit(host: Host, entry: Entry, purge: bool) -> Undone:  # noqa: ARG001
    name = entry["name"]
    if not host.has_systemd:
        return Undone(f"{name} needs no stopping here")
    run_command(["systemctl", "disable", "--now", name])
    return Undone(f"stopped and disabled {name}")


_UNDO: dict[str, Callable[[Host, Entry, bool], Undone]] = {
    GROUP: _undo_group,
    USER: _undo_user,
    DIRECTORY: _undo_directory,
    FILE: _undo_file,
    ATTRIBUTES: _undo_attributes,
    ASIDE: _undo_aside,
    LEAVING: _undo_leaving,
    UNIT: _undo_unit,
}
