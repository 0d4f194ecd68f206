"""All steps of an installation, in their order."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Callable, Mapping

from alerta_opsgenie.executor.build import NAMES
from alerta_opsgenie.setup.connector_config import encode_config, means_same, show_difference
from alerta_opsgenie.setup.file_steps import LOG, PARENT, SPOOL, ExpectLeavings, LoadUnit, OwnFile, SetAside, WriteFile
from alerta_opsgenie.setup.host import Host, SetupError
from alerta_opsgenie.setup.layout import ROOT, SCRIPT_MODE, STARTED_SCRIPT_MODE, Layout
from alerta_opsgenie.setup.record import Record
from alerta_opsgenie.setup.steps import AddGroup, AddUser, Assessment, MakeDirectory, Step
from alerta_opsgenie.vendor.secret import Secret

VENDOR_LEFTOVERS = ("http.py", "actionExecutor.py", "__pycache__")
"""What the vendor's package puts beside the script; `http.py` shadows Python's own for scripts that are one file."""

_UNIT_MODE = 0o644
_LOGS = ("oecAlertaExecutor.log", "oecAlertaExecutor-errors.log")


@dataclass(frozen=True)
class Contents:
    """What is put into the files. `config` of None leaves the configuration that is there."""

    executor: bytes = field(repr=False)
    config: Mapping[str, Any] | None = field(repr=False)
    alerta_key: Secret
    unit: str = ""


def make_plan(layout: Layout, contents: Contents, *, tidy: bool = False) -> list[Step]:
    """Give the steps for a layout; none of them is looked at yet."""
    places = tuple(directory.path for directory in layout.directories)
    steps: list[Step] = [AddGroup(layout.group), AddUser(layout.user, layout.group, layout.home, places)]
    steps += [MakeDirectory(directory) for directory in layout.directories]
    if tidy and layout.scripts:
        steps += [SetAside(f"{layout.scripts}/{name}", layout.base) for name in VENDOR_LEFTOVERS]
    steps += [_script(layout, name, contents.executor) for name in NAMES] if layout.scripts else []
    key = f"{contents.alerta_key.reveal()}\n".encode("ascii")
    steps.append(WriteFile(layout.key_file, key, layout.config_ownership, (layout.config_mode,), _same_key(key)))
    if contents.config is not None:
        steps.append(_config(layout, contents.config))
    if layout.unit and contents.unit:
        unit = WriteFile(layout.unit, contents.unit.encode("utf-8"), ROOT, (_UNIT_MODE,))
        steps += [unit, LoadUnit(layout.unit.rpartition("/")[2], unit.data)]
    steps += [OwnFile(path, layout.ownership) for path in _logs(layout)]
    steps.append(_leavings(layout))
    return steps


def _script(layout: Layout, name: str, data: bytes) -> WriteFile:
    return WriteFile(f"{layout.scripts}/{name}", data, layout.ownership, (SCRIPT_MODE, STARTED_SCRIPT_MODE))


def _same_key(key: bytes) -> Callable[[bytes], bool]:
    return lambda content: content.strip() == key.strip()


def _config(layout: Layout, value: Mapping[str, Any]) -> WriteFile:
    return WriteFile(
        layout.config,
        encode_config(value, layout),
        layout.config_ownership,
        (layout.config_mode, 0o600) if layout.scripts else (layout.config_mode,),
        same=lambda content: means_same(content, value, layout),
        asks=True,
        difference=lambda content: show_difference(content, value, layout),
    )


def _logs(layout: Layout) -> list[str]:
    return [f"{layout.log_directory}/{name}" for name in _LOGS] if layout.log_directory else []


def _leavings(layout: Layout) -> ExpectLeavings:
    """Name what our own programs will make: the executor's logs, and the spool with the directories above it."""
    above = []
    parent = layout.spool.rpartition("/")[0]
    while parent.startswith(f"{layout.home}/"):
        above.append((parent, PARENT))
        parent = parent.rpartition("/")[0]
    logs = [(path, LOG) for path in _logs(layout)]
    return ExpectLeavings((*logs, *reversed(above), (layout.spool, SPOOL)))


@dataclass(frozen=True)
class Planned:
    """A step with what it found to do."""

    step: Step
    assessment: Assessment


def assess_plan(host: Host, record: Record, steps: list[Step]) -> list[Planned]:
    """Look at each step. Raises `SetupError` for what stands in the way."""
    return [Planned(step, step.assess(host, record)) for step in steps]


def apply_plan(host: Host, record: Record, planned: list[Planned], now: datetime, tell: Callable[[str], None]) -> None:
    """Do what is needed, in order; `tell` hears of each step that was done. Raises `SetupError`.

    Sets the process's umask, so that directories above ours are as open as others of the system.
    """
    os.umask(0o022)
    for one in planned:
        if not one.assessment.needed:
            continue
        try:
            one.step.apply(host, record, now)
        except OSError as error:
            what = f"{one.assessment.text}: {error.strerror} ({error.filename})"
            raise SetupError(what, "mend that and run this again: it goes on where it stopped") from None
        if one.assessment.text:
            tell(one.assessment.text)
