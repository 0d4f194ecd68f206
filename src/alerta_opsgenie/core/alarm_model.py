"""Alerta's alarm models (its setting ALARM_MODEL), each as one table: what its statuses mean, and which way leads on.

The rules of this package speak the words of the usual model (`open`, `ack`, `shelved`, `closed`). Another model's
statuses are put into these words where they come in, and back where one is written. No status stands in both models,
so a status tells by itself which one it is of.

Alerta's state machine for ISA 18.2 (9.1.0, models/alarms/isa_18_2.py) answers 200 to an action that has no way, and
does nothing; unshelve it does from any status, and whatever is done to a suppressed alarm puts it back into service.
So our plugin lets through to it only what has a way (`ways`).
"""

from typing import FrozenSet, Mapping, NamedTuple, Optional


class AlarmModel(NamedTuple):
    """One model. `meanings`: each status in the usual words, where it has other ones.

    `ways`: the statuses that an action leads away from; None: Alerta's own state machine refuses what has no way.
    `no_close` says why the model has no close; empty: it has one. `priorities` are by severity, in lower case.
    """

    meanings: Mapping[str, str]
    ways: Optional[Mapping[str, FrozenSet[str]]]
    no_close: str
    priorities: Mapping[str, str]

    def status(self, word: str) -> str:
        """Give the model's status for one of the usual words."""
        return next((status for status, meaning in self.meanings.items() if meaning == word), word)


ALERTA = AlarmModel(
    meanings={},
    ways=None,
    no_close="",
    priorities={
        **dict.fromkeys(("security", "critical"), "P1"),
        "major": "P2",
        "minor": "P3",
        **dict.fromkeys(("warning", "indeterminate"), "P4"),
        **dict.fromkeys(("informational", "debug", "trace"), "P5"),
    },
)

ISA_18_2 = AlarmModel(
    meanings={
        "UNACK": "open",
        "ACKED": "ack",
        "SHLVD": "shelved",
        "NORM": "closed",
        "RTNUN": "closed",  # back to normal before anybody acknowledged: nobody need be called for it any more
        "OOSRV": "blackout",
        "DSUPR": "blackout",
    },
    ways={
        "ack": frozenset({"UNACK", "RTNUN"}),
        "unack": frozenset({"ACKED"}),
        "shelve": frozenset({"UNACK", "ACKED"}),
        "unshelve": frozenset({"SHLVD"}),
        "close": frozenset(),
    },
    no_close="the alarm model ISA 18.2 has no close: an alarm ends when its process is back to normal",
    priorities={"critical": "P1", "high": "P2", "medium": "P3", "low": "P4", "advisory": "P5"},
)

MODELS: Mapping[str, AlarmModel] = {"alerta": ALERTA, "isa_18_2": ISA_18_2}
"""By the value of ALARM_MODEL, in lower case, as Alerta itself reads it."""

PRIORITIES: Mapping[str, str] = {**ALERTA.priorities, **ISA_18_2.priorities}
"""Severity (in lower case) to priority where OPSGENIE_SEVERITY_MAP is not set."""


def meaning(status: str) -> str:
    """Put a status of any model into the usual words."""
    return ISA_18_2.meanings.get(status, status)
