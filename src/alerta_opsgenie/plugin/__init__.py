"""What runs inside the Alerta server: plugin, webhook, attribution (standard library alone)."""

import logging

LOG = logging.getLogger("alerta.plugins.opsgenie")
