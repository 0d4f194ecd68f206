"""Options that several commands have in common."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

_Command = TypeVar("_Command", bound=Callable[..., Any])


def option_set(*options: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    """Make a decorator that adds these options, which `--help` then shows in this order."""

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add
