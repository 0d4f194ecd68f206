"""The script itself: arguments in, one action delivered or kept, one line out, an exit code."""

import contextlib
import os
import sys
import time
from typing import Dict, List, Mapping, Optional, Sequence, TextIO

from alerta_opsgenie import __version__
from alerta_opsgenie.agent.options import Options, UsageError, read_options, split, usage
from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.message import Message, MessageError, parse
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.executor.delivery import Courier, Delivery

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

_FAILURES_ONLY = frozenset({"ERROR", "FATAL", "PANIC"})


def main(arguments: Sequence[str], environment: Mapping[str, str], began: float) -> int:
    """Run the executor. `began` is the instant (of `time.monotonic`) from which the time limit counts."""
    try:
        found, notes = split(arguments)
        if "help" in found or "version" in found:
            _print(sys.stdout, usage() if "help" in found else f"alerta-opsgenie {__version__}\n")
            return EXIT_DONE
        if "drain" in found:
            from alerta_opsgenie.executor.drainer import run_detached  # noqa: PLC0415 - needs SQLite

            return run_detached(environment)
        options = read_options(found, notes, environment)
        client = AlertaClient(options.alerta_url, options.alerta_key, ca_file=options.ca_file)
    except (UsageError, AddressError) as error:
        _print(sys.stderr, f"oecAlertaExecutor: {error}\n")
        return EXIT_USAGE
    log = Log(options, began)
    for note in options.notes:
        log.debug(note)
    return Run(options, client, found, log).run(began + options.limit_seconds)


class Log:
    """One line on standard output for each action; more with level DEBUG, failures alone with ERROR."""

    def __init__(self, options: Options, began: float) -> None:
        self._level = options.log_level
        self._secret = options.alerta_key
        self._began = began

    def debug(self, text: str) -> None:
        """Write a line for whoever looks for a fault."""
        if self._level in ("DEBUG", "TRACE"):
            self._write("DEBUG", text)

    def result(self, text: str, *, failed: bool, warned: bool) -> None:
        """Write the line on the action."""
        if failed or self._level not in _FAILURES_ONLY:
            level = "ERROR" if failed else "WARN" if warned else "INFO"
            self._write(level, f"{text} ({(time.monotonic() - self._began) * 1000:.0f} ms)")

    def one_line(self, text: str) -> str:
        """Make a text fit to be shown: on one line, without the API key, in whatever the terminal can show."""
        line = " ".join(text.split()).replace(self._secret, "***")
        return line.encode("utf-8", "backslashreplace").decode("utf-8")

    def _write(self, level: str, text: str) -> None:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        _print(sys.stdout, f"{when} {level} {self.one_line(text)}\n")


class Run:
    """One action from its text to the exit code."""

    def __init__(self, options: Options, client: AlertaClient, found: Dict[str, List[str]], log: Log) -> None:
        self._options = options
        self._found = found
        self._log = log
        self._courier = Courier(client, options.settings, options.spool_directory, log.debug)

    def run(self, deadline: float) -> int:
        """Deliver, tell everybody how it ended, and leave a drainer behind if something waits."""
        message = None
        try:
            message = parse(self._options.payload or "")
            delivery = self._courier.deliver(message, deadline)
        except MessageError as error:
            delivery = Delivery(Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error)))
        delivery = self._see_to_the_rest(delivery)
        failure = _failure(delivery)
        self._tell(message, delivery, failure)
        return EXIT_FAILED if failure else EXIT_DONE

    def _see_to_the_rest(self, delivery: Delivery) -> Delivery:
        """Pick up what killed executors left, and see that somebody delivers what waits."""
        desk = self._courier.desk
        try:
            wanted = delivery.kept or desk.something_waits or desk.has_orphans()
        except OSError:
            wanted = False
        if not wanted:
            return delivery
        try:
            from alerta_opsgenie.executor import drainer  # noqa: PLC0415 - needs SQLite
            from alerta_opsgenie.journal import SpoolUnavailable  # noqa: PLC0415
        except ImportError:
            return delivery  # what is left behind has said so
        try:
            if drainer.is_needed(self._options):
                drainer.start(self._found, self._options)
                self._log.debug("started a drainer for what waits")
        except SpoolUnavailable as error:
            return delivery._replace(trouble=delivery.trouble or f"{error.reason}: {error.mend}")
        except OSError as error:
            return delivery._replace(trouble=delivery.trouble or f"no drainer could be started ({error.strerror})")
        return delivery

    def _tell(self, message: Optional[Message], delivery: Delivery, failure: str) -> None:
        about = _about(message)
        outcome = delivery.outcome
        lost = outcome.kind is Kind.KEPT and not delivery.kept
        what = f"{'LOST' if lost else outcome.kind.value} {about}: {outcome.reason.value}"
        if outcome.detail:
            what += f", {outcome.detail}"
        if delivery.kept:
            what += "; it is kept and will be delivered"
        if delivery.trouble:
            what += f"; {delivery.trouble}"
        self._log.result(what, failed=bool(failure), warned=delivery.kept or bool(delivery.trouble))
        if failure:
            _print(sys.stderr, self._log.one_line(f"alerta: {about}: {failure}")[:1000] + "\n")
        if self._options.pipe:
            self._write_pipe(about, delivery)

    def _write_pipe(self, about: str, delivery: Delivery) -> None:
        from alerta_opsgenie.executor.pipe import write_result  # noqa: PLC0415 - JEC alone has one

        outcome = delivery.outcome
        result = {"outcome": outcome.kind.value, "reason": outcome.reason.value, "action": self._log.one_line(about)}
        result["detail"] = self._log.one_line(outcome.detail)
        trouble = write_result(self._options.pipe or "", result)
        if trouble:
            self._log.debug(trouble)


def _about(message: Optional[Message]) -> str:
    if message is None:
        return "message"
    alert = message.alert or {}
    alias = alert.get("alias") if isinstance(alert.get("alias"), str) else ""
    return f"{message.action} {fields.clean_name(str(alias))[:40]} by {fields.actor(message)}"


def _failure(delivery: Delivery) -> str:
    """Say why the action failed, with the mend; an empty text where it did not."""
    outcome = delivery.outcome
    if outcome.kind is Kind.REJECTED:
        return outcome.detail
    if outcome.kind is not Kind.KEPT:
        return ""
    if not delivery.kept:
        return f"LOST: {outcome.detail}, and it could not be kept: {delivery.trouble}"
    if outcome.loud:
        return f"{outcome.detail}; {outcome.mend}; {_where_left(delivery)}"
    # Written down but not in the spool: nothing is lost, but somebody has to mend the spool.
    return f"{delivery.trouble}; {_where_left(delivery)}" if delivery.left_in else ""


def _where_left(delivery: Delivery) -> str:
    if delivery.left_in:
        return f"the action lies in {delivery.left_in} and is picked up from there"
    return f"the action is kept; {delivery.waiting} wait now"


def _print(stream: TextIO, text: str) -> None:
    """Write at once and in UTF-8 whatever the locale: a connector started by systemd often has none.

    Past Python's own buffer, which it would try to write once more at its end, and then fail with an exit code of its
    own. Where nobody reads any more, the line is dropped.
    """
    data = text.encode("utf-8", "backslashreplace")
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(stream.fileno(), data) :]


def run_as_script() -> int:
    """Run with the process's own arguments and environment."""
    began = time.monotonic()
    _open_standard_streams()
    return main(sys.argv[1:], os.environ, began)


def _open_standard_streams() -> None:
    """Put /dev/null where a stream is closed: else a file of ours gets its number, and a stray line goes there."""
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        number = os.open(os.devnull, os.O_RDWR)
        while number <= 2:  # noqa: PLR2004 - the lowest number that is free is given
            number = os.dup(number)
        os.close(number)
        sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
