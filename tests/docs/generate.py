"""The parts of docs/reference that are generated from the code: `python -m tests.docs.generate` writes them.

They are between `<!-- made from the code: NAME -->` and `<!-- end -->`; the rest of a page is written by hand.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from alerta_opsgenie.agent import options
from alerta_opsgenie.cli import group
from alerta_opsgenie.core.alarm_model import PRIORITIES
from alerta_opsgenie.core.events import Event
from alerta_opsgenie.core.message import Message, parse
from alerta_opsgenie.core.order import registers
from alerta_opsgenie.core.outcome import Answer, Outcome
from alerta_opsgenie.core.publish import AlertEvent, Dialect, Policy, Request, publish
from alerta_opsgenie.core.relay import HANDLERS, relay
from alerta_opsgenie.core.task import AttemptContext, Call, Settings
from alerta_opsgenie.core.wording import AlertValues, HistoryEntry

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("cli", "executor", "actions", "requests", "settings")

_PART = re.compile(r"(<!-- made from the code: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_WIDTH = 96
_NOW_SECONDS = 1_700_000_000.0
_ALERT = "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"


def commands(command: click.Command = group, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Yield every command with its context, a group before its commands."""
    name = "alerta-opsgenie" if parent is None else command.name
    # As on the command line; otherwise --help would have click's default names.
    names = None if parent else list(group.context_settings["help_option_names"])
    context = click.Context(
        command, parent, name, terminal_width=_WIDTH, max_content_width=_WIDTH, help_option_names=names
    )
    # click caches the help option of the first run in this process, which may have other names.
    command._help_option = None
    yield context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None, child
            yield from commands(found, context)


def _cli() -> str:
    sections = []
    for context in commands():
        depth = context.command_path.count(" ")
        sections.append(f"{'#' * (2 + min(depth, 1))} {context.command_path}\n\n```text\n{context.get_help()}\n```\n")
    return "\n".join(sections)


def _executor() -> str:
    return f"```text\n{options.usage().rstrip()}\n```\n"


def _message(action: str) -> Message:
    """Return a message with every field that an action can need."""
    alert = {
        "alias": _ALERT, "source": "Alerta", "username": "alice@example.com", "note": "words",
        "updatedAt": int(_NOW_SECONDS) * 10**9,
        "owner": "bob@example.com", "addedTags": "tag", "removedTags": "tag", "priority": "P1",
        "snoozedUntil": int((_NOW_SECONDS + 1800) * 1000), "message": "text", "description": "text",
        "responder": "ops", "team": "ops", "recipient": "ops",
    }  # fmt: skip
    return parse(json.dumps({"action": action, "requestId": "1", "alert": alert}))


def _calls(message: Message, settings: Settings, *, plugin: bool) -> tuple[list[Call], Outcome]:
    """Relay a message to an Alerta that accepts every call; with our plugin, it returns the person's name."""
    steps = relay(message, settings, AttemptContext(_NOW_SECONDS))
    made: list[Call] = []
    try:
        call = next(steps)
        while True:
            made.append(call)
            call = steps.send(Answer(200, {"status": "ok"}, "alice@example.com" if plugin else ""))
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return made, outcome


def _in_words(call: Call) -> str:
    what = call.path.replace(f"/alert/{_ALERT}", "")
    body = call.body or {}
    if what == "/action":
        timeout = " with `timeout`" if "timeout" in body else ""
        return f"`{body['action']}`{timeout}"
    if what == "/attributes":
        return "attribute " + ", ".join(f"`{name}`" for name in body["attributes"])
    return {"/note": "a note", "/tag": "`tag`", "/untag": "`untag`"}[what]


def _sequence(action: str, settings: Settings, *, plugin: bool) -> str:
    made, outcome = _calls(_message(action), settings, plugin=plugin)
    return ", then ".join(map(_in_words, made)) or f"*{outcome.kind.value}* (`{outcome.reason.value}`)"


def _actions() -> str:
    rows = ["| action | calls to Alerta | with the plugin | what a newer one of makes it stale |", "|---|---|---|---|"]
    for action in HANDLERS:
        plain = _sequence(action, Settings(), plugin=False)
        full = _sequence(action, Settings(all_notes=True), plugin=False)
        calls = plain if plain == full else f"{full} (`--notes all`); else {plain}"
        with_plugin = _sequence(action, Settings(all_notes=True), plugin=True)
        written = ", ".join(sorted(name.partition(":")[0] for name in registers(_message(action)))) or "never"
        named = "the same" if with_plugin == full else with_plugin
        rows.append(f"| `{action}` | {calls} | {named} | {written} |")
    return "\n".join(rows) + "\n"


def _requests() -> str:
    rows = ["| event in Alerta | Opsgenie | JSM |", "|---|---|---|"]
    for event in Event:
        cells = [_requests_of(event, dialect) for dialect in Dialect]
        rows.append(f"| {event.value} | {cells[0]} | {cells[1]} |")
    return "\n".join(rows) + "\n"


def _requests_of(event: Event, dialect: Dialect) -> str:
    alert = AlertValues(
        _ALERT, "web01", "DiskFull", "Production", "major", service=("Web",), value="97%", text="Disk usage high",
        previous_severity="minor", history=(HistoryEntry("new", "open", "major", _ALERT),),
    )  # fmt: skip
    happened = AlertEvent(event, "alice@example.com", "WORDS", until_seconds=1_767_225_600.0)
    made = publish(alert, [happened], Policy(dialect=dialect, update_repeats=True)).requests
    return "<br>".join(map(_request_in_words, made)) or "nothing"


def _request_in_words(request: Request) -> str:
    path = request.path.partition("?")[0].replace(_ALERT, "ALIAS")
    if request.operation == "note":
        return f"`{request.method} {path}`: “{request.body['note'].replace('WORDS', '…')}”"
    fields = ", ".join(name for name in request.body if name not in ("user", "source"))
    return f"`{request.method} {path}`" + (f" {fields}" if fields else "")


def _priorities() -> str:
    rows = [f"| `{severity}` | {priority} |" for severity, priority in PRIORITIES.items()]
    return "\n".join(["| severity | priority |", "|---|---|", *rows]) + "\n"


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": _cli,
    "arguments": _executor,
    "actions": _actions,
    "requests": _requests,
    "priorities": _priorities,
}


def fill(text: str) -> str:
    """Return a page's text with its generated parts generated again."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def page(name: str) -> Path:
    """Return the path of a page of the reference."""
    return DOCS / "reference" / f"{name}.md"


def main() -> None:
    """Write the pages whose generated parts are not up to date."""
    for path in map(page, PAGES):
        text = path.read_text(encoding="utf-8")
        made = fill(text)
        if made != text:
            path.write_text(made, encoding="utf-8")
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
