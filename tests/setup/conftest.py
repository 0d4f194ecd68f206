"""What the tests of install and uninstall share: an image below a directory, and a host of the test's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.setup.connector_config import Existing, make_config, read_existing
from alerta_opsgenie.setup.host import Host
from alerta_opsgenie.setup.layout import Layout, layout_for
from alerta_opsgenie.setup.plan import Change, Contents, apply_plan, make_plan
from alerta_opsgenie.setup.record import Record
from alerta_opsgenie.setup.removal import Removal
from alerta_opsgenie.setup.unit import render_unit
from alerta_opsgenie.vendor.render import RenderOptions
from tests.support.own_host import may_have_own_host, own_host

NOW = datetime(2026, 11, 3, 14, 5, 6, tzinfo=timezone.utc)
API_KEY = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
ALERTA_KEY = "an-alerta-key-0123456789"


@dataclass
class Image:
    """A staged installation of one connector."""

    host: Host
    layout: Layout

    @property
    def root(self) -> Path:
        return Path(self.host.root)

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def contents(self, executor: bytes = b"#!/usr/bin/env python3\nthe executor\n", **changes: Any) -> Contents:
        existing = read_existing(self.host, self.layout)
        dialect = "oec" if self.layout.edge == "native" else self.layout.edge
        key = changes.pop("alerta_key", existing.alerta_key.reveal() or ALERTA_KEY)
        values = {
            "api_key": Secret(existing.api_key.reveal() or API_KEY),
            "alerta_url": existing.alerta_url or "https://alerta.example.com/api",
            "base_url": "",
        }
        wanted = RenderOptions(dialect, **{**values, **changes})
        config = make_config(self.layout, wanted, existing if existing.document else Existing())
        return Contents(executor, config, Secret(key), render_unit(self.layout))

    def plan(self, *, now: datetime = NOW, **changes: Any) -> list[Change]:
        return make_plan(self.host, self.layout, self.record(), self.contents(**changes), now=now)

    def install(self, *, now: datetime = NOW, **changes: Any) -> list[str]:
        plan = self.plan(now=now, **changes)
        done: list[str] = []
        apply_plan(self.layout, self.record(), plan, done.append)
        return done

    def uninstall(self, *, purge: bool = False) -> list[str]:
        endings: list[str] = []
        record = self.record()
        with record.opened():
            Removal(self.host, self.layout, record, purge=purge).run(endings.append)
        return endings

    def record(self) -> Record:
        return Record(self.host, self.layout.edge, self.layout.user)


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A directory in memory where there is one, for tests that write to the disk often; every user may enter it."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def image(quick_path: Path) -> Image:
    """An empty image for OEC."""
    return make_image(quick_path, "oec")


def make_image(directory: Path, edge: str) -> Image:
    """An empty image for a connector, whose user has the numbers 990 and 990 there."""
    root = directory / "image"
    (root / "var/lib").mkdir(parents=True)
    return Image(Host(str(root), (990, 990)), layout_for(edge))


@pytest.fixture
def own_root() -> Iterator[Path]:
    """This host, with an /etc, a /home and a /var of the test's own."""
    if not may_have_own_host():
        pytest.skip("only root can make a mount namespace")
    with own_host() as directory:
        yield directory
