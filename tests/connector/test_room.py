"""What is in hand is bounded by number and by bytes."""

from __future__ import annotations

import threading

from alerta_opsgenie.connector.room import MOST_BYTES, Room
from tests.connector.rig import wait_until


def blocked(room: Room, want: int) -> bool:
    """Whether there is no room for so many now."""
    waiting = threading.Thread(target=lambda: room.wait(want), daemon=True)
    waiting.start()
    waiting.join(0.1)
    is_blocked = waiting.is_alive()
    room.close()
    wait_until(lambda: not waiting.is_alive())
    room._open = True
    return is_blocked


def test_as_many_fit_as_were_asked_for() -> None:
    room = Room(48)
    assert room.wait(10) == 10
    room.enter(2000)
    assert room.wait(10) == 10


def test_where_fewer_would_fit_than_a_batch_it_waits_for_the_batch() -> None:
    room = Room(12)
    for _ in range(3):
        room.enter(10)
    assert blocked(room, 10)
    room.leave(10)
    assert room.wait(10) == 10


def test_after_a_large_message_few_are_asked_for() -> None:
    room = Room(48)
    room.enter(1024 * 1024)
    assert room.wait(10) == 1
    room.leave(1024 * 1024)
    assert room.wait(10) == 2


def test_bytes_fill_it_too() -> None:
    room = Room(48)
    for _ in range(2):
        room.enter(MOST_BYTES // 2)
    assert blocked(room, 1)


def test_one_message_fits_however_large_it_is() -> None:
    room = Room(48)
    room.enter(MOST_BYTES * 3)
    room.leave(MOST_BYTES * 3)
    assert room.wait(10) == 1


def test_a_large_message_is_forgotten() -> None:
    room = Room(48)
    room.enter(1024 * 1024)
    room.leave(1024 * 1024)
    for _ in range(12):
        room.enter(100)
        room.leave(100)
    assert room.wait(10) == 10


def test_closed_it_gives_nothing() -> None:
    room = Room(1)
    room.enter(1)
    room.close()
    assert room.wait(1) == 0
