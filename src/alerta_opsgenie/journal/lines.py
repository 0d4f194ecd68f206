"""Actions as JSON lines, to be carried to another host by hand."""

import json
from typing import Iterable, List

from alerta_opsgenie.journal.errors import JournalError
from alerta_opsgenie.journal.rows import Action

_LATEST = 1e12  # seconds since the epoch; and no NaN
_MOST_ATTEMPTS = 1 << 31


def to_line(action: Action) -> str:
    """Write an action."""
    return json.dumps({"v": 1, **action._asdict()})


def read_lines(lines: Iterable[str]) -> List[Action]:
    """Read what `to_line` wrote. Raises JournalError (`input`) that names the line."""
    return [_read(line, place) for place, line in enumerate(lines, start=1) if line.strip()]


def _read(line: str, place: int) -> Action:
    try:
        value = json.loads(line)
        action = Action(id=0, **{name: value[name] for name in Action._fields if name not in ("id", "is_new")})
        if value["v"] == 1 and _is_sound(action):
            return action
    except (ValueError, KeyError, TypeError):
        pass
    raise JournalError(f"line {place} is not an exported action", "give it as `export` wrote it", "input")


def _is_sound(action: Action) -> bool:
    texts = (*action[1:3], *action[4:9], action.reason, action.detail)
    instants = (action.accepted_at, action.due_at, action.since, action.first_attempt_at or 0.0)
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(at, (int, float)) and abs(at) < _LATEST for at in instants)
        and type(action.order_ns) is int
        and type(action.attempts) is int
        and 0 <= action.attempts < _MOST_ATTEMPTS
        and action.state in ("waiting", "in-flight", "dead")
    )
