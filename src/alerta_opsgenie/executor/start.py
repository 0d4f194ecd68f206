"""Where the executor begins. The built file has this behind `agent/handover.py`, and the rest only if it is needed."""

import os
import sys
import time

from alerta_opsgenie.agent.handover import (
    NoAgentError,
    UnansweredError,
    UnsafeError,
    has_failed,
    last_value,
    run_usual,
    spawn,
    spelling,
    state_directory,
)
from alerta_opsgenie.executor.modules import import_rest


def main(program: "list[str]", version: str) -> int:
    """Be the executor, or the agent with `--agent DIRECTORY SECONDS`. `program` is how this program is started."""
    began = time.monotonic()
    open_standard_streams()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--agent"]:
        import_rest(program[-1])
        # `http.client` imports `ssl` where it can, which costs 10 ms; the agent imports it once it serves.
        sys.modules["ssl"] = None  # type: ignore[assignment]
        import http.client

        del sys.modules["ssl"]
        from alerta_opsgenie.agent.resident import run_detached

        return run_detached(arguments[1], float(arguments[2]), take_over="--takeOver" in arguments)
    try:
        code, wants_newer = run_at_once(program, arguments, dict(os.environ), version)
    except NoAgentError:
        import_rest(program[-1])
        from alerta_opsgenie.executor.no_sqlite import supply_sqlite

        supply_sqlite()
        from alerta_opsgenie.executor.full import run

        return run(program, arguments, os.environ, began)
    if wants_newer:
        import_rest(program[-1])
        from alerta_opsgenie.executor.full import replace_agent

        replace_agent(program, arguments, os.environ)
    return code


START_SECONDS = 5.0
"""How long an agent that was started is waited for; it takes about a tenth of a second."""

_LOOK_SECONDS = 0.004


def run_at_once(
    program: "list[str]", arguments: "list[str]", environment: "dict[str, str]", version: str
) -> "tuple[int, bool]":
    """Hand the action over, and start an agent where there is none. Raises NoAgentError where that does not do."""
    try:
        return run_usual(arguments, environment, version)
    except (UnsafeError, UnansweredError):
        raise
    except NoAgentError:
        started = start_agent(program, arguments, environment)
    ends = time.monotonic() + START_SECONDS
    while True:
        time.sleep(_LOOK_SECONDS)
        try:
            return run_usual(arguments, environment, version)
        except UnansweredError:
            raise
        except NoAgentError:
            if time.monotonic() > ends or has_failed(started):
                raise


def start_agent(program: "list[str]", arguments: "list[str]", environment: "dict[str, str]") -> int:
    """Start an agent before anything else is imported. Raises NoAgentError where the usual action is not wanted."""
    has_url = last_value(arguments, "alertaApiUrl") or environment.get("ALERTA_API_URL")
    flags = [spelling(argument) for argument in arguments if argument.startswith("-")]
    if not has_url or not last_value(arguments, "payload") or "noagent" in flags or "payloadfile" in flags:
        raise NoAgentError("this is not the usual action")
    path = state_directory(arguments, environment)
    try:
        os.umask(0o077)
        os.makedirs(path, 0o700, exist_ok=True)
        if os.lstat(path).st_uid != os.geteuid():
            raise NoAgentError("the state directory is another user's")
        return spawn(program, path, float(last_value(arguments, "agentIdle") or 600), [])
    except (OSError, ValueError, NotImplementedError) as error:
        raise NoAgentError(str(error))


def open_standard_streams() -> None:
    """Put /dev/null where a standard stream is closed: else a socket of ours gets its number, and lines go there."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:  # the lowest number that is free is given
        number = os.dup(number)
    os.close(number)
