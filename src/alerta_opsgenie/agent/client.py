"""Clients of the agent of a state directory; they start an agent where none runs."""

import json
import os
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from alerta_opsgenie import __version__
from alerta_opsgenie.agent import handover, state
from alerta_opsgenie.agent.options import Options, arguments_of
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import JournalError

_ASK_SECONDS = 5.0
_OTHERS_MAY_WRITE = 0o002

PACKAGE = (sys.executable, "-c", "import sys; del sys.path[0]; import alerta_opsgenie.executor.__main__")
"""The command that starts the installed package; `-m` would search the working directory first."""


class Reply(NamedTuple):
    """The agent's response to an action. `output` and `errors` are the lines that an executor prints."""

    exit_code: int
    outcome: Outcome
    kept: bool
    output: str
    errors: str


def submit(options: Options, payload: str) -> Reply:
    """Send an action to the agent, and start one where none runs. Raises NoAgentError."""
    more = [f"-payload={os.fsdecode(payload.encode('utf-8', 'surrogatepass'))}"]
    code, _, *texts = _call_agent(handover.RUN, options, more)
    kind, reason, detail, kept, output, errors = (text.decode("utf-8", "replace") for text in texts[:6])
    return Reply(int(code), Outcome(Kind(kind), Reason(reason), detail), kept == "1", output, errors)


def wake(options: Options, program: Sequence[str] = PACKAGE) -> None:
    """Make the agent try all waiting actions for the Alerta of these options now. Raises NoAgentError."""
    code, *texts = _call_agent(handover.WAKE, options, [], program)
    if code != b"0":
        raise handover.NoAgentError(texts[6].decode("utf-8", "replace").strip())


def _call_agent(what: bytes, options: Options, more: List[str], program: Sequence[str] = PACKAGE) -> List[bytes]:
    arguments, environment = arguments_of(options)
    call = (what, [*arguments, *more], environment, __version__)
    return call_agent(program, options, call, time.monotonic() + options.limit_seconds)


def call_agent(
    program: Sequence[str], options: Options, call: Tuple[bytes, List[str], Dict[str, str], str], end: float
) -> List[bytes]:
    """Send a call to the agent; `program` starts one where none runs (`handover.call_agent`). Raises NoAgentError."""
    if program:
        try:
            state.prepare(options.spool_directory)
        except (OSError, JournalError) as error:
            raise handover.NoAgentError(f"no agent can be started: {error}") from None
    return handover.call_agent(options.spool_directory, call, end, program, f"{options.agent_idle_seconds:g}")


def ask_status(state_directory: str) -> Optional[Dict[str, Any]]:
    """Return the status of the process that delivers; None where none runs."""
    try:
        found: Dict[str, Any] = json.loads(_send(state_directory, handover.STATUS))
    except ValueError:
        return None
    return found


def ask_to_retire(state_directory: str) -> bytes:
    """Ask the process that delivers to end. Return its kind (`agent` ends, `run` does not); empty where none runs."""
    return _send(state_directory, handover.RETIRE)


def _send(state_directory: str, what: bytes) -> bytes:
    try:
        data = handover.request(what, [], {}, __version__, _ASK_SECONDS)
        return handover.exchange_frames(state_directory, data, _ASK_SECONDS)[0]
    except handover.NoAgentError:
        return b""


def become_owner(directory: str) -> None:
    """As root, become the state directory's owner; the process cannot become root again.

    Not where any user could have made that directory, as in /var/tmp: that user would get the key.
    """
    if os.geteuid() != 0:
        return
    try:
        found, parent = os.lstat(directory), os.stat(os.path.dirname(directory))
    except OSError:
        return
    if found.st_uid and not parent.st_mode & _OTHERS_MAY_WRITE:
        os.setgroups([])
        os.setgid(found.st_gid)
        os.setuid(found.st_uid)
