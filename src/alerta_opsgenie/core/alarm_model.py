"""Alerta's alarm models (its setting ALARM_MODEL): the meaning of each status, and the allowed transitions.

This package uses the statuses of the default model (`open`, `ack`, `shelved`, `closed`). Statuses of another model are
mapped to these on input, and back on output. No status is in both models, so each status shows its model.

Alerta's state machine for ISA 18.2 (9.1.0, models/alarms/isa_18_2.py) answers 200 to an action without a transition,
and does nothing. It allows unshelve from any status, and any action on a suppressed alarm puts it back into service.
So our plugin passes only actions with a transition (`ways`).
"""

from typing import FrozenSet, Mapping, NamedTuple, Optional


class AlarmModel(NamedTuple):
    """One model. `meanings` maps its statuses to those of the default model.

    `ways`: the statuses from which each action is allowed; None: Alerta's state machine refuses the others itself.
    `no_close`: why the model has no close; empty: it has one. `priorities` are by severity, in lower case.
    """

    meanings: Mapping[str, str]
    ways: Optional[Mapping[str, FrozenSet[str]]]
    no_close: str
    priorities: Mapping[str, str]

    def status(self, word: str) -> str:
        """Return the model's status for a status of the default model."""
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
        "RTNUN": "closed",  # back to normal before it was acknowledged: nobody has to act
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
    """Return the status of the default model for a status of any model."""
    return ISA_18_2.meanings.get(status, status)
