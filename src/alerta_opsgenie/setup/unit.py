"""The systemd units: the native connector's, and the agent's beside OEC and JEC. `deploy/systemd` shows both.

`python -m alerta_opsgenie.setup.unit native` (or `oec`) writes one for the usual places to standard output.
"""

from __future__ import annotations

import sys

from alerta_opsgenie.setup.layout import Layout, layout_for
from alerta_opsgenie.vendor.config import NATIVE

DEFAULT_COMMAND = "/opt/alerta-opsgenie/bin/alerta-opsgenie"
"""Where an administrator would put this package's environment."""

_HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
CapabilityBoundingSet=
AmbientCapabilities=
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0077
MemoryMax=256M
TasksMax=256

[Install]
WantedBy=multi-user.target
"""

_NATIVE = """\
# The native connector, in the place of OEC or JEC. Stop and disable those first: each message goes to one of them.
# `alerta-opsgenie install --edge native` writes this file, its user, its directories and its configuration.
#
# Alerta's API key: --alertaApiKeyFile in the configuration's globalArgs, or a line ALERTA_API_KEY=... in
# {directory}/environment (mode 0640).

[Unit]
Description=Alerta for Opsgenie and Jira Service Management: people's actions, from the queue to Alerta
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command} run --config {config}
ExecReload=/bin/kill -HUP $MAINPID
EnvironmentFile=-{directory}/environment
# Of use for a configuration without --spoolDir alone.
Environment=ALERTA_OPSGENIE_SPOOL_DIR={state}
User={user}
Group={group}
{state_lines}

# It ends within 10 seconds. What it has not finished by then stays in its journal, or goes back to the queue.
TimeoutStopSec=15
KillSignal=SIGTERM
Restart=always
RestartSec=2

# systemd starts it anew when a part of it makes no progress for this long.
WatchdogSec=60
TimeoutStartSec=60

# It needs the network, its configuration and its own directory, and nothing else. A connector that also starts scripts
# of the team's own may need some of these taken back (systemctl edit {unit}).
ProtectHome=yes
PrivateTmp=yes
"""

_AGENT = """\
# The agent beside OEC or JEC. It delivers what their scripts hand over, and after a restart of the host what waits.
# `alerta-opsgenie install --edge {edge}` writes this file.

[Unit]
Description=Alerta for Opsgenie and Jira Service Management: delivers the actions of the Edge Connector
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={command} agent --config {config}
User={user}
Group={group}
ReadWritePaths={state}

# It ends within 10 seconds. What it has not finished by then stays in its journal.
TimeoutStopSec=15
KillMode=mixed
Restart=always
RestartSec=2

# Its configuration and its state lie in the home of the connector's user. The connector's scripts share its /tmp.
ProtectHome=read-only
PrivateTmp=no
"""


def render_unit(layout: Layout, command: str = DEFAULT_COMMAND) -> str:
    """Write the unit of a layout; `command` is the whole path of `alerta-opsgenie`."""
    template = _NATIVE if layout.edge == NATIVE else _AGENT
    text = template.format(
        edge=layout.edge,
        command=command,
        config=layout.config,
        directory=layout.config.rpartition("/")[0],
        user=layout.user,
        group=layout.group,
        state=layout.state_directory,
        state_lines=_state_lines(layout.home),
        unit=layout.unit_name,
    )
    return text.rstrip("\n") + "\n" + _HARDENING


def _state_lines(home: str) -> str:
    """Let the service write its state. systemd makes directories below /var/lib by itself (systemd.exec(5))."""
    inside = home.removeprefix("/var/lib/")
    return f"ReadWritePaths={home}" if inside == home else f"StateDirectory={inside}\nStateDirectoryMode=0700"


if __name__ == "__main__":
    sys.stdout.write(render_unit(layout_for(sys.argv[1])))
