"""The commands that the documentation shows: read out of its ```console blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_PROMPTS = ("$ ", "# ")

NOT_RUN = {
    r"systemctl ": "changes the host's services, and needs systemd",
    r"dpkg -i ": "is a package of the vendor's",
    r"apt install |ansible-playbook ": "tests/deploy does it, in a Debian of its own",
    r"podman|kubectl": "needs a container engine or a cluster; tests/deploy checks the files",
    r"(/opt/alerta-opsgenie/bin/)?pip (un)?install ": "changes the Python that runs the tests",
    r"python3 -m venv /opt/": "makes a directory outside of the sandbox",
    r"alerta-opsgenie doctor": "ends with 1 where there is no systemd and no user of the connector's",
    r"alerta-opsgenie status": "ends with 1 where no connector runs",
    r"alerta-opsgenie agent": "serves until SIGTERM",
    r"alerta-opsgenie reconcile": "ends with 3 where the sides differ, which is what the page shows",
    r"ssh ": "needs another host",
    r"chown |chmod 640 ": "needs the connector's user",
    r"make ": "runs the tests themselves, or has tests of its own",
}
"""Commands that no test runs, by their beginning, and the reason. They are parsed by bash, too."""


@dataclass(frozen=True)
class Command:
    """One command of a page, and the output that the page shows. `as_root`: its prompt is `#`."""

    page: str
    line: int
    text: str
    output: tuple[str, ...]
    as_root: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"

    @property
    def reason_not_run(self) -> str:
        """The reason if it is not run, or an empty text."""
        return next((reason for begin, reason in NOT_RUN.items() if re.match(begin, self.text)), "")


def pages() -> list[Path]:
    """Return every page that may show commands."""
    return [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)]


def name_of(page: Path) -> str:
    """Return the name of a page in the tests."""
    return str(page.relative_to(ROOT))


def commands_of(page: Path) -> list[Command]:
    """Return a page's commands in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Command] = []
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start()) + 2
        lines = [line.removeprefix(block[1]) for line in block[2].splitlines()]
        starts = [number for number, line in enumerate(lines) if line.startswith(_PROMPTS)]
        assert starts[:1] == [0], f"{name_of(page)}:{first}: a console block begins with $ or #"
        for start, end in zip(starts, [*starts[1:], len(lines)]):
            command = lines[start][2:].partition("    # ")[0].rstrip()
            output = tuple(line for line in lines[start + 1 : end] if line.strip())
            found.append(Command(name_of(page), first + start, command, output, lines[start].startswith("# ")))
    return found


def all_commands() -> list[Command]:
    """Return the commands of all pages."""
    return [command for page in pages() for command in commands_of(page)]
