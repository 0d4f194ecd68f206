"""The private certificate authority of the TLS tests."""

from pathlib import Path

import pytest

from tests.support.bad_server import PrivateCa


@pytest.fixture
def ca(tmp_path: Path) -> PrivateCa:
    return PrivateCa(tmp_path)
