"""How much a test does: a little in `make test`, a lot in `make test-long`."""

from __future__ import annotations

import os

import pytest

LONG = bool(os.environ.get("ALERTA_OPSGENIE_LONG"))

grows = pytest.mark.grows
"""For a test whose `amount` differs: it is in both tiers."""


def amount(usual: int, long: int) -> int:
    """Choose how many rounds, examples or kills a test makes: `usual` in `make test`, `long` in `make test-long`."""
    return long if LONG else usual
