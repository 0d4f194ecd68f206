"""Load whose end can be told: each note must stand once, and each state be as the last action left it."""

from __future__ import annotations

import random
import time

from alerta_opsgenie.spool import Spool
from tests.connector.rig import Rig, wait_until
from tests.support.console import Console

SETTLED_SECONDS = 120.0


class Load:
    """A person who acts on alerts, a third of it notes."""

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
        """Do so many things."""
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
        """Wait until queue and spool are empty, then compare with Alerta."""
        self.rig.wait_queue_empty(SETTLED_SECONDS)
        wait_until(self._spool_is_empty, SETTLED_SECONDS, lambda: f"the spool does not empty:\n{self.rig.logs()}")
        wrong = [trouble for alert_id in self.ids if (trouble := self._compare(alert_id))]
        assert not wrong, "\n".join(wrong)

    def _spool_is_empty(self) -> bool:
        with Spool(self.rig.spool) as spool:
            return not spool.counts(time.time()).waiting

    def _compare(self, alert_id: str) -> str:
        alert = self.console.get(alert_id)
        written = [entry["text"].rpartition(": ")[2] for entry in alert["history"] if ": note " in entry["text"]]
        trouble = ""
        if sorted(written) != sorted(self.notes[alert_id]):
            lost = sorted(set(self.notes[alert_id]) - set(written))
            doubled = sorted(text for text in set(written) if written.count(text) > 1)
            trouble += f" lost {lost} doubled {doubled}"
        wanted = "ack" if self.acked[alert_id] else "open"
        if alert["status"] != wanted:
            trouble += f" is {alert['status']}, not {wanted}"
        return trouble and alert_id + trouble
