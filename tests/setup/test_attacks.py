"""What the connector's user can do to lead root astray. In each test root touches nothing outside that user's rights.

The tests are root on a host whose /etc, /home and /var are their own; `mallory` is the connector's user.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alerta_opsgenie.cli import install as command
from alerta_opsgenie.cli.uninstall import uninstall
from alerta_opsgenie.vendor.as_user import become, run_as
from tests.setup.conftest import ALERTA_KEY, API_KEY
from tests.support.own_host import USER_ID
from tests.support.trees import snapshot

pytestmark = pytest.mark.usefixtures("own_root")

HOME, LOGS = Path("/home/mallory"), Path("/var/log/mallory")
CONFIG = HOME / "oec/conf/config.json"
VICTIM = Path("/var/lib/victim")
USER = ("--edge", "oec", "--user", "mallory")
PLACES = ("--home", str(HOME), "--log-dir", str(LOGS), "--alerta-url", "https://alerta.example.com/api", "--yes")


def install(*more: str, **environment: str) -> Result:
    assert Path("/etc/own-host").exists()  # never on the machine itself
    secrets = {"OEC_API_KEY": API_KEY, "ALERTA_API_KEY": ALERTA_KEY, **environment}
    return CliRunner().invoke(command.install, [*USER, *PLACES, *more], env=secrets)


def undo(*more: str) -> Result:
    return CliRunner().invoke(uninstall, [*USER, "--yes", *more])


def as_mallory(work: Callable[[], Any]) -> Any:
    return run_as(USER_ID, USER_ID, work)


@pytest.fixture
def victim(own_root: Path) -> Path:
    """A directory of root's with a file that has the name of one of ours."""
    VICTIM.mkdir(mode=0o755)
    (VICTIM / "config.json").write_text("root's own")
    return VICTIM


@pytest.fixture
def installed(own_root: Path) -> None:
    done = install()
    assert done.exit_code == 0, done.output


def swap_for_link(directory: Path, goal: Path) -> None:
    def work() -> None:
        directory.rename(f"{directory}.before")
        directory.symlink_to(goal)

    as_mallory(work)


def swap_after_the_plan(monkeypatch: pytest.MonkeyPatch, directory: Path, goal: Path) -> None:
    """Swap a directory for a link when the plan has been shown."""
    confirm = command._confirm

    def late(*arguments: Any, **named: Any) -> Any:
        swap_for_link(directory, goal)
        return confirm(*arguments, **named)

    monkeypatch.setattr(command, "_confirm", late)


def test_uninstall_restores_a_configuration_without_its_set_user_id_bit(victim: Path) -> None:
    shell = Path(shutil.copy("/bin/true", victim / "shell"))

    def prepare() -> None:
        CONFIG.parent.mkdir(parents=True)
        CONFIG.write_text('{"apiKey": "k"}')
        CONFIG.chmod(0o4755)

    def replace_backup() -> None:
        backup = next(CONFIG.parent.glob("config.json.*.bak"))
        backup.unlink()
        backup.symlink_to(shell)

    HOME.mkdir()
    os.chown(HOME, USER_ID, USER_ID)
    as_mallory(prepare)
    assert install("--force").exit_code == 0
    as_mallory(replace_backup)
    undo()
    assert (shell.stat().st_uid, stat.S_IMODE(shell.stat().st_mode)) == (0, 0o755)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("directory", [HOME / "oec", HOME / "oec/scripts", HOME / "oec/conf"])
def test_a_directory_replaced_by_a_link_after_the_plan_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, victim: Path, directory: Path
) -> None:
    def empty() -> None:
        shutil.rmtree(directory)
        directory.mkdir()

    as_mallory(empty)
    before = snapshot(victim)
    swap_after_the_plan(monkeypatch, directory, victim)
    result = install("--force")
    assert result.exit_code == 1, result.output
    assert "symbolic link" in result.stderr
    assert snapshot(victim) == before


@contextmanager
def swapping(directory: Path, goal: Path) -> Iterator[None]:
    """Swap a directory for a link and back, as mallory, as fast as it goes."""
    child = os.fork()
    if child == 0:
        become(USER_ID, USER_ID)
        link, before = Path(f"{directory}.link"), Path(f"{directory}.before")
        link.symlink_to(goal)
        while True:
            with suppress(OSError):
                directory.rename(before)
                link.rename(directory)
                directory.rename(link)
                before.rename(directory)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.usefixtures("installed")
def test_a_directory_that_is_replaced_by_a_link_all_the_time_is_not_followed(victim: Path) -> None:
    before = snapshot(victim)
    with swapping(HOME / "oec/scripts", victim):
        for _ in range(5):
            result = install("--force")
            assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
            undo("--purge")
    assert snapshot(victim) == before


@pytest.mark.usefixtures("installed")
def test_uninstall_removes_nothing_through_a_link(victim: Path) -> None:
    before = snapshot(victim)
    swap_for_link(CONFIG.parent, victim)
    swap_for_link(HOME / ".local/state/alerta-opsgenie", victim)
    swap_for_link(HOME / "oec/scripts", victim)
    result = undo("--purge")
    assert result.exit_code == 0, result.output
    assert snapshot(victim) == before


def test_an_absolute_link_in_an_image_is_not_followed(tmp_path: Path, victim: Path) -> None:
    before = snapshot(victim)
    image = tmp_path / "image"
    (image / "var/lib").mkdir(parents=True)
    (image / "home").symlink_to(victim)
    (image / "var/log").symlink_to(victim)
    result = install("--root", str(image), "--owner", "990:990")
    assert result.exit_code == 1, result.output
    assert snapshot(victim) == before


def test_a_key_file_is_read_with_the_rights_of_the_configurations_writer(victim: Path) -> None:
    secret = victim / "secret"
    secret.write_text("only-root-may-read-this\n")
    secret.chmod(0o600)
    assert install().exit_code == 0
    value = json.loads(CONFIG.read_text())
    value["globalArgs"][value["globalArgs"].index("--alertaApiKeyFile") + 1] = str(secret)
    as_mallory(lambda: CONFIG.write_text(json.dumps(value)))
    result = install("--keep-config", ALERTA_API_KEY="")
    assert result.exit_code == 2, result.output
    assert not [name for name, entry in snapshot(HOME).items() if b"only-root" in entry[4]]


@pytest.mark.usefixtures("installed")
def test_a_file_that_is_linked_into_the_home_is_not_copied_for_the_user() -> None:
    secret = Path("/home/secret")  # hard links stay within a mount
    secret.write_text('{"apiKey": "only-root-may-read-this"}')
    secret.chmod(0o600)
    CONFIG.unlink()
    os.link(secret, CONFIG)  # as a host without protected_hardlinks lets the user do
    result = install("--force")
    assert result.exit_code == 1, result.output
    assert "only-root" not in result.output
    assert not list(CONFIG.parent.glob("*.bak"))


@pytest.mark.usefixtures("installed")
def test_a_pipe_instead_of_the_configuration_is_refused_and_does_not_block() -> None:
    def put_pipe() -> None:
        CONFIG.unlink()
        os.mkfifo(CONFIG)

    as_mallory(put_pipe)
    result = install("--force")
    assert result.exit_code == 1
    assert "special file" in result.stderr


def test_a_python_that_the_user_can_change_is_not_started_as_root() -> None:
    program = HOME / "bin/python3"

    def prepare() -> None:
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nid -u >> {HOME}/ids\nprintf 3.12.0\n")
        program.chmod(0o755)
        (HOME / "ids").touch()

    HOME.mkdir()
    os.chown(HOME, USER_ID, USER_ID)
    as_mallory(prepare)
    install("--service-path", f"{HOME}/bin:/usr/bin:/bin")
    assert set((HOME / "ids").read_text().split()) == {str(USER_ID)}


@pytest.mark.parametrize("user", ["../../etc", "root", "a b", "a\nUser=root", "-x"])
def test_a_users_name_cannot_change_the_paths(user: str) -> None:
    result = CliRunner().invoke(
        command.install, ["--edge", "native", "--user", user, "--alerta-url", "https://a", "--yes"]
    )
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert os.listdir("/home") == []  # noqa: PTH208


@pytest.mark.parametrize(
    "home", ["/etc", "home", "/home/x/../../etc", "/srv/a b", "/srv/x\nExecStart=/bin/sh", "/srv/%h"]
)
def test_a_home_that_is_no_directory_of_its_own_is_refused(home: str) -> None:
    result = install("--home", home)
    assert result.exit_code == 2, result.output
    assert "--home" in result.stderr


def test_no_key_is_written_into_another_users_directory() -> None:
    HOME.mkdir()
    os.chown(HOME, USER_ID + 1, USER_ID + 1)
    result = install()
    assert result.exit_code == 1, result.output
    assert "belongs to user 4712" in result.stderr
    assert snapshot(HOME) == {}
