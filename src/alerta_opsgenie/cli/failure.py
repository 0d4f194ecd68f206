"""How a command fails (one line with the problem, one with the advice), and how it writes in any encoding."""

from __future__ import annotations

import codecs
import functools
import sys
from typing import IO, Any, Callable, TypeVar

import click

from alerta_opsgenie.agent.handover import NoAgentError
from alerta_opsgenie.agent.options import UsageError
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.setup.host import SetupError
from alerta_opsgenie.vendor.problems import ConfigError

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Failure(click.ClickException):
    """The command failed: `what` is wrong, `advice` is the next step."""

    def __init__(self, what: str, advice: str, exit_code: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the two lines to standard error."""
        click.echo(f"error: {self.what}", file=file, err=file is None)
        if self.advice:
            click.echo(f"  try: {self.advice}", file=file, err=file is None)


def explain_errors(command: _Command) -> _Command:
    """Turn the errors of the system and of other packages into a `Failure`."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except JournalError as error:
            raise Failure(error.reason, error.advice) from None
        except (ConfigError, SetupError) as error:
            raise Failure(str(error), error.advice, 2 if error.usage else 1) from None
        except (UsageError, AddressError) as error:
            raise Failure(str(error), "see all that is wrong with: alerta-opsgenie config check", 2) from None
        except NoAgentError as error:
            raise Failure(str(error), "alerta-opsgenie doctor") from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"{where}{error.strerror or error}", "see its owner and mode: ls -la") from None

    return run  # type: ignore[return-value]


def write_in_any_encoding() -> None:
    """Write characters that the terminal's encoding lacks as JSON escapes."""
    codecs.register_error("json-escape", _escape)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="json-escape")


def _escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - it is registered for writing alone
    return _json_escape(error.object[error.start : error.end]), error.end


def printable(text: str) -> str:
    """Return a text from outside with control characters escaped, so that no terminal executes them; newlines stay."""
    return "".join(one if one.isprintable() or one == "\n" else _json_escape(one) for one in text)


def _json_escape(text: str) -> str:
    data = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[at]:02x}{data[at + 1]:02x}" for at in range(0, len(data), 2))
