"""Kept for doctor until it imports `vendor.as_user` itself."""

from alerta_opsgenie.vendor.as_user import CannotBecomeError, may_become, run_as

__all__ = ["CannotBecomeError", "may_become", "run_as"]
