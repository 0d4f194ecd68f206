"""The connector whose page is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from tests.cli.state_directory import StateDirectory
from tests.connector.rig import Connector, Rig

TOKEN = "0123456789abcdef0123456789abcdef"


@dataclass
class Site:
    """A connector whose page is at `url`; `kept` puts actions into its journal."""

    rig: Rig
    connector: Connector
    alerta_url: str
    kept: StateDirectory

    @property
    def url(self) -> str:
        return self.connector.base_url + "/"

    def dead(self, **fields: str) -> str:
        """Keep a dead letter; gives its alert."""
        return self.kept.keep("Close", dead=True, age_seconds=0.0, url=self.alerta_url, **fields).alert

    def is_dead(self, alert: str) -> bool:
        return alert in [action.alert for action in self.rig.rows("dead")]
