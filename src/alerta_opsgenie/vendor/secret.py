"""Kept for its importers: the class is in `core.secret`."""

from alerta_opsgenie.core.secret import Secret

__all__ = ["Secret"]
