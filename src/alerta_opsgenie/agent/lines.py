"""What an executor shows of one action: a line for its log, one for a failure, an exit code, a text for JEC's pipe."""

import json
import time
from typing import Mapping, NamedTuple, Optional, Sequence

from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.people import FILES
from alerta_opsgenie.agent.ticket import Result
from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Kind, Outcome

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

LARGEST_PIPE_BYTES = 4096
"""Up to PIPE_BUF (4096 on Linux) a write is whole or not at all; JEC reads 16 KiB."""

_FAILURES_ONLY = frozenset({"ERROR", "FATAL", "PANIC"})
_LONGEST_ERROR = 1000


class Shown(NamedTuple):
    """What to show. `output` and `errors` end with a newline where there is something; `pipe_text` is JSON."""

    exit_code: int
    output: str = ""
    errors: str = ""
    pipe_text: str = ""


def show(options: Options, result: Result, seconds: float, waiting: int, failures: Sequence[str] = ()) -> Shown:
    """Make the lines of one action. `waiting` is how many actions wait for this Alerta now.

    `failures` are what the attempts so far came to, for the level DEBUG.
    """
    about = about_message(result.message)
    result = result._replace(trouble=result.trouble or (options.people_file and FILES.trouble(options.people_file)))
    failure = _failure(result, waiting)
    level = "ERROR" if failure else "WARN" if _is_warned(result) else "INFO"
    output = ""
    if options.log_level in ("DEBUG", "TRACE"):
        output = "".join(_line("DEBUG", note, options) for note in (*options.notes, *failures))
    if failure or options.log_level not in _FAILURES_ONLY:
        output += _line(level, f"{_what(about, result)} ({seconds * 1000:.0f} ms)", options)
    errors = one_line(f"alerta: {about}: {failure}", options.alerta_key)[:_LONGEST_ERROR] + "\n" if failure else ""
    pipe_text = _pipe_text(about, result.outcome, options) if options.pipe else ""
    return Shown(EXIT_FAILED if failure else EXIT_DONE, output, errors, pipe_text)


def about_message(message: Optional[Message]) -> str:
    """Name an action, its alert and the person, for one line."""
    if message is None:
        return "message"
    return f"{message.action} {fields.shown_alias(message)} by {fields.actor(message)}"


def say(outcome: Outcome) -> str:
    """Give kind, reason and detail of an outcome as one text."""
    return f"{outcome.reason.value}, {outcome.detail}" if outcome.detail else outcome.reason.value


def one_line(text: str, key: str) -> str:
    """Make a text fit to be shown: on one line, without the API key, in whatever the terminal can show."""
    line = " ".join(text.split()).replace("\0", " ")
    line = line.replace(key, "***") if key else line
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_warned(result: Result) -> bool:
    return result.outcome.kind is Kind.KEPT or result.outcome.warns or bool(result.trouble)


def _what(about: str, result: Result) -> str:
    lost = result.outcome.kind is Kind.KEPT and not result.kept
    what = f"{'LOST' if lost else result.outcome.kind.value} {about}: {say(result.outcome)}"
    if result.outcome.kind is Kind.KEPT and result.kept:
        what += "; it is kept and will be delivered"
    return f"{what}; {result.trouble}" if result.trouble else what


def _failure(result: Result, waiting: int) -> str:
    """Say why the action failed, with what to do; an empty text where it did not."""
    outcome = result.outcome
    if outcome.kind is Kind.REJECTED:
        return outcome.detail
    if outcome.kind is not Kind.KEPT:
        return ""
    if not result.kept:
        return f"LOST: {outcome.detail}, and it could not be kept: {result.trouble}"
    return f"{outcome.detail}; {outcome.advice}; the action is kept; {waiting} wait now" if outcome.loud else ""


def _line(level: str, text: str, options: Options) -> str:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return f"{when} {level} {one_line(text, options.alerta_key)}\n"


def _pipe_text(about: str, outcome: Outcome, options: Options) -> str:
    """Give the result as JSON, cut until it fits: an escape takes up to twelve bytes for one character."""
    result: Mapping[str, str] = {
        "outcome": outcome.kind.value,
        "reason": outcome.reason.value,
        "action": one_line(about, options.alerta_key),
        "detail": one_line(outcome.detail, options.alerta_key),
    }
    longest = LARGEST_PIPE_BYTES
    while True:
        text = json.dumps({name: value[:longest] for name, value in result.items()})
        if len(text) <= LARGEST_PIPE_BYTES:
            return text
        longest //= 2
