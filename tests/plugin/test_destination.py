"""Whether a product has an alert, while the sender sends its create."""

from __future__ import annotations

from types import SimpleNamespace

from alerta_opsgenie.core.agreed import AgreedState
from alerta_opsgenie.plugin.destination import Destination


def test_a_create_that_is_sent_during_the_look_up_is_known() -> None:
    """Otherwise the acknowledge after it would not be sent."""
    memory: dict[str, AgreedState] = {}
    waiting = {"a"}

    def step() -> None:
        """Do as the sender: write the memory, and then remove the request from the journal."""
        memory["a"] = AgreedState(is_open=True)
        waiting.clear()

    def waits(alert: str) -> bool:
        found = alert in waiting
        step()
        return found

    def read(_alerts: list[str]) -> dict[str, AgreedState]:
        found = dict(memory)
        step()
        return found

    product = Destination.__new__(Destination)
    product.memory = SimpleNamespace(read=read, get_value=lambda _name: "1.0")  # type: ignore[assignment]
    product.outbox = SimpleNamespace(journal=SimpleNamespace(waits=waits))  # type: ignore[assignment]
    assert product.has_open("a", 2.0) is True
