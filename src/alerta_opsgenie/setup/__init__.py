"""Set up a connector on a host, and undo that: `alerta-opsgenie install` and `uninstall`."""
