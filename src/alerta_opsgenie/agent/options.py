"""The executor's arguments, as OEC, JEC and people pass them.

Not `argparse`, which exits at an unknown argument: the Go connectors add some. Each spelling of a name is accepted.
"""

import json
import os
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from alerta_opsgenie import __version__
from alerta_opsgenie.agent.handover import DEFAULT_LIMIT_SECONDS, LONGEST_LIMIT_SECONDS, spelling, state_directory
from alerta_opsgenie.core.task import ON_DELETE, Settings


class UsageError(Exception):
    """An argument cannot be used; the text names it, why, and what to give."""


class Options(NamedTuple):
    """The executor's options. `notes` are debug lines on arguments, `proxies` environment variables for proxies."""

    alerta_url: str
    alerta_key: str
    payload: Optional[str] = None
    ca_file: Optional[str] = None
    log_level: str = "INFO"
    limit_seconds: float = DEFAULT_LIMIT_SECONDS
    pipe: Optional[str] = None
    spool_directory: str = ""
    agent_idle_seconds: float = 600.0
    people_file: str = ""
    settings: Settings = Settings()
    proxies: Tuple[Tuple[str, str], ...] = ()
    notes: Tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show neither the key nor the message."""
        return f"Options(alerta_url={self.alerta_url!r}, alerta_key=***, spool_directory={self.spool_directory!r})"


_HELP: Mapping[str, Tuple[str, str]] = {
    "payload": ("JSON", "the action message"),
    "payloadFile": ("FILE", "read the message from a file, or from standard input with -"),
    "alertaApiUrl": ("URL", "Alerta's API, with or without /alert (or ALERTA_API_URL)"),
    "alertaApiKey": ("KEY", "its API key; every user of the host can see it here, so prefer alertaApiKeyFile"),
    "alertaApiKeyFile": ("FILE", "a file that holds the API key (or ALERTA_API_KEY_FILE)"),
    "alertaCaFile": ("FILE", "certificates (PEM) of the private CA that signed Alerta's"),
    "timeLimit": ("SECONDS", f"end after so long, whatever Alerta does (default {DEFAULT_LIMIT_SECONDS:g})"),
    "spoolDir": ("DIR", "the state directory, which has the actions that wait (or ALERTA_OPSGENIE_SPOOL_DIR)"),
    "agentIdle": ("SECONDS", "a process that was started to deliver ends after so long without work (default 600)"),
    "source": ("NAME", "act on alerts with this source (default Alerta; * takes all; may be repeated)"),
    "ownName": ("NAME", "user or source that the plugin in Alerta sends, to know our own actions (default Alerta)"),
    "notes": ("all|own", "all: changed texts, responders and escalations become notes too (default own)"),
    "onDelete": ("close|delete|ignore", "what a deleted alert means in Alerta (default close)"),
    "people": ("FILE", "who the vendor's account ids are in Alerta: lines ID = LOGIN, or a JSON object"),
    "customAction": ("NAME=ACTION", "pass a custom action on as this action of Alerta's (may be repeated)"),
    "ackTimeout": ("SECONDS", "let an acknowledgement end after so long (default: it does not end)"),
    "logLevel": ("LEVEL", "DEBUG writes more, ERROR only failures; the connector passes it"),
    "jecNamedPipe": ("PATH", "where JEC waits for the result"),
    "apiKey": ("KEY", "passed by the connector; not needed"),
    "opsgenieUrl": ("URL", "passed by OEC; not needed"),
    "jsmUrl": ("URL", "passed by JEC; not needed"),
}
_FLAGS = {"help", "version", "noAgent"}
_REPEATED = {"source", "ownName", "customAction"}


def usage() -> str:
    """Return the help text."""
    lines = [
        "usage: oecAlertaExecutor --alertaApiUrl URL -payload JSON [arguments]",
        "",
        "Applies to Alerta what a person did to an alert in Opsgenie or Jira Service Management. OEC and JEC start it.",
        "",
    ]
    lines += [f"  --{name} {value}".ljust(36) + text for name, (value, text) in _HELP.items()]
    lines += [
        "  --noAgent".ljust(36) + "start no background process; the next executor delivers what waits",
        "  --version, --help",
        "",
        "The API key may also be in ALERTA_API_KEY. Exit: 0 done, nothing to do, or kept for later; 1 failed, the",
        "reason is on standard error; 2 wrong usage.",
        "",
    ]
    return "\n".join(lines)


def help_or_version_text(found: Mapping[str, List[str]]) -> str:
    """Return the text for --help or --version; empty where neither is given."""
    if "help" in found:
        return usage()
    return f"alerta-opsgenie {__version__}\n" if "version" in found else ""


_KNOWN = {spelling(name): name for name in (*_HELP, *_FLAGS, "queuePayload")}


def split(arguments: Sequence[str]) -> Tuple[Dict[str, List[str]], List[str]]:
    """Return known names with their values, and notes on ignored arguments (names only)."""
    found: Dict[str, List[str]] = {}
    notes: List[str] = []
    rest = list(arguments)
    behind_unknown = False
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        known = _KNOWN.get(spelling(name)) if name.startswith("-") else None
        if known is None:
            # The argument after an unknown name may be its value and a secret, even if it starts with a dash.
            named = name.startswith("-") and not behind_unknown
            notes.append("passed over an argument" + (f" {name}" if named else ""))
            behind_unknown = named and not equals
            continue
        behind_unknown = False
        if known in _FLAGS:
            found[known] = []
        elif equals or rest:
            known = "payload" if known == "queuePayload" else known
            found.setdefault(known, []).append(value if equals else rest.pop(0))
        else:
            raise UsageError(f"{name} has no value: give one after it")
    return found, notes


def read_options(
    found: Mapping[str, List[str]], notes: Sequence[str], environment: Mapping[str, str], directory: str = ""
) -> Options:
    """Return options from arguments and environment; relative paths are below `directory`. Raises `UsageError`."""
    return Options(
        alerta_url=_last(found, "alertaApiUrl") or environment.get("ALERTA_API_URL") or _no_url(),
        alerta_key=_key(found, environment, directory),
        payload=_payload(found, directory),
        ca_file=_path(found, "alertaCaFile", directory, environment.get("ALERTA_CA_FILE", "")) or None,
        log_level=(_last(found, "logLevel") or "INFO").upper(),
        limit_seconds=_seconds(found, "timeLimit", DEFAULT_LIMIT_SECONDS, LONGEST_LIMIT_SECONDS),
        pipe=_last(found, "jecNamedPipe") or None,
        spool_directory=state_directory([f"--spoolDir={_last(found, 'spoolDir')}"], dict(environment)),
        agent_idle_seconds=_seconds(found, "agentIdle", 600.0, 86_400.0),
        people_file=_path(found, "people", directory),
        settings=_settings(found),
        proxies=tuple((name, environment[name]) for name in _PROXIES if name in environment),
        notes=tuple(notes),
    )


def require_message(options: Options) -> str:
    """Return the message. Raises UsageError where there is none."""
    if options.payload is None:
        raise UsageError("no message: give -payload JSON or --payloadFile FILE (- is standard input)")
    return options.payload


_PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")


def _path(found: Mapping[str, List[str]], name: str, directory: str, default: str = "") -> str:
    path = _last(found, name) or default
    return os.path.join(directory, path) if path else ""


def _last(found: Mapping[str, List[str]], name: str) -> str:
    return found[name][-1] if found.get(name) else ""


def _no_url() -> str:
    raise UsageError("no URL of Alerta: give --alertaApiUrl https://alerta.example.com/api (or ALERTA_API_URL)")


def _key(found: Mapping[str, List[str]], environment: Mapping[str, str], directory: str) -> str:
    given = _last(found, "alertaApiKey")
    path = _last(found, "alertaApiKeyFile")
    if not given and not path:
        given = environment.get("ALERTA_API_KEY", "")
        path = environment.get("ALERTA_API_KEY_FILE", "")
    if not given and path:
        try:
            with open(os.path.join(directory, path), encoding="ascii") as file:
                given = file.read(4096)
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it holds no key"
            raise UsageError(f"the API key file {path} cannot be read: {why}") from None
    key = given.strip()
    if not key:
        raise UsageError("no API key of Alerta: give --alertaApiKeyFile FILE, or set ALERTA_API_KEY")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("the API key of Alerta holds a character that no key has: give the key alone")
    return key


def _payload(found: Mapping[str, List[str]], directory: str) -> Optional[str]:
    path = _last(found, "payloadFile")
    if not path:
        if "payload" not in found:
            return None
        # A connector passes UTF-8, whatever Python's locale is.
        return os.fsencode(_last(found, "payload")).decode("utf-8", "surrogateescape")
    try:
        with open(0 if path == "-" else os.path.join(directory, path), "rb", closefd=path != "-") as file:
            # One byte more than the largest message, so that parsing refuses it as too large.
            return file.read(1024 * 1024 + 1).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UsageError(f"the message in {path} cannot be read: {error.strerror}") from None


def _seconds(found: Mapping[str, List[str]], name: str, default: float, longest: float) -> float:
    text = _last(found, name)
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= longest:
        raise UsageError(f"--{name} {text[:40]!r} is no number of seconds: give one between 0 and {longest:g}")
    return seconds


def _settings(found: Mapping[str, List[str]]) -> Settings:
    default = Settings()
    return Settings(
        sources=frozenset(found.get("source") or default.sources),
        own_names=frozenset(name.lower() for name in found.get("ownName") or default.own_names),
        all_notes=_one_of(found, "notes", ("own", "all")) == "all",
        on_delete=_one_of(found, "onDelete", ("close", *sorted(ON_DELETE))),
        custom_actions=_custom_actions(found.get("customAction") or []),
        ack_timeout_seconds=int(_seconds(found, "ackTimeout", 0.0, 2.0**31 - 1)) or None,
    )


def _one_of(found: Mapping[str, List[str]], name: str, choices: Sequence[str]) -> str:
    given = _last(found, name) or choices[0]
    if given not in choices:
        raise UsageError(f"--{name} {given[:40]!r} is unknown: give one of {', '.join(sorted(set(choices)))}")
    return given


def _custom_actions(pairs: Sequence[str]) -> Dict[str, str]:
    actions = {}
    for pair in pairs:
        name, _, action = pair.partition("=")
        if not name.strip() or not action.strip():
            raise UsageError(f"--customAction {pair[:40]!r} is no pair: give NAME=ACTION (RestartService=restart)")
        actions[name.strip()] = action.strip()
    return actions


def arguments_of(options: Options) -> Tuple[List[str], Dict[str, str]]:
    """Return arguments and environment that give these options; the key is in the environment."""
    settings = options.settings
    found = [
        ("alertaApiUrl", options.alerta_url),
        ("alertaCaFile", options.ca_file or ""),
        ("spoolDir", options.spool_directory),
        ("timeLimit", f"{options.limit_seconds:g}"),
        ("logLevel", options.log_level),
        ("people", options.people_file),
        ("notes", "all" if settings.all_notes else "own"),
        ("onDelete", settings.on_delete),
        ("ackTimeout", str(settings.ack_timeout_seconds or "")),
        *(("source", name) for name in sorted(settings.sources)),
        *(("ownName", name) for name in sorted(settings.own_names)),
        *(("customAction", f"{name}={action}") for name, action in sorted(settings.custom_actions.items())),
    ]
    arguments = [f"--{name}={value}" for name, value in found if value]
    return arguments, {"ALERTA_API_KEY": options.alerta_key, **dict(options.proxies)}


def settings_to_json(settings: Settings) -> str:
    """Return the settings that differ from the defaults, as JSON."""
    default = Settings()
    values = {name: value for name, value in settings._asdict().items() if value != getattr(default, name)}
    return json.dumps(values, default=sorted)  # a set is written as a list


def settings_from_json(text: str) -> Settings:
    """Read the settings of an action. Raises ValueError."""
    values = json.loads(text) if text else {}
    for name in ("sources", "own_names"):
        if name in values:
            values[name] = frozenset(values[name])
    try:
        return Settings(**values)
    except TypeError:
        raise ValueError("its options are of another version") from None
