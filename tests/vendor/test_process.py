"""One process as Go's `exec.Cmd` would see it (the runner's tests go through all of this with real scripts)."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerta_opsgenie.vendor.process import MOST_KEPT_BYTES, Ended, Output, Start, run_process
from alerta_opsgenie.vendor.scriptlog import ScriptLogError

PATH = "/usr/bin:/bin"


def kept() -> Output:
    output = Output()
    output.sinks = (output.keep,)
    return output


def start(*argv: str, directory: Path | None = None) -> Start:
    return Start(argv, {"PATH": PATH}, PATH, str(directory) if directory else None)


def test_both_streams_and_the_code_of_a_process_come_back() -> None:
    ended = run_process(start("sh", "-c", "echo out; echo err >&2; exit 7"), stdout=kept(), stderr=kept())
    assert ended == Ended(7, "exit status 7", b"out\n", b"err\n")


def test_a_success_has_no_failure() -> None:
    assert run_process(start("true"), stdout=None, stderr=kept()) == Ended(0, "")


def test_the_working_directory_is_the_given_one(tmp_path: Path) -> None:
    ended = run_process(start("pwd", directory=tmp_path), stdout=kept(), stderr=kept())
    assert ended.stdout.decode().strip() == str(tmp_path)


def test_a_directory_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    ended = run_process(start("true", directory=tmp_path / "gone"), stdout=kept(), stderr=kept())
    assert ended.exit_code is None
    assert "no such file or directory" in ended.failure


@pytest.mark.parametrize("name", ["no-such-program", "", "no\0such"])
def test_a_program_that_is_nowhere_is_a_failure(name: str) -> None:
    assert run_process(start(name), stdout=None, stderr=kept()).failure.startswith("exec: ")


def test_no_more_than_a_mebibyte_is_kept() -> None:
    output = kept()
    output.keep(b"x" * (MOST_KEPT_BYTES - 1))
    output.keep(b"yz")
    output.keep(b"w")
    assert len(output.kept) == MOST_KEPT_BYTES
    assert output.kept.endswith(b"xy")


def test_a_sink_that_fails_is_the_failure_of_a_process_that_succeeded() -> None:
    def fail(_chunk: bytes) -> None:
        raise ScriptLogError("can't open new logfile")

    ended = run_process(start("echo", "x"), stdout=None, stderr=kept())
    assert ended.failure == ""
    ended = run_process(start("echo", "x"), stdout=Output(sinks=(fail,)), stderr=kept())
    assert (ended.exit_code, ended.failure) == (0, "can't open new logfile")
