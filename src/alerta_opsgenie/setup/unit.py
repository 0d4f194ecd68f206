"""The systemd units: the native connector's, and the agent's for OEC and JEC. `deploy/systemd` has examples of both.

`python -m alerta_opsgenie.setup.unit native` (or `oec`) writes the unit of the default layout to standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path

from alerta_opsgenie.setup.layout import Layout, layout_for
from alerta_opsgenie.vendor.config import NATIVE

DEFAULT_COMMAND = "/opt/alerta-opsgenie/bin/alerta-opsgenie"
"""The command in an environment at the recommended path."""


def render_unit(layout: Layout, command: str = DEFAULT_COMMAND) -> str:
    """Return the unit of a layout; `command` is the absolute path of `alerta-opsgenie`."""
    # systemd makes directories below /var/lib by itself (systemd.exec(5)).
    inside = layout.home.removeprefix("/var/lib/")
    state = f"StateDirectory={inside}\nStateDirectoryMode=0700"
    state_lines = f"ReadWritePaths={layout.home}" if inside == layout.home else state
    directory = layout.config.rpartition("/")[0]
    names = ("native" if layout.edge == NATIVE else "agent", "hardening")
    text = "".join(Path(__file__).with_name(f"{name}.service").read_text(encoding="utf-8") for name in names)
    return text.format(
        **vars(layout), command=command, directory=directory, state_lines=state_lines, unit_name=layout.unit_name
    )


if __name__ == "__main__":
    sys.stdout.write(render_unit(layout_for(sys.argv[1])))
