"""How others reach the agent of a state directory, and start one where there is none."""

import json
import os
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from alerta_opsgenie import __version__
from alerta_opsgenie.agent import handover, state
from alerta_opsgenie.agent.options import Options, arguments_of
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import JournalError

START_SECONDS = 5.0
"""How long to wait for an agent that was started; it takes about a tenth of a second."""

_FIRST_LOOK_SECONDS, _LOOK_SECONDS = 0.02, 0.05
_ASK_SECONDS = 5.0
_OTHERS_MAY_WRITE = 0o002
IDLE_SECONDS = Options("", "").agent_idle_seconds

PACKAGE = (sys.executable, "-c", "import sys; del sys.path[0]; import alerta_opsgenie.executor.__main__")
"""How the program is started from an installed package; `-m` would look into the working directory first."""


class Reply(NamedTuple):
    """What the agent answered to an action. `output` and `errors` are the lines that an executor shows."""

    exit_code: int
    outcome: Outcome
    kept: bool
    output: str
    errors: str


def submit(options: Options, payload: str, *, starts: bool = True) -> Reply:
    """Hand an action over; `starts`: start an agent where there is none. Raises NoAgentError."""
    more = [f"-payload={os.fsdecode(payload.encode('utf-8', 'surrogatepass'))}"]
    fields = _ask(handover.RUN, options, more, starts=starts)
    code, _newer, kind, reason, detail, kept, output, errors = fields[:8]
    outcome = Outcome(Kind(kind.decode()), Reason(reason.decode()), detail.decode("utf-8", "replace"))
    return Reply(int(code), outcome, kept == b"1", output.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))


def wake(options: Options) -> None:
    """Have everything that waits for the Alerta of these options tried now. Raises NoAgentError."""
    fields = _ask(handover.WAKE, options, [])
    if fields[0] != b"0":
        raise handover.NoAgentError(fields[7].decode("utf-8", "replace").strip())


def _ask(what: bytes, options: Options, more: List[str], *, starts: bool = True) -> List[bytes]:
    arguments, environment = arguments_of(options)
    end = time.monotonic() + options.limit_seconds

    def request(seconds: float) -> bytes:
        return handover.request(what, [*arguments, *more], environment, __version__, seconds)

    return exchange(PACKAGE, options, request, end, starts=starts)


def exchange(
    program: Sequence[str], options: Options, request: Callable[[float], bytes], end: float, *, starts: bool
) -> List[bytes]:
    """Send a frame to the agent and give its answer; `starts`: start one where there is none.

    `request` makes the frame, given for how many seconds the answer is waited for; `end` is when (of
    `time.monotonic`) that is over. Raises NoAgentError.
    """
    start_ends = min(end, time.monotonic() + START_SECONDS)
    started, pause = 0, _FIRST_LOOK_SECONDS
    while True:
        seconds = max(0.1, end - time.monotonic())
        try:
            return handover.exchange(options.spool_directory, request(seconds), seconds)
        except (handover.UnsafeError, handover.UnansweredError):
            raise
        except handover.NoAgentError:
            if not starts or time.monotonic() >= start_ends:
                raise
        if not started:
            started = start(program, options.spool_directory, options.agent_idle_seconds)
        elif handover.has_failed(started):
            raise handover.NoAgentError("the agent that was started has ended at once")
        time.sleep(pause)
        pause = _LOOK_SECONDS


def start(program: Sequence[str], directory: str, idle_seconds: float, *, take_over: bool = False) -> int:
    """Start an agent of its own session, with /dev/null for its standard streams. Raises NoAgentError."""
    try:
        state.prepare(directory)
        return handover.spawn(list(program), directory, idle_seconds, ["--takeOver"] if take_over else [])
    except (OSError, NotImplementedError, JournalError) as error:
        raise handover.NoAgentError(f"no agent can be started: {error}") from None


def ask_status(state_directory: str) -> Optional[Dict[str, Any]]:
    """Give what the process that delivers tells of itself; None where there is none."""
    try:
        data = handover.request(handover.STATUS, [], {}, __version__, _ASK_SECONDS)
        found: Dict[str, Any] = json.loads(handover.exchange(state_directory, data, _ASK_SECONDS)[0])
    except (handover.NoAgentError, ValueError):
        return None
    return found


def ask_to_retire(state_directory: str) -> bytes:
    """Ask the process that delivers to end. Gives its kind (`agent` ends, `run` does not), empty for nobody."""
    try:
        data = handover.request(handover.RETIRE, [], {}, __version__, _ASK_SECONDS)
        return handover.exchange(state_directory, data, _ASK_SECONDS)[0]
    except handover.NoAgentError:
        return b""


def become_owner(directory: str) -> None:
    """As root, drop the rights for those of the state directory's owner, for good.

    Not where anybody could have made that directory, as in /var/tmp: whoever did would get the key.
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
