"""A stopped server's port is given to nobody else."""

from __future__ import annotations

import socket

import pytest
from lab.ports import LOOPBACK, Port

from lab import ports


def test_a_port_that_is_held_refuses_and_listens_again() -> None:
    port = Port()
    for _ in range(2):
        with port.listen(), socket.create_connection((LOOPBACK, port.number)):
            pass
        port.hold()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port.number))
    port.close()


@pytest.mark.parametrize("is_listening", [False, True])
def test_a_taken_port_is_not_given_again(is_listening: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Port()
    listener = taken.listen() if is_listening else None
    offers = iter([taken.number, taken.number, taken.number + 1])
    monkeypatch.setattr(ports, "randrange", lambda *_: next(offers))
    other = Port()
    assert other.number == taken.number + 1
    for each in (taken, other, listener):
        if each is not None:
            each.close()
