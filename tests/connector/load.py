"""Load with a check of its result: each note is there once, and each state is that of the last action."""

from __future__ import annotations

import random
import re
from typing import Any

from tests.connector.rig import Rig
from tests.support.console import Console

_NOTE = re.compile(r"\bnote \d+$")  # behind the person's name where there is no plugin
SETTLED_SECONDS = 120.0


class Load:
    """Actions of a person on alerts, a third of them notes."""

    def __init__(self, rig: Rig, console: Console, alerts: int, seed: int = 7) -> None:
        self.rig = rig
        self.console = console
        self.rng = random.Random(seed)
        self.ids = [console.create_alert()["id"] for _ in range(alerts)]
        self.notes: dict[str, list[str]] = {alert_id: [] for alert_id in self.ids}
        self.acked: dict[str, bool] = dict.fromkeys(self.ids, False)
        for alert_id in self.ids:
            rig.create(alert_id)

    def act(self, count: int) -> None:
        """Do so many actions."""
        person = self.rig.person()
        for number in range(count):
            alert_id = self.rng.choice(self.ids)
            if number % 3 == 0:
                text = f"note {sum(map(len, self.notes.values()))}"
                person.add_note(alert_id, text)
                self.notes[alert_id].append(text)
            elif self.acked[alert_id]:
                person.unacknowledge(alert_id)
                self.acked[alert_id] = False
            else:
                person.acknowledge(alert_id)
                self.acked[alert_id] = True

    def assert_all_there_once(self) -> None:
        """Wait until queue and journals are empty, then compare with Alerta."""
        self.rig.wait_delivered(SETTLED_SECONDS)
        wrong = [difference for alert_id in self.ids if (difference := self._compare(alert_id))]
        assert not wrong, "\n".join(wrong)

    def _compare(self, alert_id: str) -> str:
        alert = self.console.get(alert_id)
        lines = [_NOTE.search(entry["text"]) for entry in alert["history"]]
        written = [line[0] for line in lines if line]
        difference = ""
        if sorted(written) != sorted(self.notes[alert_id]):
            lost = sorted(set(self.notes[alert_id]) - set(written))
            doubled = sorted(text for text in set(written) if written.count(text) > 1)
            difference += f" lost {lost} doubled {doubled}"
        wanted = "ack" if self.acked[alert_id] else "open"
        if alert["status"] != wanted:
            difference += f" is {alert['status']}, not {wanted}"
        return difference and "\n".join([alert_id + difference, *_story(alert, self.rig)])


def _story(alert: dict[str, Any], rig: Rig) -> list[str]:
    """Return an alert's history, and the connectors' log lines about it."""
    history = [f"{entry['updateTime']} {entry['type']} {entry['status']} {entry['text']}" for entry in alert["history"]]
    return history + [line for path in rig.log_paths() for line in path.read_text().splitlines() if alert["id"] in line]
