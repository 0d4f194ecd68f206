"""Undo an installation by its record, last entry first. What cannot be removed is reported and stays in the record."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Callable

from alerta_opsgenie.agent.state import journal_of, targets
from alerta_opsgenie.setup.host import Host, SetupError, run_command
from alerta_opsgenie.setup.layout import Layout
from alerta_opsgenie.setup.plan import digest
from alerta_opsgenie.setup.processes import PROGRAMS, SCRIPT, list_processes
from alerta_opsgenie.setup.record import UNIT, Entry, Record
from alerta_opsgenie.vendor.as_user import run_as
from alerta_opsgenie.vendor.problems import shown

AGENT_SECONDS = 10.0
"""The longest time that an agent needs to end after SIGTERM."""

_ABSENT = 6  # userdel(8), groupdel(8)


class _NotRemovedError(Exception):
    """Why the file, user or directory of an entry is not removed."""


def describe_undo(entry: Entry) -> str:
    """Return, in words, what undoing this entry does."""
    kind, name, backup = entry["kind"], entry["name"], entry.get("backup")
    return f"put {backup} back as {name}" if backup else f"remove {kind} {name}"


class Removal:
    """Undoes one installation. With `purge`, also removes files that were changed since, and waiting actions."""

    def __init__(self, host: Host, layout: Layout, record: Record, *, purge: bool = False) -> None:
        self._host, self._layout, self._record, self._purge = host, layout, record, purge
        self._files = host.files

    def run(self, report: Callable[[str], None]) -> int:
        """Undo all entries; return how many are left. Raises `SetupError` if the connector still runs."""
        units = [entry for entry in self._record.entries if entry["kind"] == UNIT]
        rest = [entry for entry in reversed(self._record.entries) if entry["kind"] != UNIT]
        if not units or self._layout.scripts:
            self._refuse(self._programs(agents=False))
        left = sum([self._undo(entry, report) for entry in units])
        self._end_agents()
        self._refuse(self._programs())
        return left + sum([self._undo(entry, report) for entry in rest])

    def _undo(self, entry: Entry, report: Callable[[str], None]) -> bool:
        kind, name = entry["kind"], entry["name"]
        undo: Callable[[str, Entry], str | None] = getattr(self, f"_{kind}")
        try:
            done = undo(name, entry)
        except (_NotRemovedError, OSError) as error:
            report(f"left {kind} {name}: {getattr(error, 'strerror', None) or error}")
            return True
        self._record.drop(entry)
        report(done or f"removed {kind} {name}")
        return False

    # -- what runs

    def _programs(self, *, agents: bool = True) -> dict[int, str]:
        """Return the command line by pid of each process of the connector's user that is a connector or ours."""
        uid = self._host.user_number(self._layout.user)
        found = list_processes() if uid and not self._host.staged else ()
        commands = {one.pid: " ".join(one.arguments) for one in found if one.uid == uid}
        names = (*PROGRAMS.values(), SCRIPT)
        ours = {pid: text for pid, text in commands.items() if any(name in text for name in names)}
        return {pid: text for pid, text in ours.items() if agents or not _is_agent(text)}

    def _refuse(self, running: dict[int, str]) -> None:
        if running:
            names = ", ".join(f"{pid} ({shown(command)})" for pid, command in running.items())
            what = f"the connector still runs as {self._layout.user}: process {names}"
            raise SetupError(what, "stop it (systemctl stop …), then run this again")

    def _end_agents(self) -> None:
        """End agents that an executor has started."""
        agents = [pid for pid, command in self._programs().items() if _is_agent(command)]
        uid, deadline = self._host.user_number(self._layout.user), time.monotonic() + AGENT_SECONDS
        if agents and uid:
            # As that user: a pid may already belong to another user's process.
            run_as(uid, self._files.groups(uid), lambda: _end(agents))
        while time.monotonic() < deadline and self._programs().keys() & set(agents):
            time.sleep(0.05)

    # -- one function per kind of entry: returns what was done (None: removed), or raises `_NotRemovedError`

    def _unit(self, name: str, _: Entry) -> str:
        if self._host.has_systemd:
            run_command(["systemctl", "disable", "--now", name])
        return f"stopped and disabled {name}"

    def _group(self, name: str, _: Entry) -> None:
        if self._host.user_number(name) is not None:
            raise _NotRemovedError("the user of this name is still there")
        run_command(["groupdel", name], fine=_ABSENT)  # most systems remove a user's own with the user

    def _user(self, name: str, _: Entry) -> None:
        others = [other for other, _ in self._record.others() if other.partition("-")[2] == name]
        if others:
            raise _NotRemovedError(f"the installation {others[0]} uses it")
        uid = self._host.user_number(name)
        found = ((place.path, self._files.look(place.path)) for place in self._layout.directories)
        places = [path for path, there in found if there is not None and there.uid == uid]
        if places:
            # The next new user could get this number, and so these files.
            raise _NotRemovedError(f"{', '.join(places)} still belongs to it")
        run_command(["userdel", name], fine=_ABSENT)  # not the home

    def _directory(self, path: str, _: Entry) -> None:
        found = self._files.look(path)
        if found is not None and path == self._layout.state_directory:
            waiting = "" if self._purge or not self._files.names(path) else self._what_waits(found.uid)
            if waiting:
                listing = f"alerta-opsgenie spool list --spool-dir {path}"
                raise _NotRemovedError(f"{waiting}: {listing}, or uninstall --purge")
            self._files.remove_tree(path)
        elif not self._files.remove_directory(path):
            names = ", ".join(shown(name) for name in self._files.names(path)[:5])
            raise _NotRemovedError(f"it holds {names}: remove what is not needed")

    def _what_waits(self, uid: int) -> str:
        """Return, in words, what the state directory still holds; empty if it may be removed."""
        try:
            held = run_as(uid, self._files.groups(uid), lambda: count(self._host.root + self._layout.state_directory))
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        if held["earlier"]:
            return "it holds actions of an earlier build (spool.db), which only that build delivers"
        return f"{held['waiting']} actions wait in it and {held['dead']} are dead letters" if any(held.values()) else ""

    def _file(self, path: str, entry: Entry) -> str | None:
        backup, found = entry["backup"], self._files.look(path)
        has_backup = bool(backup) and self._files.look(backup) is not None
        is_ours = found is None or (found.kind == "file" and digest(self._files.read(path)) in entry["digests"])
        if not is_ours and not self._purge:
            before = f"; the original file is kept as {backup}" if backup else ""
            raise _NotRemovedError(f"it was changed since{before}: remove it, or --purge")
        if backup and not has_backup and not self._purge:
            raise _NotRemovedError(f"its backup {backup} is gone: --purge removes it")
        self._files.remove(path)
        if path == self._layout.unit and self._host.has_systemd:
            run_command(["systemctl", "daemon-reload"])
        if has_backup:
            self._files.rename(backup, path)
        return f"restored {path}" if has_backup else None

    def _log(self, path: str, _: Entry) -> None:
        directory, name = os.path.split(path)
        names = self._files.names(directory) if self._files.look(directory) else []
        # The connectors' logger puts a time into the names of rotated files.
        rotated = f"{name.removesuffix('.log')}-2"
        for log in names:
            if log == name or (log.startswith(rotated) and log.endswith(".log")):
                self._files.remove(f"{directory}/{log}")


def _is_agent(command: str) -> bool:
    return bool({"agent", "--agent"} & set(command.split()))


def _end(processes: list[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)


def count(directory: str) -> dict[str, int]:
    """Count waiting actions and dead letters in a state directory; `earlier` is 1 for a spool of an earlier build."""
    found = {"waiting": 0, "dead": 0, "earlier": int((Path(directory) / "spool.db").exists())}
    for target in targets(directory):
        with closing(journal_of(directory, target)) as journal:
            counts = journal.counts(time.time())
        found["waiting"] += counts.waiting + counts.in_flight
        found["dead"] += counts.dead
    return found
