"""Measuring in turn: every contender once in each round, so that what disturbs the machine disturbs them all."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What one start of a program costs: medians of its wall-clock and CPU times, and its largest resident set."""

    seconds: float
    cpu_seconds: float
    kibibytes: int


def costs_of_programs(programs: Mapping[str, Sequence[str]], rounds: int) -> dict[str, Cost]:
    """Start each program `rounds` times, in turn."""
    runs: dict[str, list[Cost]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, command in programs.items():
            runs[name].append(_run(command))
    return {name: median(found) for name, found in runs.items()}


def median(costs: Sequence[Cost]) -> Cost:
    """Sum several runs of one program up."""
    seconds = statistics.median(one.seconds for one in costs)
    return Cost(seconds, statistics.median(one.cpu_seconds for one in costs), max(one.kibibytes for one in costs))


# A process is charged with the memory of the one that forked it, so a small one starts and measures the program.
_LAUNCHER = """
import os, sys, time
nothing = os.open(os.devnull, os.O_WRONLY)
began = time.perf_counter()
quiet = [(os.POSIX_SPAWN_DUP2, nothing, 1), (os.POSIX_SPAWN_DUP2, nothing, 2)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


def _run(command: Sequence[str]) -> Cost:
    launched = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    told = subprocess.run(launched, capture_output=True, text=True, check=True).stdout.split()
    seconds, cpu_seconds, kibibytes, code = told
    if code != "0":
        raise RuntimeError(f"{command[:2]} ended with {code}")
    return Cost(float(seconds), float(cpu_seconds), int(kibibytes))


def rate_per_second(work: Callable[[], object], seconds: float) -> float:
    """Say how often `work` can be done in a second."""
    done = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        work()
        done += 1
    return done / (time.perf_counter() - began)


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table for the documentation."""
    widths = [max(len(row[i]) for row in (headings, *rows)) for i in range(len(headings))]
    print(f"\n{title}")
    for row in (headings, ["-" * width for width in widths], *rows):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
