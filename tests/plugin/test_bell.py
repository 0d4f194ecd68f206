"""The bell wakes another thread or process at once, and its absence costs a second at most."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from alerta_opsgenie.plugin.bell import Bell


def test_a_ring_from_another_process_wakes_at_once(tmp_path: Path) -> None:
    bell = Bell(str(tmp_path))
    bell.wait(0.01)
    code = "import sys; from alerta_opsgenie.plugin.bell import Bell; Bell(sys.argv[1]).ring()"
    ringing = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    start = time.monotonic()
    bell.wait(20)
    assert time.monotonic() - start < 15
    assert ringing.wait() == 0
    bell.close()


def test_a_ring_before_the_waiting_counts(tmp_path: Path) -> None:
    bell = Bell(str(tmp_path))
    bell.wait(0.01)
    bell.ring()
    start = time.monotonic()
    bell.wait(10)
    assert time.monotonic() - start < 5
    bell.close()


def test_nobody_need_listen(tmp_path: Path) -> None:
    Bell(str(tmp_path)).ring()
    Bell(str(tmp_path / "absent")).ring()


def test_thousands_of_rings_block_nobody(tmp_path: Path) -> None:
    bell = Bell(str(tmp_path))
    bell.wait(0.01)
    for _ in range(70_000):
        bell.ring()
    bell.close()


def test_without_a_pipe_the_process_s_own_rings_still_wake(tmp_path: Path) -> None:
    (tmp_path / "bell").write_text("in the way")
    bell = Bell(str(tmp_path))
    threading.Timer(0.05, bell.ring).start()
    start = time.monotonic()
    bell.wait(10)
    assert time.monotonic() - start < 5
