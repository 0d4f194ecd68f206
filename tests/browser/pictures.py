"""The pictures of the page in the documentation: `python -m tests.browser.pictures` takes them again."""

from __future__ import annotations

import sys
import tempfile
import time
import uuid
from pathlib import Path

from alerta_opsgenie.agent import client
from alerta_opsgenie.core.message import journal_body_of_person
from alerta_opsgenie.page.server import Server
from alerta_opsgenie.page.site import Page
from alerta_opsgenie.page.view import PageInputs, Part, PluginStatus, Row
from tests.browser.chromium import PHONE, Browser, chromium
from tests.cli.state_directory import StateDirectory

PICTURES = Path(__file__).parents[2] / "docs" / "_static"
ALERTA = "https://alerta.example.com/api"
PEOPLE = ("alice@example.com", "bob@example.com", "carol@example.com")
DONE = ("Acknowledge", "AddNote", "Close", "Snooze", "TakeOwnership", "Acknowledge", "AddTags", "Close")
SIZE = (1100, 760)


def fill(place: StateDirectory) -> Row:
    """Store actions of the last hours as done. Return one that was ignored."""
    now, journal = time.time(), place.journal(ALERTA)
    for number, name in enumerate(DONE):
        who, age = PEOPLE[number * 2 % 3], 20 + 150 * number**2
        place.keep(name, url=ALERTA, age_seconds=age, username=who)
        (action,) = journal.claim(now, 1, 60)
        reason = "in-state" if name == "AddTags" else "done"
        journal.done(action, now - age + 0.3, reason, left=journal_body_of_person(who))
    why = ("ignored", "foreign", "the alert's source is 'Datadog', not one of 'Alerta'")
    return Row("", "", "Acknowledge", str(uuid.uuid4()), PEOPLE[1], *why, at=now - 400)


def plugin() -> PluginStatus:
    """Make the figures of a plugin that compared both sides some minutes ago."""
    figures = {"waiting": 0.0, "last_good_sweep": time.time() - 140, "drift_repaired_status_alerta": 1.0}
    return PluginStatus(ALERTA, "", figures)


def break_it(place: StateDirectory) -> None:
    """Let Alerta be away, and one action be refused."""
    now, journal = time.time(), place.journal(ALERTA)
    for number, name in enumerate(("Close", "Acknowledge", "Snooze")):
        place.keep(name, url=ALERTA, age_seconds=190 - 40 * number, username=PEOPLE[number])
    for action in journal.claim(now, 10, 60)[:2]:
        journal.postpone(action, now, now + 12, "network", "connection refused by alerta.example.com:443")
    place.keep("Close", url=ALERTA, dead=True, age_seconds=2000, username=PEOPLE[2])


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as profile, tempfile.TemporaryDirectory() as directory:
        place = StateDirectory(Path(directory, "spool"))
        ignored = [fill(place)]
        status = {"kind": "run", "version": "6.0.0", "pid": 4711}
        client.ask_status = lambda _: status  # type: ignore[assignment]
        queue = Part("Queue", "1 of 1 queues answer, 0 messages in flight", is_well=True, at=time.time() - 2)
        source = PageInputs(
            str(place.directory), lambda: queue, plugins=[plugin], ignored=lambda: ignored, token=lambda: "a" * 16
        )
        server = Server("127.0.0.1", 0, Page(source, "127.0.0.1").answer)
        server.start()
        with chromium(Path(profile)) as browser:
            take(browser.look_as(SIZE), server.url, "page-well")
            break_it(place)
            take(browser.look_as(SIZE), server.url, "page-trouble")
            take(browser.look_as(SIZE, dark=True), server.url, "page-dark")
            take(browser.look_as((PHONE[0], 1500)), server.url, "page-phone")
        server.stop()


def take(browser: Browser, url: str, name: str) -> None:
    """Take a picture of what is seen without scrolling."""
    path = PICTURES / f"{name}.png"
    browser.open(url).driver.save_screenshot(str(path))
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
