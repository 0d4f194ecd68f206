"""Undoing an installation by its record, the last entry first, each compared with what is there now.

What stays is named with its reason, and its entry stays in the record: `uninstall` can be run again, also with --purge.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable

from alerta_opsgenie.journal import Spool, SpoolUnavailable
from alerta_opsgenie.setup.host import Host, SetupError, remove_group, remove_user, run_command
from alerta_opsgenie.setup.layout import Layout
from alerta_opsgenie.setup.plan import digest
from alerta_opsgenie.setup.record import DIRECTORY_MADE, FILE, GROUP, LOG, UNIT, USER, Entry, Record
from alerta_opsgenie.vendor.as_user import CannotBecomeError, run_as
from alerta_opsgenie.vendor.problems import shown

AGENT_SECONDS = 10.0
"""An agent ends this long after SIGTERM."""

_PROGRAMS = ("OpsgenieEdgeConnector", "JiraEdgeConnector", "oecAlertaExecutor", "alerta-opsgenie")


@dataclass(frozen=True)
class Undone:
    """What became of one entry: `text` says it. With `left` something stays, and `why` says what to do about it."""

    text: str
    left: bool = False
    why: str = ""


def describe_undo(entry: Entry) -> str:
    """Say what undoing this entry means."""
    kind, name = entry["kind"], entry["name"]
    if kind == FILE:
        return f"remove {name}" if not entry["backup"] else f"put {entry['backup']} back as {name}"
    return {
        GROUP: f"remove group {name}",
        USER: f"remove user {name}",
        DIRECTORY_MADE: f"remove {name}/ if it is empty",
        LOG: f"remove {name}, if it has come to be",
        UNIT: f"stop and disable {name}",
    }[str(kind)]


class Removal:
    """The undoing of one installation. With `purge` goes also what was changed since, and actions that wait."""

    def __init__(self, host: Host, layout: Layout, record: Record, *, purge: bool = False) -> None:
        self._host, self._layout, self._record, self._purge = host, layout, record, purge
        self._files = host.files

    def run(self, tell: Callable[[Undone], None]) -> int:
        """Undo all and give how much is left. Raises `SetupError` where the connector still runs."""
        units = [entry for entry in self._record.entries if entry["kind"] == UNIT]
        rest = [entry for entry in reversed(self._record.entries) if entry not in units]
        left = 0
        for number, entry in enumerate([*units, *rest]):
            if number == len(units):
                self._refuse_running()
            ending = self._undo(entry)
            left += ending.left
            if not ending.left:
                self._record.drop(entry)
            tell(ending)
        return left

    def _undo(self, entry: Entry) -> Undone:
        undo: dict[str, Callable[[Entry], Undone]] = {
            GROUP: self._group,
            USER: self._user,
            DIRECTORY_MADE: self._directory,
            FILE: self._file,
            LOG: self._log,
            UNIT: self._unit,
        }
        try:
            return undo[entry["kind"]](entry)
        except OSError as error:
            return Undone(f"left {entry['name']}", left=True, why=str(error.strerror))

    # -- what runs

    def _refuse_running(self) -> None:
        """Refuse while the connector runs with our script; an agent that it has left behind is ended."""
        uid = self._host.user_number(self._layout.user)
        if not uid or self._host.staged:
            return
        self._end_agents(uid)
        running = [f"{pid} ({shown(command)})" for pid, command in self._programs(uid)]
        if running:
            what = f"the connector still runs as {self._layout.user}: process {', '.join(running)}"
            raise SetupError(what, "stop it (systemctl stop …), then run this again")

    def _programs(self, uid: int) -> list[tuple[int, str]]:
        found = self._host.processes_of(uid)
        return [(pid, command) for pid, command in found if any(name in command for name in _PROGRAMS)]

    def _end_agents(self, uid: int) -> None:
        agents = [pid for pid, command in self._programs(uid) if "--agent" in command.split()]
        deadline = time.monotonic() + AGENT_SECONDS
        if agents:
            # As that user: by now the number may be another process's.
            run_as(uid, self._files.groups(uid), lambda: _end(agents))
        while agents and time.monotonic() < deadline:
            time.sleep(0.05)
            agents = [pid for pid, _ in self._programs(uid) if pid in agents]

    # -- each kind of entry

    def _unit(self, entry: Entry) -> Undone:
        if self._host.has_systemd:
            run_command(["systemctl", "disable", "--now", entry["name"]])
        return Undone(f"stopped and disabled {entry['name']}")

    def _group(self, entry: Entry) -> Undone:
        name = entry["name"]
        if self._host.user_number(name) is not None:
            return Undone(f"left group {name}", left=True, why="the user of this name is still there")
        remove_group(name)
        return Undone(f"removed group {name}")

    def _user(self, entry: Entry) -> Undone:
        name = entry["name"]
        others = [other for other, _ in self._record.others() if other.partition("-")[2] == name]
        if others:
            return Undone(f"left user {name}", left=True, why=f"the installation {others[0]} uses it")
        uid = self._host.user_number(name)
        found = ((place.path, self._files.look(place.path)) for place in self._layout.directories)
        places = [path for path, there in found if there is not None and there.uid == uid]
        if places:
            # The next user that is made would get its number, and these files with it.
            return Undone(f"left user {name}", left=True, why=f"{', '.join(places)} still belongs to it")
        remove_user(name)
        return Undone(f"removed user {name}")

    def _directory(self, entry: Entry) -> Undone:
        path = entry["name"]
        found = self._files.look(path)
        if found is None:
            return Undone(f"{path}/ is gone")
        if path == self._layout.state_directory:
            waiting = "" if self._purge or not self._files.names(path) else self._what_waits(found.uid)
            if waiting:
                mend = f"alerta-opsgenie spool list --spool-dir {path}, or uninstall --purge"
                return Undone(f"left {path}/", left=True, why=f"{waiting}: {mend}")
            self._files.clear(path)
        if self._files.remove_directory(path):
            return Undone(f"removed {path}/")
        names = [shown(name) for name in self._files.names(path)[:5]]
        why = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} in it: remove what is not needed"
        return Undone(f"left {path}/", left=True, why=why)

    def _what_waits(self, uid: int) -> str:
        """Say what the state directory still holds; an empty text where it may go."""
        try:
            held = run_as(uid, self._files.groups(uid), lambda: count(self._host.root + self._layout.state_directory))
        except CannotBecomeError as error:
            return f"it cannot be looked into ({error})"
        return f"{held['waiting']} actions wait in it and {held['dead']} are dead letters" if any(held.values()) else ""

    def _file(self, entry: Entry) -> Undone:
        path, backup = entry["name"], entry["backup"]
        found = self._files.look(path)
        ours = found is None or (found.kind == "file" and digest(self._files.read(path)) in entry["digests"])
        if not ours and not self._purge:
            beside = f"; what was there before is {backup}" if backup else ""
            return Undone(f"left {path}", left=True, why=f"it was changed since{beside}: remove it, or --purge")
        if backup and self._files.look(backup) is None and not self._purge:
            return Undone(
                f"left {path}", left=True, why=f"{backup}, which should come back, is gone: --purge removes it"
            )
        self._files.remove(path)
        self._reload(path)
        if not backup or self._files.look(backup) is None:
            return Undone(f"removed {path}")
        self._files.rename(backup, path)
        return Undone(f"restored {path}")

    def _reload(self, path: str) -> None:
        if path == self._layout.unit and self._host.has_systemd:
            run_command(["systemctl", "daemon-reload"])

    def _log(self, entry: Entry) -> Undone:
        directory, _, name = entry["name"].rpartition("/")
        stem = name.removesuffix(".log")
        names = self._files.names(directory) if self._files.look(directory) else []
        # Rotated ones have an instant in their name, as the connectors' own logger writes it.
        logs = [log for log in names if log == name or (log.startswith(f"{stem}-2") and log.endswith(".log"))]
        for log in logs:
            self._files.remove(f"{directory}/{log}")
        return Undone(f"removed {entry['name']}" if logs else f"{entry['name']} never came to be")


def _end(processes: list[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)


def count(directory: str) -> dict[str, Any]:
    """Count what waits and what is dead in a state directory."""
    try:
        with Spool(directory, create=False) as spool:
            counts = spool.counts(0.0)
    except SpoolUnavailable as error:
        if error.label == "absent":
            return {"waiting": 0, "dead": 0}
        raise
    return {"waiting": counts.waiting, "dead": counts.dead}
