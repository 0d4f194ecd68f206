"""Setting a connector up on a host, and taking that away again: `alerta-opsgenie install` and `uninstall`."""
