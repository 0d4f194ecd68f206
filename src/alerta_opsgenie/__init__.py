"""A two-way bridge between the Alerta alert console and Opsgenie / Jira Service Management."""

__version__ = "6.0.0"
