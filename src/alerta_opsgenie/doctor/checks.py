"""All checks, in the order in which an action passes the parts that they check."""

from __future__ import annotations

from typing import Callable, Iterable, Iterator, NamedTuple

from alerta_opsgenie.doctor import (
    alerta_checks,
    config_checks,
    running_checks,
    script_checks,
    vendor_checks,
)
from alerta_opsgenie.doctor.finding import Finding, fail, findings_of
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.setup.layout import EDGES
from alerta_opsgenie.vendor.config import DIALECTS, NATIVE


class Check(NamedTuple):
    """One check: its name (for `--skip` and `--json`), its function, and the connectors that it applies to.

    With `needs_config`, it is left out if the configuration cannot be read; the check `config` reports that.
    """

    name: str
    run: Callable[[Installation], Iterable[Finding]]
    edges: tuple[str, ...] = EDGES
    needs_config: bool = True


CHECKS = (
    Check("config", config_checks.check_readable, needs_config=False),
    Check("config-access", config_checks.check_access, needs_config=False),
    Check("config-content", config_checks.check_content),
    Check("mappings", config_checks.check_mappings),
    Check("key-file", config_checks.check_key_file),
    Check("script", script_checks.check_script, DIALECTS),
    Check("python", script_checks.check_python, DIALECTS),
    Check("executor", script_checks.check_starts, DIALECTS),
    Check("script-logs", script_checks.check_logs, DIALECTS),
    Check("vendor", vendor_checks.check_vendor),
    Check("queue", vendor_checks.check_queue),
    Check("sources", vendor_checks.check_sources),
    Check("alerta", alerta_checks.check_reachable),
    Check("alerta-key", alerta_checks.check_key),
    Check("attribution", alerta_checks.check_attribution),
    Check("open-access", alerta_checks.check_open_access),
    Check("plugin", alerta_checks.check_plugin),
    Check("spool", script_checks.check_state, needs_config=False),
    Check("service", script_checks.check_service, needs_config=False),
    Check("process", running_checks.check_process, needs_config=False),
    Check("connector-log", running_checks.check_log, DIALECTS, needs_config=False),
    Check("ready", running_checks.check_ready, (NATIVE,), needs_config=False),
    Check("last-success", running_checks.check_last_success, DIALECTS),
    Check("secrets", running_checks.check_secrets),
    Check("end-of-opsgenie", vendor_checks.check_end, needs_config=False),
)

NAMES = tuple(check.name for check in CHECKS)


def run_checks(inst: Installation, names: Iterable[str] = NAMES) -> Iterator[Finding]:
    """Run the named checks. An exception in one is reported as a finding, and the other checks still run."""
    wanted = set(names)
    for check in CHECKS:
        if check.name not in wanted or (check.needs_config and inst.document is None) or inst.edge not in check.edges:
            continue
        try:
            yield from findings_of(check.run(inst), check.name)
        except Exception as error:  # noqa: BLE001 - it is reported as a finding
            advice = "report this, with the archive that alerta-opsgenie doctor --bundle FILE writes"
            yield fail(f"the check itself failed: {type(error).__name__}", advice, check.name)
