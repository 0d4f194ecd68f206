"""Every command of the documentation runs, and prints the output that the page shows."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from tests.docs.console_blocks import NOT_RUN, Command, all_commands, commands_of, name_of, pages
from tests.docs.sandbox import Sandbox, matches
from tests.support.plugin import SECRET, plugged

STATE = "home/opsgenie/.local/state/alerta-opsgenie"


def _installed(*edges: str) -> Callable[[Sandbox], None]:
    def prepare(sandbox: Sandbox) -> None:
        for edge in edges:
            sandbox.install(edge)

    return prepare


def _with_dead_letters(sandbox: Sandbox) -> None:
    sandbox.install("oec")
    sandbox.record_dead(STATE, "3fa9c2d1", "77b0")
    # On the reader's host, the configuration is at its usual path.
    sandbox.environment["OEC_CONF_LOCAL_FILEPATH"] = str(sandbox.root / "home/opsgenie/oec/conf/config.json")


PREPARED: dict[str, Callable[[Sandbox], None]] = {
    "README.md": _installed("oec"),
    "docs/set-up/jec.md": Sandbox.write_config,
    "docs/set-up/native.md": _installed("oec"),
    "docs/how-to/move-to-jsm.md": _installed("oec", "native"),
    "docs/how-to/proxy.md": _installed("oec"),
    "docs/how-to/remove.md": _installed("oec"),
    "docs/troubleshooting.md": _with_dead_letters,
}
"""The state of the host before the commands of a page."""


def _acknowledge_by_phone(sandbox: Sandbox) -> None:
    """Make the alert in Opsgenie, and acknowledge it there as a person."""
    sandbox.console.action(sandbox.alert_id, "unack")
    sandbox.cloud.person("alerta@example.com").create("Disk usage 97%", sandbox.alert_id, source="Alerta")
    sandbox.cloud.person("alice@example.com").acknowledge(sandbox.alert_id)
    assert sandbox.cloud.wait_settled()


def _is_acknowledged(sandbox: Sandbox) -> bool:
    return sandbox.console.status(sandbox.alert_id) == "ack"


def _has_a_note_of_alice(sandbox: Sandbox) -> bool:
    return [note["user"] for note in sandbox.console.notes(sandbox.alert_id)] == ["alice@example.com"]


LEADS_TO: dict[str, Callable[[Sandbox], bool]] = {
    "docs/tutorial.md": _is_acknowledged,
    "docs/set-up/webhook.md": _is_acknowledged,
    "docs/how-to/names.md": _has_a_note_of_alice,
}
"""The expected state in Alerta at the end of a page."""

WITH_PLUGIN = {"docs/how-to/names.md", "docs/set-up/webhook.md"}

SHOWING = [page for page in pages() if any(not command.reason_not_run for command in commands_of(page))]


@pytest.fixture(scope="module")
def servers(
    alerta: AlertaServer, alerta_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], tuple[str, str, str]]]:
    """Return URL, administrator's key and bridge's key of the Alerta that a page needs."""
    with plugged(alerta.postgres, tmp_path_factory.mktemp("plugin"), workers=1) as run:

        def choose(page: str) -> tuple[str, str, str]:
            if page in WITH_PLUGIN:
                return run.alerta.url, run.alerta.admin_key, run.bridge.key
            return alerta.url, alerta.admin_key, alerta_key

        yield choose


@pytest.mark.parametrize("page", SHOWING, ids=name_of)
def test_the_commands_of_a_page_work_in_order(
    page: Path, servers: Callable[[str], tuple[str, str, str]], tmp_path: Path
) -> None:
    name = name_of(page)
    with Sandbox(tmp_path, *servers(name), SECRET) as sandbox:
        if name in PREPARED:
            PREPARED[name](sandbox)
        for command in commands_of(page):
            if command.reason_not_run:
                continue
            if name == "docs/tutorial.md" and command.text.startswith("alerta-opsgenie run "):
                _acknowledge_by_phone(sandbox)
            ended = sandbox.run(command.text)
            said = sandbox.as_shown(ended.stdout + ended.stderr)
            assert ended.returncode == 0, f"{command}\nended with {ended.returncode}:\n{said}"
            assert not matches(command, said), f"{command}\nthe page shows: {matches(command, said)}\nit says:\n{said}"
        assert name not in LEADS_TO or LEADS_TO[name](sandbox), f"{name} does not lead where it says"


@pytest.mark.parametrize("command", all_commands(), ids=str)
def test_bash_can_parse_each_command(command: Command) -> None:
    """Also those that are not run."""
    assert shlex.split(command.text)
    checked = subprocess.run(["bash", "-n", "-c", command.text], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("begin", NOT_RUN)
def test_each_reason_not_to_run_a_command_is_used(begin: str) -> None:
    """A reason without a command has to be removed."""
    assert any(command.reason_not_run == NOT_RUN[begin] for command in all_commands())
