"""The data of the page, read from the journals of a state directory and from the process that delivers."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Callable, Iterable, Mapping, NamedTuple, Sequence

from alerta_opsgenie.agent import client, state
from alerta_opsgenie.core.limits import END_OF_OPSGENIE
from alerta_opsgenie.core.message import MessageError, actor, read_journal_body
from alerta_opsgenie.core.outcome import ADVICE, REASONS, Reason
from alerta_opsgenie.journal import Action, Counts, Journal, JournalError

MOST_ROWS = 100

_BUSY_SECONDS = 1.0
_LATE_SECONDS = 30.0  # actions that have waited for less are likely in their first pauses
_NOT_CAUSED_BY_ALERTA = {Reason.BEHIND.value, Reason.CONFLICT.value, Reason.FAULT.value, ""}
_KINDS = {reason.value: kind for kind, reasons in REASONS.items() for reason in reasons}
_ALERTA_ADVICE = "see whether Alerta is up and can be reached from this host; what waits is tried again by itself"


class Part(NamedTuple):
    """One part of the bridge. `is_well` None: not known. `at`: its last success; 0: none is known."""

    name: str
    what: str
    is_well: bool | None
    at: float = 0.0


class Problem(NamedTuple):
    """A problem and its advice."""

    what: str
    advice: str = "alerta-opsgenie doctor"


class PluginStatus(NamedTuple):
    """The figures of the plugin in the Alerta at `url`; `why` is the reason where there are none."""

    url: str
    why: str
    figures: Mapping[str, float] = {}
    problems: tuple[Problem, ...] = ()


class Row(NamedTuple):
    """An action on the page. `outcome` is its state in the journal, or the kind of its outcome.

    An ignored action has no `target` and no `key`, and `accepted_at` is 0: no journal has it.
    """

    target: str
    key: str
    action: str
    alert: str
    person: str
    outcome: str
    reason: str
    detail: str
    at: float
    attempts: int = 1
    accepted_at: float = 0.0
    first_attempt_at: float | None = None
    due_at: float = 0.0
    body: str = ""

    @property
    def is_open(self) -> bool:
        """Whether a person may retry or drop it."""
        return self.outcome in ("waiting", "dead")


@dataclass(frozen=True)
class PageInputs:
    """The page's data that is not in the state directory.

    `queue` returns the part that receives messages, `alerta_at` the time of the last heartbeat, `problems` those that
    are not in the journals, `plugins` each Alerta's plugin figures, `ignored` the last ignored actions. `secrets`
    are masked. `token` is required to retry and drop; `enabling` is how to set one.
    """

    directory: str
    queue: Callable[[], Part]
    alerta_at: Callable[[], float] = float
    problems: Callable[[], Iterable[Problem]] = tuple
    plugins: Sequence[Callable[[], PluginStatus]] = ()
    ignored: Callable[[], Sequence[Row]] = tuple
    secrets: Callable[[], Iterable[str]] = tuple
    token: Callable[[], str] = str
    enabling: str = ""


@dataclass
class Overview:
    """The data of the first screen."""

    parts: list[Part] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)
    plugins: list[PluginStatus] = field(default_factory=list)
    at: float = 0.0

    @property
    def is_well(self) -> bool:
        """Whether there is no problem. Dead letters do not count as a problem."""
        return not self.problems

    def total(self, name: str) -> float:
        """Return the sum of a count over all targets."""
        return float(sum(getattr(one, name) for one in self.counts.values()))


class View:
    """Reads the page's data. A journal that cannot be read is a problem on the page. Thread-safe."""

    def __init__(self, source: PageInputs) -> None:
        self.source = source
        self._journals: dict[str, Journal] = {}
        self._mutex = threading.Lock()

    def journals(self) -> dict[str, Journal]:
        """Return the journal of each target; the name of the plugin's outbox is empty."""
        directory = Path(self.source.directory)
        places = {name: directory / "targets" / name for name in state.targets(str(directory))}
        if (directory / "journal.db").is_file():
            places = {"": directory, **places}
        with self._mutex:
            for name in places.keys() - self._journals.keys():
                self._journals[name] = Journal(str(places[name]), busy_seconds=_BUSY_SECONDS)
            return {name: self._journals[name] for name in places}

    # -- Overview

    def overview(self) -> Overview:
        """Return the state of every part."""
        queue = self.source.queue()
        found = Overview([queue], list(self.source.problems()), at=time.time())
        found.plugins = [ask() for ask in self.source.plugins]
        newest = [self._add_journal(found, name, journal) for name, journal in self.journals().items()]
        if not found.counts:
            found.parts.append(Part("Journal", "nothing has been kept yet", is_well=None))
        found.parts[0] = queue._replace(at=queue.at or max(newest, default=0.0))
        self._add_delivery(found)
        if not found.problems:
            found.problems = [Problem(f"{one.name}: {one.what}") for one in found.parts if one.is_well is False]
        found.problems += [problem for side in found.plugins for problem in side.problems]
        found.problems = list(dict.fromkeys(found.problems))
        return found

    def _add_journal(self, found: Overview, name: str, journal: Journal) -> float:
        """Add the state of one journal. Return when its newest action was accepted."""
        side = label_of(name)
        try:
            counts = journal.counts(found.at)
            done, newest = journal.latest(1, "done"), journal.latest(1)
            stuck = journal.oldest_waiting(but=_NOT_CAUSED_BY_ALERTA)
        except JournalError as error:
            found.parts.append(Part("Journal", side, is_well=False))
            found.problems.append(Problem(error.reason, error.advice))
            return 0.0
        found.counts[name] = counts
        if stuck and found.at - stuck.accepted_at <= _LATE_SECONDS:
            stuck = None
        took_at = max(self.source.alerta_at(), done[0].since if done else 0.0)
        found.parts.append(Part("Alerta" if name else "Plugin outbox", side, not stuck, took_at))
        found.parts.append(Part("Journal", side, is_well=True, at=newest[0].since if newest else 0.0))
        if stuck:
            what = f"{counts.waiting} wait for {side}, which does not take them ({stuck.reason}): {stuck.detail}"
            advice = {reason.value: words for reason, words in ADVICE.items()}.get(stuck.reason, _ALERTA_ADVICE)
            found.problems.append(Problem(what, advice))
        return newest[0].accepted_at if newest else 0.0

    def _add_delivery(self, found: Overview) -> None:
        deliverer, waiting = client.ask_status(self.source.directory), round(found.total("waiting"))
        if deliverer:
            what = f"{deliverer['kind']} {deliverer['version']}, process {deliverer['pid']}"
            found.parts.append(Part("Delivery", what, is_well=True, at=found.at))
            if deliverer.get("problem"):
                found.problems.append(Problem(str(deliverer["problem"])))
        elif waiting and set(found.counts) - {""}:
            found.parts.append(Part("Delivery", "no process", is_well=False))
            what = f"{waiting} wait, and no process delivers them"
            found.problems.append(Problem(what, "alerta-opsgenie spool drain, or start the agent's service"))
        else:
            found.parts.append(Part("Delivery", "no process now; the next action starts one", is_well=None))

    # -- Actions

    def rows(self, *, text: str = "", state_name: str = "") -> list[Row]:
        """Return the newest actions: all, those that a text finds, or those in one state."""
        found: list[Row] = []
        for name, journal in self.journals().items():
            with suppress(JournalError):  # `overview` shows the problem
                actions = journal.search(text, MOST_ROWS) if text else journal.latest(MOST_ROWS, state_name or None)
                found += self._rows(name, actions)
        if not state_name:
            wanted = text.lower()
            found += [
                row for row in self.source.ignored() if row.alert.startswith(wanted) or wanted in row.person.lower()
            ]
        return sorted(found, key=lambda row: row.at, reverse=True)[:MOST_ROWS]

    def actions_on(self, target: str, alert: str) -> list[Row]:
        """Return the newest actions on one alert, oldest first. Raises `JournalError`."""
        journal = self.journals().get(target)
        return self._rows(target, journal.of_alert(alert, MOST_ROWS)) if journal else []

    def action(self, target: str, key: str) -> Row | None:
        """Return one action. Raises `JournalError`."""
        journal = self.journals().get(target)
        found = journal.find(key) if journal else None
        return self._rows(target, [found])[0] if found else None

    def retry_or_drop(self, target: str, key: str, what: str) -> bool:
        """Retry or drop an action. Return False if it is gone or has ended. Raises `JournalError`."""
        journal = self.journals().get(target)
        found = journal.find(key) if journal else None
        if journal is None or found is None:
            return False
        return bool(journal.retry([found.id], time.time()) if what == "retry" else journal.drop([found.id]))

    def _rows(self, target: str, actions: Sequence[Action]) -> list[Row]:
        return [
            Row(
                target, one.key, one.kind, one.alert, _person(one.body), _outcome(one),
                one.reason, one.detail, one.since, one.attempts, one.accepted_at, one.first_attempt_at,
                one.due_at, "" if one.state == "done" else one.body,
            )
            for one in actions
        ]  # fmt: skip


def _outcome(action: Action) -> str:
    kind = _KINDS.get(action.reason)
    return kind.value if kind and action.state == "done" else action.state


def _person(body: str) -> str:
    with suppress(MessageError):
        return actor(read_journal_body(body, "")) if body else ""
    return ""


def label_of(target: str) -> str:
    """Return a target's URL for people; the plugin's outbox has no target name."""
    return state.target_url(target) if target else "Opsgenie or JSM"


def days_left(today: date | None = None) -> int:
    """Return the days until Opsgenie is switched off; negative after that."""
    return (END_OF_OPSGENIE - (today or datetime.now(timezone.utc).date())).days
