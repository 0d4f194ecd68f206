"""The checks of `alerta-opsgenie doctor`: every cause of "nothing happens", each with advice."""
