"""The state directory and the Alerta of a command: by its options, or by the configuration as `run` finds it."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Mapping

import click

from alerta_opsgenie.agent import state
from alerta_opsgenie.agent.handover import open_directory, state_directory
from alerta_opsgenie.agent.options import Options, UsageError
from alerta_opsgenie.cli.failure import Failure, explain_errors
from alerta_opsgenie.cli.options import option_set
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.core.outcome import Reason
from alerta_opsgenie.doctor.installation import Installation, Request, SystemUser, become, user_by_uid
from alerta_opsgenie.journal import Journal
from alerta_opsgenie.setup.access import Access, access_of
from alerta_opsgenie.vendor.location import find_config
from alerta_opsgenie.vendor.problems import ConfigError

ADVICE = {
    Reason.UNAUTHORIZED.value: "write a key that Alerta knows into the key file, or give --alerta-key-file",
    Reason.FORBIDDEN.value: "give the key the scope write:alerts in Alerta",
    Reason.NOT_ALERTA.value: "correct Alerta's URL in the configuration, or give --alerta-url",
}
"""The advice for an action that waits for this reason; it names options of these commands."""

state_options = option_set(
    click.option("--config", "config_path", metavar="FILE", help="The configuration (default: the first one found)."),
    click.option("--spool-dir", metavar="DIR", help="The state directory (default: the configuration's)."),
)
"""The options that select the state directory."""

alerta_options = option_set(
    click.option("--alerta-url", metavar="URL", help="Alerta's API, instead of the configuration's."),
    click.option("--alerta-key-file", metavar="FILE", help="A file with Alerta's API key, instead of its key."),
    click.option("--alerta-ca-file", metavar="FILE", help="Certificates (PEM) of a private CA."),
)
"""The options for Alerta's URL and key."""

_OF_EXECUTOR = {"alerta_url": "alertaApiUrl", "alerta_key_file": "alertaApiKeyFile", "alerta_ca_file": "alertaCaFile"}


def with_state_directory(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass a command its `StateDirectory` as the first argument; add `state_options`, and use its `alerta_options`."""

    @functools.wraps(command)
    def run(config_path: str | None, spool_dir: str | None, **options: Any) -> Any:
        given = {name: options.pop(option) for option, name in _OF_EXECUTOR.items() if option in options}
        return command(find_state_directory(config_path, spool_dir, given), **options)

    return state_options(explain_errors(run))


@dataclass(frozen=True)
class StateDirectory:
    """A state directory, and its connector if that is known. `given` are options in place of the configuration's."""

    path: str
    installation: Installation | None = None
    given: Mapping[str, str | None] = field(default_factory=dict)
    _journals: dict[str, Journal] = field(default_factory=dict)

    def journals(self) -> Iterator[tuple[str, Journal]]:
        """Yield each target's name and journal; the plugin's outbox is one journal with an empty name."""
        if os.path.isdir(self.path):  # noqa: PTH112
            os.close(open_directory(self.path))
        if os.path.isfile(f"{self.path}/journal.db"):  # noqa: PTH113
            yield "", self._journals.setdefault("", Journal(self.path))
        for name in state.targets(self.path):
            yield name, self._journals.setdefault(name, state.journal_of(self.path, name))

    def options(self) -> list[Options]:
        """Return the options of each target that the configuration names. Raises `Failure`."""
        accesses = self.installation.accesses if self.installation else []
        if self.given.get("alertaApiUrl") or not accesses:
            accesses = accesses[:1] or [access_of({}, os.environ)]
        found = [self._read(access) for access in accesses]
        return list({state.target_name(options.alerta_url): options for options in found}.values())

    def _read(self, access: Access) -> Options:
        if not (self.given.get("alertaApiUrl") or access.url):
            raise Failure("Alerta's URL is not known", "name the configuration with --config, or give --alerta-url", 2)
        if not self.given.get("alertaApiKeyFile"):
            key, why = access.read_key()
            if not key:
                raise Failure(f"Alerta's key: {why}", "name a file that holds it: --alerta-key-file FILE", 2)
        try:
            options = access.options(**self.given, spoolDir=self.path)
            state.target_name(options.alerta_url)
        except (UsageError, AddressError) as error:
            where = f" in {self.installation.path}" if self.installation else ""
            raise Failure(str(error), f"correct it{where}", 2) from None
        return options


def find_state_directory(
    config_path: str | None, spool_dir: str | None, given: Mapping[str, str | None] | None = None
) -> StateDirectory:
    """Find the state directory. Root becomes its owner permanently before it opens any file there. Raises `Failure`.

    `given` replaces arguments of the configuration, by the names of the executor's arguments.
    """
    given = {name: _absolute(value) if name.endswith("File") else value for name, value in (given or {}).items()}
    named = _absolute(spool_dir or os.environ.get("ALERTA_OPSGENIE_SPOOL_DIR"))
    inst = _find_installation(config_path, named)
    directory = inst.state_directory if inst else named or state_directory([], dict(os.environ))
    owner = _owner(named if inst else directory)
    if inst is not None:
        inst.drop_rights(owner)
    elif owner is not None:
        become(owner)
    return StateDirectory(directory, inst, given)


def _absolute(path: str | None) -> str:
    return os.path.abspath(path) if path else ""  # noqa: PTH100 - resolve() would follow links


def _find_installation(config_path: str | None, named: str) -> Installation | None:
    """Find this host's connector, or None. Raises `Failure` if its configuration is needed and cannot be read."""
    try:
        inst = Installation(Request(_absolute(config_path or find_config().path), state_directory=named))
    except ConfigError:
        return None
    if inst.error is not None and (config_path or not named):
        raise Failure(f"{inst.error.where}: {inst.error.what}", inst.error.advice, 2)
    return None if inst.error else inst


def _owner(directory: str) -> SystemUser | None:
    uid = os.lstat(directory).st_uid if directory and os.path.isdir(directory) else 0  # noqa: PTH112
    return user_by_uid(uid) if uid else None
