"""Calls to Alerta and to the alert API of Opsgenie and JSM, each with a deadline."""
