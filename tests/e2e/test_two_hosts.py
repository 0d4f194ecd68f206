"""Two hosts with Alerta on one PostgreSQL; one of them crashes. All is told once, in order for each alert."""

from __future__ import annotations

import http.client
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from tests.support.console import Console, ConsoleError
from tests.support.plugin import Plugged, plugged, wait_until
from tests.support.tiers import LONG, amount, grows

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(
        os.geteuid() != 0 or subprocess.run(["unshare", "--uts", "true"], check=False).returncode != 0,
        reason="only root can give a process another host's name",
    ),
]

ALERTS = amount(6, 50)
CHANGES = amount(8, 19)  # with the alert itself 20 of each, 1,000 in all
THREADS = 6
OTHER = "the-other-host"


def python_of(host: str, directory: Path) -> str:
    """Make an interpreter with this environment's packages whose processes take themselves to be on another host."""
    environment = Path(sys.executable).parents[1]
    (directory / "bin").mkdir(parents=True)
    (directory / "lib").symlink_to(environment / "lib")
    script = directory / "bin/python"
    renamed = f'hostname {host} && exec {shlex.quote(sys.executable)} "$@"'
    script.write_text(f'#!/bin/sh\nexec unshare --uts sh -c {shlex.quote(renamed)} sh "$@"\n')
    script.chmod(0o755)
    return str(script)


@contextmanager
def another_host(run: Plugged, directory: Path) -> Iterator[AlertaServer]:
    """Start Alerta on another host, with the same settings and on the same database."""
    settings = {**run.alerta.settings, "OPSGENIE_SPOOL_DIR": str(directory / "spool")}
    python = python_of(OTHER, directory / "python")
    other = AlertaServer(postgres=run.alerta.postgres, settings=settings, python=python)
    other.database, other.admin_key = run.alerta.database, run.alerta.admin_key
    with other:
        yield other


@dataclass
class Story:
    """What is done to one alert, now on one host, now on the other.

    `told` is what Opsgenie has to hear; `in_doubt`: the crash took an answer away, so nobody knows what was done.
    """

    consoles: tuple[Console, Console]
    alert_id: str
    told: list[str] = field(default_factory=lambda: ["create"])
    in_doubt: bool = False

    def change(self, number: int) -> None:
        """Do the next change; where its host is dead, on the one that lives."""
        word = ("note", "ack", "note", "unack")[number % 4]
        try:
            self._do(self.consoles[number % 2], word, number)
        except ConnectionRefusedError:
            self._do(self.consoles[0], word, number)
        except (OSError, http.client.HTTPException):
            self.in_doubt = True
            self._do_again(word, number)
        self.told.append({"note": f"note {number}", "ack": "acknowledge", "unack": "unacknowledge"}[word])

    def _do(self, console: Console, word: str, number: int) -> None:
        if word == "note":
            console.note(self.alert_id, f"note {number}")
        else:
            console.action(self.alert_id, word)

    def _do_again(self, word: str, number: int) -> None:
        try:
            self._do(self.consoles[0], word, number)
        except ConsoleError:  # it was done before the crash
            assert word != "note"


def heard(run: Plugged, alert_id: str) -> list[str]:
    """What Opsgenie took about an alert, a note by its text."""
    words = [str(body.get("note")) if last == "notes" else last for _method, last, body in run.requests(alert_id)]
    return [word or "create" for word in words]


def without_repeats(words: list[str]) -> list[str]:
    return [word for word, _same in groupby(words)]


@grows
def test_all_is_told_once_and_in_order_though_a_host_crashes(alerta: AlertaServer, tmp_path: Path) -> None:
    """A request that was on its way may be sent again; of acknowledges that changes nothing over there."""
    settings = {"OPSGENIE_COMPARE_SECONDS": 2}
    with (
        plugged(alerta.postgres, tmp_path / "one", settings=settings) as run,
        another_host(run, tmp_path / "two") as other,
    ):
        consoles = run.console, Console(other.url, other.admin_key)
        crash_at, lock, done = ALERTS * CHANGES // 2, threading.Lock(), []

        def tell(story: Story) -> Story:
            for number in range(CHANGES):
                with lock:
                    done.append(number)
                    if len(done) == crash_at:
                        other.kill()
                story.change(number)
            return story

        with run.cloud.faults.delay(0.05), ThreadPoolExecutor(THREADS) as pool:
            ids = [str(alert["id"]) for alert in pool.map(lambda _: run.console.create_alert(), range(ALERTS))]
            stories = list(pool.map(lambda alert_id: tell(Story(consoles, alert_id)), ids))
        both = [f"process {host}:" in log for host, log in ((os.uname().nodename, run.log()), (OTHER, _log(other)))]
        assert both == [True, True], "both hosts send"
        if not LONG:  # else what it had on its way waits for the end of its lease
            other.start()
        assert wait_until(lambda: run.waiting() == 0, 150), run.entries()
        for story in stories:
            words = heard(run, story.alert_id)
            if story.in_doubt:
                notes = [word for word in story.told if word.startswith("note")]
                assert without_repeats([word for word in words if word.startswith("note")]) == notes
            else:
                assert without_repeats(words) == story.told
                assert len(words) <= len(story.told) + 1
        assert sum(story.in_doubt for story in stories) <= THREADS


def _log(server: AlertaServer) -> str:
    return server.log_path.read_text(errors="replace")
