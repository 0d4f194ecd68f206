"""Checks Alerta's version and settings once, at start."""

from typing import Any, Iterator, List, Mapping, Tuple

OLDEST, NEWEST = (8, 7, 0), (9, 1, 0)
"""The oldest and the newest alerta-server that the tests run with: see docs/reference/alerta-versions.md."""


class UnsupportedError(Exception):
    """This Alerta is not supported. Alerta logs the text when it fails to load the plugin."""


def check_version(version: str) -> None:
    """Refuse an Alerta that is too old. Raises `UnsupportedError`."""
    if _numbers(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise UnsupportedError(f"alerta-server {version} is not supported: alerta-opsgenie needs {oldest} or later")


def warnings(config: Mapping[str, Any], version: str) -> List[str]:
    """Return warnings: a version or a database without tests, and settings that undo actions from Opsgenie."""
    found = []
    if _numbers(version) > NEWEST:
        newest = ".".join(map(str, NEWEST))
        found.append(f"alerta-server {version} is newer than {newest}, the newest that was tried")
    if not str(config.get("DATABASE_URL")).startswith(("postgres://", "postgresql://")):
        found.append("with MongoDB the plugin is experimental: no real server was tried")
    undoes = list(_undoes(config))
    if undoes:
        found.append(f"Alerta's settings undo actions from Opsgenie: {'; '.join(undoes)}")
    return found


def _undoes(config: Mapping[str, Any]) -> Iterator[str]:
    plugins, shelve_seconds = list(config.get("PLUGINS") or ()), config.get("SHELVE_TIMEOUT")
    if config.get("ACK_TIMEOUT"):
        yield f"ACK_TIMEOUT ends an acknowledge after {config['ACK_TIMEOUT']} s, in Opsgenie too"
    if "opsgenie" in plugins and "timeout" in plugins[plugins.index("opsgenie") :]:
        yield (
            f"the plugin timeout ends a snooze after SHELVE_TIMEOUT, {shelve_seconds} s, whatever its end in Opsgenie;"
            " put opsgenie behind it in PLUGINS"
        )
    if str(config.get("ALARM_MODEL")).lower() == "isa_18_2":
        yield "with ISA 18.2 a close is refused, and a shelve stays until Opsgenie reports its end"


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("."))[:3]
