"""The executor's output for one action: a log line, an error line, an exit code, a text for JEC's pipe."""

import json
import time
from typing import List, Optional, Sequence

from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.people import FILES
from alerta_opsgenie.agent.ticket import Result
from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

LARGEST_PIPE_BYTES = 4096  # A write of up to PIPE_BUF (4096 on Linux) is atomic; JEC reads 16 KiB

_FAILURES_ONLY = frozenset({"ERROR", "FATAL", "PANIC"})
_LONGEST_ERROR = 1000
_NOTHING = Result(None, Outcome(Kind.IGNORED, Reason.NOT_WANTED))


def response_fields(
    exit_code: int, output: str = "", errors: str = "", result: Result = _NOTHING, pipe: Sequence[str] = ("", "")
) -> List[bytes]:
    """Return the response fields for an executor (`handover.print_response`). `pipe`: its path, and the text for it."""
    outcome, kept = result.outcome, "1" if result.kept else "0"
    texts = (str(exit_code), "0", outcome.kind.value, outcome.reason.value, outcome.detail, kept, output, errors, *pipe)
    return [text.replace("\0", " ").encode("utf-8", "surrogateescape") for text in texts]


def result_fields(
    options: Options, result: Result, seconds: float, waiting: int = 1, failures: Sequence[str] = ()
) -> List[bytes]:
    """Return the response fields of one action. `waiting`: number of waiting actions; `failures`: earlier attempts."""
    about, outcome = describe_message(result.message), result.outcome
    result = result._replace(problem=result.problem or (options.people_file and FILES.problem(options.people_file)))
    failure = _failure(result, waiting)
    is_warned = outcome.kind is Kind.KEPT or outcome.is_warning or bool(result.problem)
    level = "ERROR" if failure else "WARN" if is_warned else "INFO"
    output = errors = ""
    if options.log_level in ("DEBUG", "TRACE"):
        output = "".join(_line("DEBUG", note, options) for note in (*options.notes, *failures))
    if failure or options.log_level not in _FAILURES_ONLY:
        output += _line(level, f"{_what(about, result)} ({seconds * 1000:.0f} ms)", options)
    if failure:
        errors = _one_line(f"alerta: {about}: {failure}", options)[:_LONGEST_ERROR] + "\n"
    pipe = (options.pipe, _pipe_text(about, outcome, options)) if options.pipe else ("", "")
    return response_fields(EXIT_FAILED if failure else EXIT_DONE, output, errors, result, pipe)


def describe_message(message: Optional[Message]) -> str:
    """Return an action's name, alert and person, for one line."""
    if message is None:
        return "message"
    return f"{message.action} {fields.shown_alias(message)} by {fields.actor(message)}"


def outcome_text(outcome: Outcome) -> str:
    """Return reason and detail of an outcome as one text."""
    return f"{outcome.reason.value}, {outcome.detail}" if outcome.detail else outcome.reason.value


def _one_line(text: str, options: Options) -> str:
    line = " ".join(text.split()).replace("\0", " ")
    line = line.replace(options.alerta_key, "***") if options.alerta_key else line
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


def _what(about: str, result: Result) -> str:
    what = f"{result.outcome.kind.value if result.is_safe else 'LOST'} {about}: {outcome_text(result.outcome)}"
    if result.outcome.kind is Kind.KEPT and result.kept:
        what += "; it is kept and will be delivered"
    return f"{what}; {result.problem}" if result.problem else what


def _failure(result: Result, waiting: int) -> str:
    outcome = result.outcome
    if outcome.kind is Kind.REJECTED:
        return outcome.detail
    if not result.is_safe:
        return f"LOST: {outcome.detail}, and it could not be kept: {result.problem}"
    if outcome.kind is Kind.KEPT and outcome.needs_person:
        return f"{outcome.detail}; {outcome.advice}; the action is kept; {waiting} wait now"
    return ""


def _line(level: str, text: str, options: Options) -> str:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return f"{when} {level} {_one_line(text, options)}\n"


def _pipe_text(about: str, outcome: Outcome, options: Options) -> str:
    """Return the result as JSON, cut until it fits: an escape takes up to twelve bytes for one character."""
    result = {
        "outcome": outcome.kind.value,
        "reason": outcome.reason.value,
        "action": _one_line(about, options),
        "detail": _one_line(outcome.detail, options),
    }
    longest = LARGEST_PIPE_BYTES
    while True:
        text = json.dumps({name: value[:longest] for name, value in result.items()})
        if len(text) <= LARGEST_PIPE_BYTES:
            return text
        longest //= 2
