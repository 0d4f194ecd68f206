"""What the page shows, as values: read from the journals of a state directory and from the process that delivers."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence

from alerta_opsgenie.agent import client, state
from alerta_opsgenie.core.limits import END_OF_OPSGENIE
from alerta_opsgenie.core.message import MessageError, actor, recall
from alerta_opsgenie.core.outcome import ADVICE, REASONS, Reason
from alerta_opsgenie.journal import Action, Counts, Journal, JournalError

MOST_ROWS = 100

_BUSY_SECONDS = 1.0
_LATE_SECONDS = 30.0  # what has waited for less is likely to be in its first pauses
_NOT_THEIRS = {Reason.BEHIND.value, Reason.CONFLICT.value, Reason.FAULT.value, ""}
_KINDS = {reason.value: kind for kind, reasons in REASONS.items() for reason in reasons}
_ALERTA_ADVICE = "see whether Alerta is up and can be reached from this host; what waits is tried again by itself"


class Part(NamedTuple):
    """One part that has to work. `is_well` None: nobody can tell. `at`: its last success; 0: none is known."""

    name: str
    what: str
    is_well: bool | None
    at: float = 0.0


class Trouble(NamedTuple):
    """What is wrong and what to do about it."""

    what: str
    advice: str = "alerta-opsgenie doctor"


class PluginSide(NamedTuple):
    """What the plugin in the Alerta at `url` tells by its figures; `why` it tells nothing, empty where it does."""

    url: str
    why: str
    figures: Mapping[str, float] = {}
    troubles: tuple[Trouble, ...] = ()


class Row(NamedTuple):
    """An action as it is shown. `outcome` is a state of the journal, or the kind of its end.

    One that was ignored has no `target` and no `key`, and `accepted_at` is 0: no journal has it.
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
        """Whether a person may decide about it."""
        return self.outcome in ("waiting", "dead")


@dataclass(frozen=True)
class Source:
    """Where the page has from what the state directory does not tell.

    `queue` gives the part that takes messages, `alerta_at` when Alerta took a heartbeat, `troubles` what is wrong
    beside the journals, `plugins` what each Alerta tells of its plugin, `ignored` the last ends that no journal has.
    `secrets` are shown nowhere. `token` lets whoever has it retry and drop; `enabling` says how one is set.
    """

    directory: str
    queue: Callable[[], Part]
    alerta_at: Callable[[], float] = float
    troubles: Callable[[], Iterable[Trouble]] = tuple
    plugins: Sequence[Callable[[], PluginSide]] = ()
    ignored: Callable[[], Sequence[Row]] = tuple
    secrets: Callable[[], Iterable[str]] = tuple
    token: Callable[[], str] = str
    enabling: str = ""


@dataclass
class Overview:
    """All that the first screen shows."""

    parts: list[Part] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)
    plugins: list[PluginSide] = field(default_factory=list)
    at: float = 0.0

    @property
    def is_well(self) -> bool:
        """Whether nobody has to do anything but decide about dead letters."""
        return not self.troubles

    def total(self, name: str) -> float:
        """Add a count of all targets up."""
        return float(sum(getattr(one, name) for one in self.counts.values()))


class View:
    """Reads what a source names. Any thread may call it; a journal that cannot be read is a trouble on the page."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._journals: dict[str, Journal] = {}
        self._mutex = threading.Lock()

    def journals(self) -> dict[str, Journal]:
        """Give the journal of each target; the name of the plugin's outbox is empty."""
        directory = self.source.directory
        outbox = [""] if os.path.isfile(os.path.join(directory, "journal.db")) else []  # noqa: PTH113, PTH118
        names = [*outbox, *state.targets(directory)]
        with self._mutex:
            for name in names:
                if name not in self._journals:
                    self._journals[name] = Journal(
                        os.path.join(directory, "targets", name) if name else directory,  # noqa: PTH118
                        busy_seconds=_BUSY_SECONDS,
                    )
            return {name: self._journals[name] for name in names}

    # -- How it goes

    def overview(self) -> Overview:
        """Look at every part."""
        queue = self.source.queue()
        found = Overview([queue], list(self.source.troubles()), at=time.time())
        found.plugins = [ask() for ask in self.source.plugins]
        deliverer = client.ask_status(self.source.directory)
        newest = 0.0
        for name, journal in self.journals().items():
            newest = max(newest, self._look(found, name, journal))
        if not found.counts:
            found.parts.append(Part("Journal", "nothing has been kept yet", is_well=None))
        if not queue.at:
            found.parts[0] = queue._replace(at=newest)
        found.parts.append(_deliverer(deliverer, found))
        if deliverer and deliverer.get("trouble"):
            found.troubles.append(Trouble(str(deliverer["trouble"])))
        if not found.troubles:
            found.troubles = [Trouble(f"{one.name}: {one.what}") for one in found.parts if one.is_well is False]
        found.troubles += [trouble for side in found.plugins for trouble in side.troubles]
        found.troubles = list(dict.fromkeys(found.troubles))
        return found

    def _look(self, found: Overview, name: str, journal: Journal) -> float:
        """Add what one journal tells; gives when its newest action came."""
        try:
            counts = found.counts[name] = journal.counts(found.at)
            done, waiting, newest = journal.latest(1, "done"), journal.longest_waiting(), journal.latest(1)
        except JournalError as error:
            found.parts.append(Part("Journal", label_of(name), is_well=False))
            found.troubles.append(Trouble(error.reason, error.advice))
            return 0.0
        side = label_of(name)
        stuck = waiting if waiting and counts.oldest_waiting_seconds > _LATE_SECONDS else None
        if stuck and stuck.reason in _NOT_THEIRS:
            stuck = None
        took_at = max(self.source.alerta_at(), done[0].since if done else 0.0)
        found.parts.append(Part("Alerta" if name else "The way out", side, not stuck, took_at))
        found.parts.append(Part("Journal", side, is_well=True, at=newest[0].since if newest else 0.0))
        if stuck:
            what = f"{counts.waiting} wait for {side}, which does not take them ({stuck.reason}): {stuck.detail}"
            advice = {reason.value: words for reason, words in ADVICE.items()}.get(stuck.reason, _ALERTA_ADVICE)
            found.troubles.append(Trouble(what, advice))
        return max((one.accepted_at for one in newest), default=0.0)

    # -- Actions

    def rows(self, *, text: str = "", state_name: str = "") -> list[Row]:
        """Give the newest actions; those that a text finds, or those in one state."""
        found: list[Row] = []
        for name, journal in self.journals().items():
            with suppress(JournalError):  # `overview` tells
                actions = journal.about(text, MOST_ROWS) if text else journal.latest(MOST_ROWS, state_name or None)
                found += self._rows(name, actions)
        if not state_name:
            found += islice(self._ignored(text.lower()), MOST_ROWS)
        return sorted(found, key=lambda row: row.at, reverse=True)[:MOST_ROWS]

    def _ignored(self, text: str) -> Iterator[Row]:
        for row in reversed(self.source.ignored()):
            if row.alert.startswith(text) or text in row.person.lower():
                yield row

    def story(self, target: str, alert: str) -> list[Row]:
        """Give the newest actions on one alert, the oldest of them first. Raises `JournalError`."""
        journal = self.journals().get(target)
        return self._rows(target, journal.of_alert(alert, MOST_ROWS)) if journal else []

    def action(self, target: str, key: str) -> Row | None:
        """Give one action. Raises `JournalError`."""
        journal = self.journals().get(target)
        found = journal.find(key) if journal else None
        return self._rows(target, [found])[0] if found else None

    def decide(self, target: str, key: str, what: str) -> bool:
        """Retry or drop an action. False: it is not there, or has ended. Raises `JournalError`."""
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
    """Name whoever acted; nobody where the row has no message any more, or none that can be read."""
    with suppress(MessageError):
        return actor(recall(body, "")) if body else ""
    return ""


def _deliverer(found: dict[str, Any] | None, overview: Overview) -> Part:
    name = "Delivery"
    if found:
        return Part(name, f"{found['kind']} {found['version']}, process {found['pid']}", is_well=True, at=overview.at)
    waiting = round(overview.total("waiting"))
    if waiting and set(overview.counts) - {""}:
        what = f"{waiting} wait, and no process delivers them"
        overview.troubles.append(Trouble(what, "alerta-opsgenie spool drain, or start the agent's service"))
        return Part(name, "no process", is_well=False)
    return Part(name, "no process now; the next action starts one", is_well=None)


def label_of(target: str) -> str:
    """Name a target for people; the plugin's outbox is the one journal without a name."""
    return state.target_url(target) if target else "Opsgenie or JSM"


def days_left() -> int:
    """Count the days until Opsgenie is switched off; negative after that."""
    return (END_OF_OPSGENIE - datetime.now(timezone.utc).date()).days
