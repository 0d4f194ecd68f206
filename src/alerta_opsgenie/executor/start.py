"""Where the executor begins: it hands the action over; anything else is in the rest of the program."""

import os
import sys
import time

from alerta_opsgenie.agent.handover import (
    RUN,
    SUCCESSOR,
    NoAgentError,
    ask,
    finish,
    last_value,
    limit_seconds,
    reserved_seconds,
    spawn,
    spelling,
    state_directory,
)

if False:  # for the type checker alone: `typing` costs 2 ms
    from typing import Any, Sequence


def main(program: "Sequence[str]", version: str) -> int:
    """Be the executor, or the agent with `--agent DIRECTORY SECONDS`. `program` is how this program is started."""
    began = time.monotonic()
    open_standard_streams()
    arguments, environment = sys.argv[1:], dict(os.environ)
    if arguments[:1] == ["--agent"]:
        import_rest(program[-1])
        return _be_agent(arguments)
    try:
        fields = _hand_over(program, arguments, environment, version, began)
        code = finish(fields, arguments)
    except NoAgentError:
        import_rest(program[-1])
        from alerta_opsgenie.executor.full import run

        return run(program, arguments, environment, began)
    if fields[SUCCESSOR] == b"1":  # this version is newer than the agent's: the next one takes over from it
        try:
            idle = last_value(arguments, "agentIdle") or "600"
            spawn(program, state_directory(arguments, environment), idle, "--takeOver")
        except NoAgentError:
            pass  # the next action brings the same wish
    return code


def _hand_over(
    program: "Sequence[str]", arguments: "list[str]", environment: "dict[str, str]", version: str, began: float
) -> "list[bytes]":
    """Give the agent's answer to the usual action; an agent is started where there is none. Raises NoAgentError."""
    if last_value(arguments, "payloadFile"):
        raise NoAgentError("the message is in a file")
    flags = [spelling(argument) for argument in arguments if argument.startswith("-")]
    has_url = last_value(arguments, "alertaApiUrl") or environment.get("ALERTA_API_URL")
    is_usual = has_url and last_value(arguments, "payload") and "noagent" not in flags
    limit = limit_seconds(arguments)
    path = state_directory(arguments, environment)
    idle = last_value(arguments, "agentIdle") or "600"
    end = began + limit - reserved_seconds(limit)
    return ask(path, (RUN, arguments, environment, version), end, program if is_usual else (), idle)


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
    """Put /dev/null where a standard stream is closed: else a socket of ours gets its number, and lines go there."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:  # the lowest number that is free is given
        number = os.dup(number)
    os.close(number)


class Modules:
    """Finds and runs our modules. All are read at once, so an upgrade of the file harms nothing that runs."""

    def __init__(self, path: str) -> None:
        # What `importlib.util` would give for 5 ms is here already.
        import _frozen_importlib
        import _frozen_importlib_external
        import binascii
        import marshal
        import zlib

        with open(path, "rb") as file:
            packed = file.read().rpartition(b"\n#")[2]
        magic, self.modules = marshal.loads(binascii.a2b_base64(packed))
        self.unpack = zlib.decompress
        self.is_ours = magic == _frozen_importlib_external.MAGIC_NUMBER
        self.spec: "Any" = _frozen_importlib.ModuleSpec
        self.loads = marshal.loads

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Find a module (importlib.abc.MetaPathFinder)."""
        if name not in self.modules:
            return None
        return self.spec(name, self, is_package=self.modules[name][0])

    def create_module(self, spec: "Any") -> None:
        """Let Python make the module."""

    def exec_module(self, module: "Any") -> None:
        """Run a module's code: the bytecode is that of the Python that built it."""
        _, where, *packed = self.modules[module.__name__]
        text = self.unpack(packed[self.is_ours])
        exec(self.loads(text) if self.is_ours else compile(text, where, "exec", dont_inherit=True), module.__dict__)


def import_rest(path: str) -> None:
    """Let the rest of the program be imported from the file at `path`; a name of a module says that it is installed.

    Where a Python was built without `sqlite3`, an action is delivered all the same.
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
