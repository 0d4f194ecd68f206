"""The runner starts a script as the connectors do; each test is one of their habits, on real processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.arguments import script_argv
from alerta_opsgenie.vendor.config import JEC, OEC, ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.runner import ScriptHost, ScriptResult, prepare_scripts, run_message
from tests.support.edge_messages import API_KEY, connector_path, edge_message, run_messages, write_script


@pytest.fixture
def host(tmp_path: Path) -> ScriptHost:
    """A connector's host whose `python` is this interpreter."""
    return ScriptHost({"PATH": connector_path(tmp_path / "bin"), "HOME": "/root"}, pipe_directory=str(tmp_path))


def edge_config(filepath: Path | str, dialect: str = OEC, **changes: Any) -> EdgeConfig:
    """Build a configuration with one mapping; `changes` are the mapping's fields, or `global_...` ones."""
    on_top = {name: changes.pop(name) for name in list(changes) if name.startswith(("global_", "log_"))}
    base_url = "https://api.opsgenie.com" if dialect == OEC else "https://api.atlassian.com"
    mapping = ActionMapping(name="Acknowledge", filepath=str(filepath), **changes)
    return EdgeConfig(dialect, Secret(API_KEY), base_url, {"Acknowledge": mapping}, **{"log_level": "warn", **on_top})


def run(config: EdgeConfig, host: ScriptHost, **changes: Any) -> ScriptResult:
    return run_message(config, edge_message("Acknowledge", **changes), host=host)


Sh = Callable[..., ScriptResult]


@pytest.fixture
def sh(tmp_path: Path, host: ScriptHost) -> Sh:
    """Run a shell script for a message; `changes` are those of `edge_config`."""

    def started(text: str, message: Any = None, *, limit: float | None = None, **changes: Any) -> ScriptResult:
        config = edge_config(write_script(tmp_path / "script.sh", text), **changes)
        there = replace(host, time_limit_seconds=limit)
        return run_message(config, message or edge_message("Acknowledge"), host=there)

    return started


class TestArguments:
    def test_oec_passes_flags_payload_its_arguments_and_those_of_the_file_in_this_order(
        self, tmp_path: Path, sh: Sh
    ) -> None:
        body = '{"action": "Acknowledge", "actionType": "custom"}'
        flags = {"global_flags": (("url", "http://localhost"),), "flags": (("user", "nagios"),)}
        more = {"global_args": ("--alertaApiUrl", "https://a"), "args": ("--mine", "2"), "stdout": f"{tmp_path}/out"}
        got = sh("printf '%s\\n' \"$@\"\n", body, **flags, **more).stdout.splitlines()
        own = [body, "-apiKey", API_KEY, "-opsgenieUrl", "https://api.opsgenie.com", "-logLevel", "WARN"]
        first = ["-url", "http://localhost", "-user", "nagios", "-payload"]
        assert got == [*first, *own, "--alertaApiUrl", "https://a", "--mine", "2"]

    def test_jec_passes_jsm_url_and_its_pipe_last(self, tmp_path: Path, sh: Sh) -> None:
        got = sh("exit 0\n", dialect=JEC, args=("--mine",)).argv[4:]
        assert got[:6] == ("-apiKey", API_KEY, "-jsmUrl", "https://api.atlassian.com", "-logLevel", "WARN")
        assert got[6:8] == ("--mine", "--jecNamedPipe")
        assert got[8].startswith(f"{tmp_path}/jecCallbackPipe-")

    @pytest.mark.parametrize(
        ("name", "interpreter"),
        [
            ("a.PY", ("python",)), ("a.sh", ("sh",)), ("a", ()), ("a.go", ("go", "run")), ("a.py.bak", ()),
            ("dir.py/a", ()),
        ],
    )  # fmt: skip
    def test_the_interpreter_is_chosen_by_the_ending_alone(self, name: str, interpreter: tuple[str, ...]) -> None:
        config = edge_config(f"/opt/{name}")
        argv = script_argv(config, config.mappings["Acknowledge"], "{}")
        assert argv[: len(interpreter) + 1] == (*interpreter, f"/opt/{name}")

    def test_the_result_does_not_show_the_connectors_key(self, host: ScriptHost) -> None:
        config = edge_config("/bin/true", global_args=("--alertaApiKey", "alerta-secret"))
        result = run(config, host)
        assert API_KEY in result.argv
        assert not [text for text in (API_KEY, "alerta-secret") if text in f"{result!r} {config!r}"]


def test_the_files_variables_override_the_connectors(tmp_path: Path, sh: Sh) -> None:
    files = {"global_env": ("A=global", "B=global", "HOME=/elsewhere"), "env": ("B=mapping", "C=x=y", "broken")}
    result = sh('echo "$A $B $C $HOME $broken"\n', stdout=f"{tmp_path}/out", **files)
    assert result.stdout == "global mapping x=y /elsewhere \n"


class TestOutput:
    def test_stdout_is_dropped_if_the_mapping_has_no_file(self, sh: Sh) -> None:
        result = sh("echo out; [ /dev/stdout -ef /dev/null ] && echo null >&2; exit 1\n")
        assert (result.stdout, result.stderr) == ("", "null\n")

    def test_both_streams_are_appended_to_the_files_of_the_mapping(self, tmp_path: Path, sh: Sh) -> None:
        out, err = tmp_path / "logs" / "out.log", tmp_path / "logs" / "err.log"
        for _ in range(2):
            result = sh("echo out; echo err >&2; exit 3\n", stdout=str(out), stderr=str(err))
            assert result.stderr == "err\n"
        assert (out.read_text(), err.read_text()) == ("out\nout\n", "err\nerr\n")

    @pytest.mark.parametrize("in_the_way", [Path.touch, os.mkfifo])
    def test_an_output_file_that_cannot_be_written_is_logged_and_does_not_fail_the_script(
        self, tmp_path: Path, sh: Sh, caplog: pytest.LogCaptureFixture, in_the_way: Callable[[Path], object]
    ) -> None:
        in_the_way(tmp_path / "x")
        log = tmp_path / "x" / "out.log" if (tmp_path / "x").is_file() else tmp_path / "x"
        for _ in range(2):
            result = sh("echo out; echo out; exit 0\n", stdout=str(log))
            assert (result.succeeded, result.stdout) == (True, "out\nout\n")
        assert {str(log) in record.getMessage() for record in caplog.records} == {True}

    def test_more_than_a_megabyte_is_read_to_its_end_and_kept_in_part(self, tmp_path: Path, sh: Sh) -> None:
        log = tmp_path / "err.log"
        result = sh("head -c 2000000 /dev/zero | tr '\\0' x >&2; exit 1\n", stderr=str(log))
        assert len(result.stderr) == 1024 * 1024
        assert log.read_text().count("x") == 2_000_000

    def test_a_log_that_another_program_moved_is_created_again(
        self, tmp_path: Path, sh: Sh
    ) -> None:
        log = tmp_path / "out.log"
        for number in (1, 2):
            assert sh(f"echo {number}\n", stdout=str(log)).succeeded
            if number == 1:
                log.rename(tmp_path / "out.log.old")
        assert log.read_text() == "2\n"

    def test_a_lone_surrogate_in_a_message_does_not_fail_the_script(self, sh: Sh) -> None:
        assert sh("exit 0\n", edge_message("Acknowledge", source="\ud800")).succeeded

    def test_output_files_have_mode_0600_and_are_rotated_at_3_mib(self, tmp_path: Path, sh: Sh) -> None:
        log = tmp_path / "out.log"
        for _ in range(3):
            sh("head -c 3000000 /dev/zero | tr '\\0' x\n", stdout=str(log))
        assert sorted(path.name for path in tmp_path.glob("out.log*")) == ["out.log", "out.log.1"]
        assert all(path.stat().st_size <= 3 * 1024 * 1024 for path in tmp_path.glob("out.log*"))
        assert log.stat().st_mode & 0o777 == 0o600

class TestDropping:
    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            ("not json", "not JSON"),
            ("[" * 100_000, "not JSON"),
            ({"alert": {}}, "no action"),
            ({"action": "Acknowledge", "entity": "x"}, "entity is not an object"),
            ({"action": "Nope", "actionType": "custom"}, "no mapped action"),
            ({"action": "Acknowledge", "actionType": "http"}, "sent as another"),
        ],
    )
    def test_oec_drops_unreadable_and_unmapped_messages_without_a_callback(
        self, tmp_path: Path, sh: Sh, message: Any, reason: str
    ) -> None:
        result = sh(f"touch {tmp_path}/started\n", message)
        assert reason in (result.dropped_reason or "")
        assert (result.callback, result.argv, result.succeeded) == (None, (), False)
        assert not (tmp_path / "started").exists()

    def test_jec_reports_an_action_without_mapping_through_the_callback(self, host: ScriptHost) -> None:
        result = run_message(edge_config("/x", JEC), edge_message("Nope"), host=host)
        text = "no mapped action is configured for the action 'Nope'"
        assert result.dropped_reason == text
        assert result.callback is not None
        assert (result.callback["failureMessage"], result.callback["callbackContext"]) == (text, "")


class TestCallback:
    def test_a_failure_has_no_is_successful_and_contains_exit_code_and_stderr(
        self, sh: Sh, payload: Callable[[str], dict[str, Any]]
    ) -> None:
        result = sh("printf 'alerta: HTTP 500' >&2; exit 1\n", payload("Acknowledge.oec"))
        assert result.callback == payload("callback.oec-failure")
        assert result.exit_code == 1

    def test_a_missing_interpreter_is_a_failure(self, tmp_path: Path) -> None:
        script = write_script(tmp_path / "a.py", "")
        result = run(edge_config(script), ScriptHost(environment={"PATH": str(tmp_path / "empty")}))
        assert (result.exit_code, result.failure) == (None, "python is not found in the connector's PATH")
        assert result.callback is not None
        assert result.callback["failureMessage"] == f"Err: {result.failure}, Stderr: "

    @pytest.mark.parametrize(
        ("make", "why"),
        [
            (lambda _path: None, "No such file or directory"),
            (lambda path: write_script(path, "#!/bin/sh\n", mode=0o644), "Permission denied"),
        ],
    )
    def test_a_script_that_cannot_be_started_is_a_failure(
        self, tmp_path: Path, host: ScriptHost, make: Callable[[Path], object], why: str
    ) -> None:
        make(tmp_path / "direct")
        result = run(edge_config(tmp_path / "direct"), host)
        assert result.failure == f"{tmp_path}/direct cannot be started: {why}"

    @pytest.mark.parametrize("where", ["args", "env"])
    def test_a_nul_character_is_a_failure_and_no_exception(self, sh: Sh, where: str) -> None:
        assert "null byte" in sh("exit 0\n", **{where: ("A=\0",)}).failure


def test_without_the_pipes_directory_the_path_is_passed_and_the_context_is_empty(tmp_path: Path) -> None:
    result = run(edge_config("/bin/true", JEC), ScriptHost(environment={}, pipe_directory=str(tmp_path / "missing")))
    assert result.argv[-1].startswith(f"{tmp_path}/missing/jecCallbackPipe-")
    assert result.callback is not None
    assert (result.callback["callbackContext"], result.succeeded) == ("", True)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A pipe at which a script waits until the test has opened and closed it."""
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


class TestWaiting:
    """A worker is held by whatever holds the script's output, and by nothing else."""

    def test_a_detached_child_that_holds_stderr_keeps_the_worker_busy(self, gate: Path, sh: Sh) -> None:
        with ThreadPoolExecutor() as pool:
            running = pool.submit(sh, f"(cat {gate} > /dev/null) &\nexit 0\n")
            # The gate opens once the child has it open, so the script is past its start.
            with gate.open("w"), pytest.raises(TimeoutError):
                running.result(timeout=0.3)
            assert running.result(timeout=10).succeeded


class TestTimeLimit:
    def test_a_script_over_its_time_limit_is_stopped_with_its_children(self, tmp_path: Path, sh: Sh) -> None:
        began = time.monotonic()
        result = sh(f"echo $$ > {tmp_path}/pid\nsleep 60 &\necho $! > {tmp_path}/child\nwait\n", limit=3)
        assert time.monotonic() - began < 20
        assert (result.timed_out, result.exit_code) == (True, -15)
        assert result.callback is not None
        assert result.callback["failureMessage"].startswith("Err: the script did not end within 3 s")
        for name in ("pid", "child"):
            assert _ends(int((tmp_path / name).read_text()))

    def test_a_script_that_ignores_sigterm_is_killed(self, gate: Path, sh: Sh) -> None:
        result = sh(f"trap '' TERM\ncat {gate} {gate}\n", limit=2)
        assert (result.timed_out, result.exit_code) == (True, -9)

    def test_a_detached_child_cannot_keep_the_worker_busy_beyond_the_limit(
        self, gate: Path, sh: Sh
    ) -> None:
        with ThreadPoolExecutor() as pool:
            running = pool.submit(sh, f"setsid cat {gate} > /dev/null &\nexit 0\n", limit=2)
            with gate.open("w"):
                result = running.result(timeout=10)
        assert (result.timed_out, result.exit_code) == (True, 0)


def _ends(pid: int) -> bool:
    """Whether a process ends, which the closing of its files precedes."""
    for _ in range(1000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


def test_workers_share_an_output_file_line_by_line(tmp_path: Path, host: ScriptHost) -> None:
    log = tmp_path / "out.log"
    script = write_script(tmp_path / "a.sh", 'echo "one whole line of a script that was started for a message"\n')
    run_messages(edge_config(script, stdout=str(log)), [edge_message("Acknowledge")] * 12, workers=6, host=host)
    assert set(log.read_text().splitlines()) == {"one whole line of a script that was started for a message"}
    assert len(log.read_text().splitlines()) == 12


def test_no_descriptor_is_left_open(tmp_path: Path, host: ScriptHost) -> None:
    config = edge_config(write_script(tmp_path / "a.sh", "echo out; exit 0\n"), JEC, stdout=str(tmp_path / "out.log"))
    run(config, host)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        run(config, host)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_connectors_set_the_mode_of_local_scripts_when_they_start(tmp_path: Path) -> None:
    script = write_script(tmp_path / "a.sh", "", mode=0o644)
    assert prepare_scripts(edge_config(script)) == []
    assert script.stat().st_mode & 0o777 == 0o700
    assert prepare_scripts(edge_config(tmp_path / "gone")) == [f"chmod {tmp_path}/gone: No such file or directory"]
    assert prepare_scripts(edge_config(tmp_path / "gone", source_type="git")) == []
