"""Why nothing happens: `alerta-opsgenie doctor`.

Each check looks at one cause and gives findings with advice; none changes anything on the host. `checks` lists them in
the order in which an action passes what they look at, and `installation` gathers what they look at.
"""
