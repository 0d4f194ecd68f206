"""The built one-file executor on a private host of a connector, and the files that it creates there."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alerta_opsgenie.agent import handover
from alerta_opsgenie.agent.state import journal_of, targets
from alerta_opsgenie.executor.build import build
from alerta_opsgenie.journal import Action
from alerta_opsgenie.vendor.config import OEC, EdgeConfig
from alerta_opsgenie.vendor.runner import Message, ScriptHost, ScriptResult, run_message
from alerta_opsgenie.vendor.structure import read_config
from tests.support.edge_messages import edge_document, run_messages

if TYPE_CHECKING:
    from typing_extensions import Self

NAMES = ("oecAlertaExecutor.py", "oecAlertaExecutor")
PYTHON_MINORS = (9, 10, 11, 12, 13)
POLL_SECONDS = 0.02

ACTIONS = (
    "Acknowledge", "AddNote", "Close", "AssignOwnership", "Snooze", "TakeOwnership", "UnAcknowledge",
    "AddTags", "RemoveTags", "UpdatePriority", "SnoozeEnded", "Delete", "Create",
)  # fmt: skip


@functools.lru_cache(maxsize=1)
def built_executor() -> bytes:
    """Return the one file's bytes, built once for all tests of a run."""
    return build()


def bare_python() -> str:
    """Return an interpreter without this package, so that the one file must work alone."""
    return str(getattr(sys, "_base_executable", sys.executable))


@functools.cache
def find_python(minor: int) -> str:
    """Name a Python 3 of that minor version which is on the PATH and works; empty where there is none."""
    program = "import sys; print(sys.version_info[1] if sys.version_info[0] == 3 else 0, sys.executable)"
    for name in (f"python3.{minor}", "python3", "python"):
        found = shutil.which(name)
        if found is None:
            continue
        done = subprocess.run([found, "-c", program], check=False, capture_output=True, text=True)
        found_minor, _, executable = done.stdout.strip().partition(" ")
        if done.returncode == 0 and int(found_minor) == minor:
            return executable
    return ""


def install(directory: Path, name: str = NAMES[0]) -> Path:
    """Put the executor into a directory, ready to be started."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_bytes(built_executor())
    path.chmod(0o700)
    return path


class Edge:
    """A connector's host: the executor, the documented configuration, an environment and a state directory of its own.

    A context manager that ends the agents left behind. `arguments` come behind those of `globalArgs`.
    """

    def __init__(
        self,
        directory: Path,
        alerta_url: str,
        key: str,
        *,
        dialect: str = OEC,
        name: str = NAMES[0],
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        python: str = "",
    ) -> None:
        self.directory = directory
        self.url = alerta_url
        self.key = key
        self.dialect = dialect
        self.arguments = tuple(arguments)
        self.script = install(directory / "scripts", name)
        self.home = directory / "home"
        self.home.mkdir(exist_ok=True)
        (directory / "bin").mkdir(exist_ok=True)
        for command in ("python", "python3"):
            (directory / "bin" / command).symlink_to(python or bare_python())
        self.environment = {
            "PATH": f"{directory / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.home),
            **(environment or {}),
        }
        self.spool_directory = self.home / ".local" / "state" / "alerta-opsgenie"

    # --- what a connector does ---------------------------------------------------------------------------------------

    @property
    def config(self) -> EdgeConfig:
        """The configuration as the connector would read it now."""
        mapping = {
            "filepath": str(self.script),
            "sourceType": "local",
            "env": [],
            "stdout": str(self.directory / "log" / "oecAlertaExecutor.log"),
            "stderr": str(self.directory / "log" / "oecAlertaExecutor-errors.log"),
        }
        document = edge_document(
            globalArgs=["--alertaApiUrl", self.url, "--alertaApiKey", self.key, *self.arguments],
            actionMappings=dict.fromkeys(ACTIONS, mapping),
        )
        path = self.directory / f"config-{uuid.uuid4()}.json"
        path.write_text(json.dumps(document))
        return read_config(path, dialect=self.dialect, environment=self.environment)

    @property
    def host(self) -> ScriptHost:
        return ScriptHost(environment=self.environment, pipe_directory=str(self.directory))

    def run(self, message: Message | str, **environment: str) -> ScriptResult:
        """Start the executor for one message as the connector does."""
        host = ScriptHost(environment={**self.environment, **environment}, pipe_directory=str(self.directory))
        return run_message(self.config, message, host=host)

    def run_all(self, messages: Iterable[Message | str], workers: int = 12) -> list[ScriptResult]:
        """Start it for many, so many at once."""
        return run_messages(self.config, messages, workers, host=self.host)

    def start(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start the executor with these arguments alone, as a person at a shell would."""
        environment = {**self.environment, **options.pop("environment", {})}
        program = [str(self.directory / "bin" / "python"), str(self.script)]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*program, *arguments],
            env=environment,
            **{"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, **options},
        )

    def call(self, arguments: Sequence[str], stdin: bytes | None = None, **options: Any) -> tuple[int, str, str]:
        """Start it so and give exit code, standard output and standard error."""
        if stdin is not None:
            options["stdin"] = subprocess.PIPE
        with self.start(arguments, **options) as process:
            output, errors = process.communicate(stdin, timeout=60)
        return process.returncode, (output or b"").decode(), (errors or b"").decode()

    def at(self, url: str) -> Edge:
        """The same host with another Alerta, as after its configuration was changed."""
        other = copy.copy(self)
        other.url = url
        return other

    # --- what it leaves behind ---------------------------------------------------------------------------------------

    def actions(self, state: str | None = None) -> list[Action]:
        """All actions in the journals."""
        found: list[Action] = []
        for target in targets(str(self.spool_directory)):
            journal = journal_of(str(self.spool_directory), target)
            with contextlib.closing(journal):
                found += journal.actions(state)
        return found

    def entries(self) -> list[Action]:
        """What waits, is in flight, or is a dead letter."""
        return [action for action in self.actions() if action.state != "done"]

    def files(self) -> Iterator[Path]:
        """Every file below the state directory."""
        yield from (path for path in self.spool_directory.rglob("*") if path.is_file())

    def agents(self) -> list[int]:
        """The process ids of the agents of this host."""
        return [pid for pid, line in command_lines() if "--agent" in line and str(self.spool_directory) in line]

    def status(self) -> dict[str, Any]:
        """The agent's report; raises NoAgentError if there is no agent."""
        path = str(self.spool_directory)
        request = handover.request(handover.STATUS, [], {}, "0", 10.0)
        return dict(json.loads(handover.exchange_frames(path, request, 10.0)[0]))

    def await_drained(self, seconds: float = 60.0) -> None:
        """Return when nothing waits and nothing is in flight; AssertionError after `seconds`."""
        await_true(lambda: not self.unfinished(), seconds, f"everything delivered, and not {self.unfinished()}")

    def unfinished(self) -> list[Action]:
        """What waits or is in flight."""
        return [action for action in self.entries() if action.state != "dead"]

    def kill_agents(self) -> list[int]:
        """Kill the agents that run now, wait until they are gone, and give their process ids."""
        killed = self.agents()
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await_true(lambda: not set(killed) & set(self.agents()), 30, "the end of killed agents")
        return killed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_agents()


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """The command line of each process that runs now."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):
                raw = (directory / "cmdline").read_bytes()
                yield int(directory.name), os.fsdecode(raw).rstrip("\0").split("\0")


def await_true(condition: Any, seconds: float = 60.0, what: str = "") -> None:
    """Return once `condition()` holds; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(POLL_SECONDS)
