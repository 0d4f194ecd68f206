"""For each problem of an installation: the check that finds it, its message, and that the advice corrects it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.installed import Installed, follow

Break = Callable[[Installed], Any]
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def script_of(one: Installed) -> Path:
    return Path(one.layout.scripts) / "oecAlertaExecutor"


def write_script(text: str) -> Break:
    return lambda one: script_of(one).write_text(f"#!/usr/bin/env python3\n{text}\n")


def map_to_py(one: Installed) -> None:
    """Map the actions to the `.py`, as older set-ups do: the connector starts `python FILE`."""
    one.config.write_text(one.config.read_text().replace('oecAlertaExecutor"', 'oecAlertaExecutor.py"'))


def key_of(one: Installed) -> Path:
    return one.config.with_name("alerta.key")


def give_to(path: Callable[[Installed], Path | str], uid: int, mode: int | None = None) -> Break:
    def breaks(one: Installed) -> None:
        if mode is not None:
            Path(path(one)).chmod(mode)
        os.chown(path(one), uid, uid)

    return breaks


def alter(change: Callable[[dict[str, Any]], Any]) -> Break:
    return lambda one: one.change(change)


def python_says(text: str, mode: int = 0o755) -> Break:
    def breaks(one: Installed) -> None:
        map_to_py(one)
        python = Path(one.search_path) / "python"
        python.unlink()
        python.write_text(f"#!/bin/sh\nprintf {text}\n")
        python.chmod(mode)

    return breaks


def readable_copy(one: Installed) -> None:
    copy = one.config.with_name("config.json.bak")
    copy.write_text(one.config.read_text())
    copy.chmod(0o644)


def state_of(one: Installed) -> Path:
    """Return the state directory, with its subdirectory for targets."""
    state = Path(one.request.state_directory)
    (state / "targets").mkdir(exist_ok=True)
    return state


def no_place_for_a_state_directory(one: Installed) -> None:
    give_to(lambda _: one.layout.home, 0, 0o755)(one)
    one.ask(state_directory=f"{one.layout.home}/elsewhere")


CORRECTED_BY_ADVICE: list[Any] = [
    *((lambda one, mode=mode: one.config.chmod(mode), "config-access", "others may use") for mode in (0o644, 0o620)),
    *((lambda one, mode=mode: key_of(one).chmod(mode), "key-file", "others may use") for mode in (0o604, 0o666)),
    *((lambda one, mode=mode: script_of(one).chmod(mode), "script", "by others") for mode in (0o777, 0o775)),
    (lambda one: state_of(one).chmod(0o777), "spool", "is open to other users"),
    (readable_copy, "secrets", "can be read by others"),
    pytest.param(give_to(lambda one: one.config, 0), "config-access", "cannot read", marks=only_root),
    pytest.param(give_to(key_of, 0), "key-file", "cannot read", marks=only_root),
    pytest.param(give_to(script_of, 0, 0o700), "script", "cannot start", marks=only_root),
    pytest.param(give_to(script_of, 1), "script", "belongs to", marks=only_root),
    pytest.param(give_to(lambda one: one.layout.log_directory, 0), "script-logs", "cannot write", marks=only_root),
    pytest.param(give_to(state_of, 0, 0o755), "spool", "belongs to", marks=only_root),
    pytest.param(no_place_for_a_state_directory, "spool", "cannot be made", marks=only_root),
]


@pytest.mark.parametrize(("breaks", "check", "words"), CORRECTED_BY_ADVICE)
def test_following_the_advice_of_a_failure_corrects_it(
    installed: Installed, breaks: Break, check: str, words: str
) -> None:
    breaks(installed)
    found = installed.worst(check)
    assert (found.level, words in found.what) == ("fail", True), found
    follow(found.advice)
    assert installed.worst(check).level == "ok"


def without_logs(one: Installed) -> None:
    for log in Path(one.layout.log_directory).glob("oec*.log"):
        log.unlink()


def without_python(one: Installed) -> None:
    map_to_py(one)
    (one.directory / "empty").mkdir()
    one.ask(service_path=str(one.directory / "empty"))


SEEN_BY_ALL = ["--alertaApiKey", "seen-by-everybody"]
FOUND: list[Any] = [
    (lambda one: one.config.rename(one.config.with_name("away")), "config", "fail", "No such file"),
    (lambda one: one.config.write_text(one.config.read_text()[:-3]), "config", "fail", "line"),
    pytest.param(give_to(lambda one: one.config.parent, 0, 0o700), "config-access", "fail", "", marks=only_root),
    (alter(lambda value: value["pollerConf"].update(visibilityTimeoutInSec=3)), "config-content", "warn", "InSeconds"),
    (alter(lambda value: value["actionMappings"].pop("Snooze")), "mappings", "fail", "not map Snooze"),
    (alter(lambda value: value["actionMappings"]["Close"].update(filepath="/o.sh")), "mappings", "warn", "maps Close"),
    (alter(lambda value: value["globalArgs"].extend(SEEN_BY_ALL)), "key-file", "warn", "--alertaApiKeyFile"),
    (alter(lambda value: value.update(globalArgs=value["globalArgs"][:2])), "key-file", "fail", "--alertaApiKeyFile"),
    (lambda one: key_of(one).write_text("\n"), "key-file", "fail", "alerta.key is empty"),
    (lambda one: script_of(one).rename(f"{script_of(one)}.away"), "script", "fail", "install --edge oec"),
    (without_python, "python", "fail", "map the actions to"),
    (python_says("3.8.1"), "python", "fail", "3.9 or later"),
    # A script must be read to be run.
    pytest.param(python_says("3.11.0", 0o711), "python", "fail", "python-is-python3", marks=only_root),
    (lambda one: script_of(one).write_text("#!/nowhere/python3 -IS\n"), "executor", "fail", "No such file"),
    (write_script("print('the old one')"), "executor", "fail", "install --edge oec"),
    (write_script("print('alerta-opsgenie 0.0.1')"), "executor", "warn", "0.0.1"),
    (lambda one: one.ask(user="no-such-user"), "spool", "fail", "--user"),
    (lambda one: one.stop_connector(), "process", "fail", "systemctl start oec"),
    (without_logs, "connector-log", "warn", "has no log"),
    (alter(lambda value: value.update(globalArgs=value["globalArgs"][2:])), "alerta", "fail", "--alertaApiUrl"),
]


@pytest.mark.parametrize(("breaks", "check", "level", "words"), FOUND)
def test_it_is_reported_with_advice(installed: Installed, breaks: Break, check: str, level: str, words: str) -> None:
    breaks(installed)
    found = installed.worst(check)
    assert (found.level, words in f"{found.what}; {found.advice}") == (level, True), found
    assert found.advice
    assert "seen-by-everybody" not in str(found)


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_the_script_mode_that_a_connector_sets_is_accepted(installed: Installed, mode: int) -> None:
    script_of(installed).chmod(mode)
    assert installed.worst("script").level == "ok"
