"""The start of the executor: it sends the action to the agent. All other cases import the rest of the program."""

import os
import sys
import time

from alerta_opsgenie.agent.handover import (
    RUN,
    SUCCESSOR,
    NoAgentError,
    call_agent,
    last_value,
    limit_seconds,
    print_response,
    reserved_seconds,
    spawn,
    spelling,
    state_directory,
)

if False:  # for the type checker alone: `typing` costs 2 ms
    from typing import Any, Sequence


def main(program: "Sequence[str]", version: str) -> int:
    """Run the executor, or the agent with `--agent DIRECTORY SECONDS`. `program` is the command of this program."""
    began = time.monotonic()
    open_standard_streams()
    arguments, environment = sys.argv[1:], dict(os.environ)
    if arguments[:1] == ["--agent"]:
        import_rest(program[-1])
        return _be_agent(arguments)
    try:
        fields = _hand_over(program, arguments, environment, version, began)
        code = print_response(fields, arguments)
    except NoAgentError:
        import_rest(program[-1])
        from alerta_opsgenie.executor.full import run

        return run(program, arguments, environment, began)
    if fields[SUCCESSOR] == b"1":  # this version is newer than the agent's: start one that replaces it
        try:
            idle = last_value(arguments, "agentIdle") or "600"
            spawn(program, state_directory(arguments, environment), idle, "--takeOver")
        except NoAgentError:
            pass  # the next action tries it again
    return code


def _hand_over(
    program: "Sequence[str]", arguments: "list[str]", environment: "dict[str, str]", version: str, began: float
) -> "list[bytes]":
    """Send the usual action to the agent, which is started if needed; return the response. Raises NoAgentError."""
    if last_value(arguments, "payloadFile"):
        raise NoAgentError("the message is in a file")
    flags = [spelling(argument) for argument in arguments if argument.startswith("-")]
    has_url = last_value(arguments, "alertaApiUrl") or environment.get("ALERTA_API_URL")
    is_usual = has_url and last_value(arguments, "payload") and "noagent" not in flags
    limit = limit_seconds(arguments)
    path = state_directory(arguments, environment)
    idle = last_value(arguments, "agentIdle") or "600"
    end = began + limit - reserved_seconds(limit)
    return call_agent(path, (RUN, arguments, environment, version), end, program if is_usual else (), idle)


def _be_agent(arguments: "list[str]") -> int:
    import gc

    gc.disable()  # nothing is garbage yet
    # `http.client` imports `ssl` where it can, which costs 10 ms; the agent imports it once it serves.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    import http.client

    del sys.modules["ssl"]
    from alerta_opsgenie.agent.resident import run_detached

    gc.enable()
    return run_detached(arguments[1], float(arguments[2]), take_over="--takeOver" in arguments)


def open_standard_streams() -> None:
    """Open /dev/null for a closed standard stream: else a socket gets its number, and output is written into it."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:  # `dup` returns the lowest free number
        number = os.dup(number)
    os.close(number)


class Modules:
    """Imports the modules in the executor's file. It reads all at once, so an upgrade of the file does no harm."""

    def __init__(self, path: str) -> None:
        # Python has loaded these already; importing `importlib.util` takes 5 ms.
        import _frozen_importlib
        import _frozen_importlib_external
        import binascii
        import marshal
        import zlib

        with open(path, "rb") as file:
            packed = file.read().rpartition(b"\n#")[2]
        magic, self.modules = marshal.loads(binascii.a2b_base64(packed))
        self.unpack = zlib.decompress
        self.has_same_bytecode = magic == _frozen_importlib_external.MAGIC_NUMBER
        self.spec: "Any" = _frozen_importlib.ModuleSpec
        self.loads = marshal.loads

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Find a module (importlib.abc.MetaPathFinder)."""
        if name not in self.modules:
            return None
        return self.spec(name, self, is_package=self.modules[name][0])

    def create_module(self, spec: "Any") -> None:
        """Return None: Python makes the module (importlib.abc.Loader)."""

    def exec_module(self, module: "Any") -> None:
        """Run a module's bytecode, or compile its source where another version of Python made the bytecode."""
        _, where, *packed = self.modules[module.__name__]
        text = self.unpack(packed[self.has_same_bytecode])
        code = self.loads(text) if self.has_same_bytecode else compile(text, where, "exec", dont_inherit=True)
        exec(code, module.__dict__)


def import_rest(path: str) -> None:
    """Make the rest of the program importable from the file at `path`. For a module's name nothing is to do.

    A Python without `sqlite3` gets a stand-in module, so that actions are delivered without a journal.
    """
    if path.startswith("/"):
        sys.meta_path.insert(0, Modules(path))
    try:
        import sqlite3
    except ImportError:
        stand_in = sys.modules["sqlite3"] = type(sys)("sqlite3")
        error = type("Error", (Exception,), {})
        names = dict.fromkeys(("Error", "DatabaseError", "OperationalError", "IntegrityError"), error)
        stand_in.__dict__.update(names, Connection=object, Cursor=object, Row=object, connect=_no_sqlite)


def _no_sqlite(*_: object, **__: object) -> None:
    raise sys.modules["sqlite3"].Error("this Python has no sqlite3: install that module, or take another Python")
