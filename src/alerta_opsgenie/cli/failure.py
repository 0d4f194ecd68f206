"""How a command fails: one line says what is wrong, one what to do."""

from typing import IO, Any, Optional

import click


class Failure(click.ClickException):
    """The command failed: `what` is wrong, `mend` is the next thing to do."""

    def __init__(self, what: str, mend: str, exit_code: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: Optional[IO[Any]] = None) -> None:
        """Write the two lines to standard error."""
        click.echo(f"error: {self.what}", file=file, err=file is None)
        if self.mend:
            click.echo(f"  try: {self.mend}", file=file, err=file is None)
