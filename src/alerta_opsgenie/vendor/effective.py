"""The configuration in effect, for people: defaults filled in, what the connector adds, secrets hidden."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from alerta_opsgenie.vendor.config import JEC, ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.redaction import redact, redact_arguments, redact_document, safe_url
from alerta_opsgenie.vendor.runner import script_argv
from alerta_opsgenie.vendor.structure import POLLER_KEYS, POOL_KEYS


def effective_config(config: EdgeConfig) -> dict[str, Any]:
    """Give what a connector would work with, in the file's own terms and safe to be shown."""
    return redact_document(
        {
            "dialect": config.dialect,
            "file": config.where,
            "appName": config.app_name,
            "apiKey": config.api_key.reveal(),
            "baseUrl": safe_url(config.base_url),
            "logLevel": config.log_level.upper(),
            "globalFlags": dict(config.global_flags),
            "globalArgs": list(config.global_args),
            "globalEnv": list(config.global_env),
            "actionMappings": {name: _effective_mapping(config, mapping) for name, mapping in config.mappings.items()},
            "pollerConf": dict(zip(POLLER_KEYS, astuple(config.poller))),
            "poolConf": dict(zip(POOL_KEYS, astuple(config.pool))),
            "alertaOpsgenie": dict(config.own),
        }
    )


def _effective_mapping(config: EdgeConfig, mapping: ActionMapping) -> dict[str, Any]:
    pipe_path = "<pipe>" if config.dialect == JEC else None
    return {
        "type": mapping.type,
        "sourceType": mapping.source_type,
        "filepath": mapping.filepath,
        "flags": redact(dict(mapping.flags)),
        "args": list(mapping.args),
        "env": list(mapping.env),
        "stdout": mapping.stdout or "/dev/null",
        "stderr": mapping.stderr or "the callback alone",
        "startedAs": redact_arguments(list(script_argv(config, mapping, "<message>", pipe_path=pipe_path))),
    }
