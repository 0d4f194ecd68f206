"""A Debian of the test's own, made by mmdebstrap from Debian's archive. Nothing of it runs outside of its directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
PACKAGE = "alerta-opsgenie"

OF_THE_TESTS = ("systemd", "python3-venv", "python3-apt", "python-is-python3")
"""Packages for the tests, besides the dependencies of ours; the Ansible play needs the last three."""

IMAGES = "ALERTA_OPSGENIE_IMAGES"
"""This variable names a directory in which images are kept between runs."""

_SECONDS = 1800.0  # making an image downloads it; this tells an end from a hang
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
}  # fmt: skip
_ENTER = 'mount -t proc proc "$0/proc" && cd "$0/root" && exec chroot "$0" "$@"'


def may_make_one() -> bool:
    """Return whether this process is root and mmdebstrap is installed."""
    return os.geteuid() == 0 and shutil.which("mmdebstrap") is not None


def dependencies() -> list[str]:
    """Return the names of our package's dependencies."""
    control = (DEPLOY / "debian/control").read_text(encoding="utf-8")
    line = next(line for line in control.splitlines() if line.startswith("Depends: "))
    return [entry.split()[0] for entry in line.removeprefix("Depends: ").split(", ")]


def image(suite: str, directory: Path) -> Path:
    """Return an archive with a complete Debian and the dependencies of our package, without our package."""
    kept = Path(os.environ.get(IMAGES, directory)) / f"{suite}.tar"
    if not kept.exists():
        wanted = ",".join([*OF_THE_TESTS, *dependencies()])
        new = kept.with_suffix(".new.tar")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={wanted}", suite, str(new)],
            check=True,
            timeout=_SECONDS,
        )
        new.rename(kept)
    return kept


@dataclass(frozen=True)
class Debian:
    """One host, below `root`."""

    root: Path

    @classmethod
    def unpacked(cls, archive: Path, directory: Path) -> Debian:
        directory.mkdir()
        subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={directory}"], check=True)
        return cls(directory)

    def run(
        self,
        *command: str,
        network: bool = False,
        environment: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there as root, among processes of its own; `network`: it sees this host's."""
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
        return subprocess.run(
            [*alone, "sh", "-c", _ENTER, str(self.root), *command],
            env={**_ENVIRONMENT, **(environment or {})},
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def done(self, *command: str, network: bool = False, environment: dict[str, str] | None = None) -> str:
        """Run a command that has to succeed; return its output."""
        ended = self.run(*command, network=network, environment=environment)
        output = ended.stdout + ended.stderr
        assert ended.returncode == 0, f"{command}:\n{output}"
        return output

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file there."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def bring(self, file: Path) -> str:
        """Copy a file to /root there; return its path."""
        shutil.copy(file, self.root / "root")
        return f"/root/{file.name}"

    def fetch(self, *requirements: str) -> None:
        """Download with this host's pip what pip installs there without an index."""
        wheels = self.root / "wheels"
        wheels.mkdir()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), "--only-binary=:all:"]
        subprocess.run([*command, *requirements], check=True, capture_output=True, timeout=_SECONDS)
        self.put("/etc/pip.conf", "[global]\nno-index = true\nfind-links = /wheels\n")

    def find(self, *tops: str) -> dict[str, tuple[int, int, int]]:
        """Return mode, user and group of all files below some directories."""
        found: dict[str, tuple[int, int, int]] = {}
        for top in tops:
            for path in sorted((self.root / top.lstrip("/")).rglob("*")):
                status = path.lstat()
                found[f"/{path.relative_to(self.root)}"] = status.st_mode, status.st_uid, status.st_gid
        return found
