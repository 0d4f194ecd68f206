"""The configuration broken in each way; following the advice makes it well again."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS
from tests.support.installed import Installed, follow

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def test_a_configuration_that_is_not_there_fails(installed: Installed) -> None:
    away = installed.config.rename(installed.config.with_name("away.json"))
    found = installed.worst("config")
    assert (found.level, "does not exist" in found.what) == ("fail", True)
    away.rename(installed.config)
    assert installed.worst("config").level == "ok"


def test_one_that_is_not_json_fails_with_the_place(installed: Installed) -> None:
    whole = installed.config.read_text()
    installed.config.write_text(whole[:-3])
    found = installed.worst("config")
    assert (found.level, "line" in found.what) == ("fail", True)
    installed.config.write_text(whole)
    assert installed.worst("config").level == "ok"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o666])
@pytest.mark.parametrize("name", ["config.json", "alerta.key"])
def test_a_file_with_keys_that_others_may_use_fails(installed: Installed, name: str, mode: int) -> None:
    file = installed.config.with_name(name)
    file.chmod(mode)
    check = "config-access" if name == "config.json" else "key-file"
    found = installed.worst(check)
    assert found.level == "fail"
    follow(found.advice)
    assert installed.worst(check).level == "ok"


@only_root
@pytest.mark.parametrize("name", ["config.json", "alerta.key"])
def test_a_file_that_the_connectors_user_cannot_read_fails(installed: Installed, name: str) -> None:
    os.chown(installed.config.with_name(name), 0, 0)
    check = "config-access" if name == "config.json" else "key-file"
    found = installed.worst(check)
    assert (found.level, "cannot read" in found.what) == ("fail", True)
    follow(found.advice)
    assert installed.worst(check).level == "ok"


@only_root
def test_a_directory_above_that_the_user_may_not_enter_fails(installed: Installed) -> None:
    installed.config.parent.chmod(0o700)
    os.chown(installed.config.parent, 0, 0)
    assert installed.worst("config-access").level == "fail"


def test_a_configuration_without_keys_of_its_own_or_with_misnamed_ones_is_told_of(installed: Installed) -> None:
    installed.change(lambda value: value["pollerConf"].update(visibilityTimeoutInSec=30))
    found = installed.worst("config-content")
    assert (found.level, found.advice) == ("warn", "write visibilityTimeoutInSeconds")
    assert found.what.startswith(str(installed.config))
    installed.change(lambda value: value["pollerConf"].pop("visibilityTimeoutInSec"))
    assert installed.worst("config-content").level == "ok"


@pytest.mark.parametrize(
    "alter",
    [
        lambda value: value.update(baseUrl="ftp://api.opsgenie.com"),
        lambda value: value["actionMappings"]["Close"].update(type="http"),
    ],
)
def test_values_with_which_nothing_can_work_fail(installed: Installed, alter: Callable[[Any], None]) -> None:
    installed.change(alter)
    assert installed.worst("config-content").level == "fail"


def test_an_action_that_is_not_mapped_fails_by_its_name(installed: Installed) -> None:
    whole = installed.config.read_text()
    installed.change(lambda value: value["actionMappings"].pop("Snooze"))
    found = installed.worst("mappings")
    assert (found.level, "Snooze" in found.what) == ("fail", True)
    assert "install --edge oec" in found.advice
    installed.config.write_text(whole)
    found = installed.worst("mappings")
    assert (found.level, str(len(DOCUMENTED_ACTIONS)) in found.what) == ("ok", True)


def test_an_action_mapped_to_another_script_is_warned_of(installed: Installed) -> None:
    installed.change(lambda value: value["actionMappings"]["Close"].update(filepath="/opt/other.sh"))
    found = installed.worst("mappings")
    assert (found.level, "Close" in found.what) == ("warn", True)


def test_a_key_among_the_arguments_is_warned_of(installed: Installed) -> None:
    def put_key(value: dict[str, Any]) -> None:
        value["globalArgs"] = [*value["globalArgs"][:2], "--alertaApiKey", "seen-by-everybody"]

    whole = installed.config.read_text()
    installed.change(put_key)
    found = installed.worst("key-file")
    assert (found.level, "--alertaApiKeyFile" in found.advice) == ("warn", True)
    assert "seen-by-everybody" not in found.what + found.advice
    installed.config.write_text(whole)
    assert installed.worst("key-file").level == "ok"


def test_no_key_at_all_fails(installed: Installed) -> None:
    whole = installed.config.read_text()
    installed.change(lambda value: value.update(globalArgs=value["globalArgs"][:2]))
    found = installed.worst("key-file")
    assert (found.level, "--alertaApiKeyFile" in found.advice) == ("fail", True)
    installed.config.write_text(whole)
    assert installed.worst("key-file").level == "ok"


def test_an_empty_key_file_fails_by_its_name(installed: Installed) -> None:
    """Version 1 said that the file is its owner's alone and can be read, ok."""
    key_file = installed.config.with_name("alerta.key")
    whole = key_file.read_text()
    key_file.write_text("\n")
    found = installed.worst("key-file")
    assert (found.level, found.what) == ("fail", f"{key_file} is empty")
    key_file.write_text(whole)
    assert installed.worst("key-file").level == "ok"
