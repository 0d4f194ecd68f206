"""Why nothing happens: `alerta-opsgenie doctor`.

Each check looks at one cause, gives findings (ok, warn or fail, with the mend), and changes nothing on the host. All of
them stand in one table (`table`); what they look at is gathered once (`subject`).
"""
