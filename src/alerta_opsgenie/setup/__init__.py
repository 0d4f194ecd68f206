"""Setting a connector up on a host, and taking that away again: `alerta-opsgenie install` and `uninstall`.

A plan is a list of steps. Each says whether it is needed, and writes down what it is about to do before it does it, so
that an installation that was killed can be run again or undone (`record`).
"""
