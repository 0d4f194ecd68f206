"""The wake-up pipe wakes another thread or process at once, and its absence costs a second at most."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from alerta_opsgenie.plugin.wakeup import WakeUpPipe


def test_a_wake_up_from_another_process_wakes_at_once(tmp_path: Path) -> None:
    pipe = WakeUpPipe(str(tmp_path))
    pipe.wait(0.01)
    code = "import sys; from alerta_opsgenie.plugin.wakeup import WakeUpPipe; WakeUpPipe(sys.argv[1]).wake()"
    waking = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    start = time.monotonic()
    pipe.wait(200)
    assert time.monotonic() - start < 150
    assert waking.wait() == 0
    pipe.close()


def test_a_wake_up_before_the_waiting_counts(tmp_path: Path) -> None:
    pipe = WakeUpPipe(str(tmp_path))
    pipe.wait(0.01)
    pipe.wake()
    start = time.monotonic()
    pipe.wait(100)
    assert time.monotonic() - start < 60
    pipe.close()


def test_nobody_need_wait(tmp_path: Path) -> None:
    WakeUpPipe(str(tmp_path)).wake()
    WakeUpPipe(str(tmp_path / "absent")).wake()


def test_thousands_of_wake_ups_block_nobody(tmp_path: Path) -> None:
    pipe = WakeUpPipe(str(tmp_path))
    pipe.wait(0.01)
    for _ in range(70_000):
        pipe.wake()
    pipe.close()


def test_without_a_pipe_the_process_s_own_wake_ups_still_work(tmp_path: Path) -> None:
    (tmp_path / "wake-up").write_text("in the way")
    pipe = WakeUpPipe(str(tmp_path))
    threading.Timer(0.05, pipe.wake).start()
    start = time.monotonic()
    pipe.wait(100)
    assert time.monotonic() - start < 60
