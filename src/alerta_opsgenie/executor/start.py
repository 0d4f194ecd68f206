"""Where the executor begins. The built file has this behind `agent/handover.py`, and the rest only if it is needed."""

import os
import sys
import time

from alerta_opsgenie.agent.handover import NoAgentError, run_usual
from alerta_opsgenie.executor.modules import import_rest


def main(program: "list[str]", version: str) -> int:
    """Be the executor, or the agent with `--agent DIRECTORY SECONDS`. `program` is how this program is started."""
    began = time.monotonic()
    open_standard_streams()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--agent"]:
        import_rest(program[-1])
        from alerta_opsgenie.agent.resident import run_detached

        return run_detached(arguments[1], float(arguments[2]), take_over="--takeOver" in arguments)
    try:
        code, wants_newer = run_usual(arguments, dict(os.environ), version)
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


def open_standard_streams() -> None:
    """Put /dev/null where a standard stream is closed: else a socket of ours gets its number, and lines go there."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:  # the lowest number that is free is given
        number = os.dup(number)
    os.close(number)
