"""What a mapping gives our executor."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.setup.access import Access, our_mappings, read_access
from alerta_opsgenie.vendor.config import ActionMapping, EdgeConfig


def config(**fields: object) -> EdgeConfig:
    mapping = ActionMapping("Close", "/x/oecAlertaExecutor.py", env=("ALERTA_API_KEY=of-the-mapping",))
    other = ActionMapping("Create", "/x/other.sh")
    return EdgeConfig("oec", Secret("k"), "https://x", {"Create": other, "Close": mapping}, **fields)  # type: ignore[arg-type]


def access(*, mapped: bool = False, **fields: object) -> Access:
    found = config(**fields)
    return read_access(found, our_mappings(found)[0] if mapped else None, {})


def test_a_key_in_the_arguments_wins_over_the_environment_and_is_marked() -> None:
    found = access(mapped=True, global_args=("--alertaApiKey", "seen-by-all"))
    assert (found.read_key()[0].reveal(), found.key_in_arguments) == ("seen-by-all", True)
    found = access(mapped=True)
    assert (found.read_key()[0].reveal(), found.key_in_arguments) == ("of-the-mapping", False)


@pytest.mark.parametrize(("text", "why"), [("key\n", ""), (" \n", "is empty"), ("größer", "does not hold a key")])
def test_a_key_file_is_read_or_reported_with_its_path(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "alerta.key"
    path.write_text(text)
    key, said = access(global_args=("--alertaApiKeyFile", str(path))).read_key()
    assert (bool(key), said) == (not why, f"{path} {why}" if why else "")
