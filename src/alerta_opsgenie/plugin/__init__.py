"""What runs inside the Alerta server: plugin, webhook, attribution (standard library alone)."""
