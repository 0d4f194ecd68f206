"""The native connector's systemd unit: the one source of it, also of the example in `deploy/systemd`.

`python -m alerta_opsgenie.setup.unit` writes the one for the usual places to standard output.
"""

from __future__ import annotations

import sys

from alerta_opsgenie.setup.layout import Layout, layout_for
from alerta_opsgenie.vendor.config import NATIVE

DEFAULT_COMMAND = "/opt/alerta-opsgenie/bin/alerta-opsgenie"
"""Where an administrator would put this package's environment."""

_UNIT = """\
# The native connector, in the place of OEC or JEC. Stop and disable those first: each message goes to one of them.
#
#   useradd --system --home-dir {state} --shell /usr/sbin/nologin {user}
#   install -d -o root -g {group} -m 0750 {directory}
#   install -o root -g {group} -m 0640 config.json {directory}/config.json
#   systemctl daemon-reload && systemctl enable --now {user}
#
# Alerta's API key: a line ALERTA_API_KEY=... in {directory}/environment (mode 0640), or --alertaApiKeyFile in
# the configuration's globalArgs.

[Unit]
Description=Alerta for Opsgenie and Jira Service Management: people's actions, from the queue to Alerta
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command} run --config {directory}/config.json
ExecReload=/bin/kill -HUP $MAINPID
EnvironmentFile=-{directory}/environment
Environment=ALERTA_OPSGENIE_SPOOL_DIR={spool}
User={user}
Group={group}
{state_lines}

# It ends within 10 seconds; what it has in hand is finished or given back by then.
TimeoutStopSec=15
KillSignal=SIGTERM
Restart=always
RestartSec=2

# Fed while every part gets on: a process that stands still is started anew.
WatchdogSec=60
TimeoutStartSec=60

# It needs the network, its configuration and its own directory, and nothing else. A connector that also starts scripts
# of the team's own may need some of these taken back (systemctl edit {user}).
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
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


def render_unit(layout: Layout, command: str = DEFAULT_COMMAND) -> str:
    """Write the unit's text for a layout; `command` is the whole path of `alerta-opsgenie`."""
    return _UNIT.format(
        command=command,
        directory=layout.config.rpartition("/")[0],
        user=layout.user,
        group=layout.group,
        spool=layout.spool,
        state=layout.home,
        state_lines=_state_lines(layout.home),
    )


def _state_lines(state: str) -> str:
    """Let the service write its state: systemd makes directories below /var/lib alone (systemd.exec(5))."""
    inside = state.removeprefix("/var/lib/")
    return f"ReadWritePaths={state}" if inside == state else f"StateDirectory={inside}\nStateDirectoryMode=0700"


if __name__ == "__main__":
    sys.stdout.write(render_unit(layout_for(NATIVE)))
