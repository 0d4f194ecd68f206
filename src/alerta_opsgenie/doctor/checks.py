"""All checks, in the order in which an action passes what they look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterable, Iterator

from alerta_opsgenie.doctor import (
    alerta_checks,
    config_checks,
    queue_checks,
    running_checks,
    script_checks,
    vendor_checks,
)
from alerta_opsgenie.doctor.finding import Finding, fail
from alerta_opsgenie.doctor.installation import Installation


@dataclass(frozen=True)
class Check:
    """One check: its name, for `--skip` and `--json`, and what it does."""

    name: str
    run: Callable[[Installation], Iterable[Finding]]


@dataclass(frozen=True)
class Result:
    """One finding of a check."""

    check: str
    finding: Finding


CHECKS = (
    Check("config", config_checks.check_readable),
    Check("config-access", config_checks.check_access),
    Check("config-content", config_checks.check_content),
    Check("mappings", config_checks.check_mappings),
    Check("key-file", config_checks.check_key_file),
    Check("script", script_checks.check_script),
    Check("python", script_checks.check_python),
    Check("executor", script_checks.check_starts),
    Check("script-logs", script_checks.check_logs),
    Check("vendor", queue_checks.check_vendor),
    Check("queue", queue_checks.check_queue),
    Check("sources", vendor_checks.check_sources),
    Check("alerta", alerta_checks.check_reachable),
    Check("alerta-key", alerta_checks.check_key),
    Check("attribution", alerta_checks.check_attribution),
    Check("open-access", alerta_checks.check_open_access),
    Check("spool", script_checks.check_state),
    Check("service", script_checks.check_service),
    Check("process", running_checks.check_process),
    Check("connector-log", running_checks.check_log),
    Check("ready", running_checks.check_ready),
    Check("last-success", running_checks.check_last_success),
    Check("secrets", running_checks.check_secrets),
    Check("end-of-opsgenie", vendor_checks.check_end),
)

NAMES = tuple(check.name for check in CHECKS)


def examine(inst: Installation, names: Iterable[str] = NAMES) -> Iterator[Result]:
    """Do the named checks. One that fails by itself is a finding, and the others are done all the same."""
    wanted = set(names)
    for check in CHECKS:
        if check.name not in wanted:
            continue
        try:
            for finding in check.run(inst):
                yield Result(check.name, finding)
        except Exception as error:  # noqa: BLE001 - it is reported, as the finding that it is
            advice = "report this, with the archive that alerta-opsgenie doctor --bundle FILE writes"
            yield Result(check.name, fail(f"the check itself failed: {type(error).__name__}", advice))
