"""Files that root reads and writes in directories that other users can write to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerta_opsgenie.vendor.safe_files import LARGEST_FILE_BYTES, SafeFiles
from tests.support.installed import open_directory

USER = 4711
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do it as another user")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory of root's, with `own/` that belongs to an unprivileged user."""
    with open_directory() as made:
        (made / "own").mkdir()
        if os.geteuid() == 0:
            os.chown(made / "own", USER, USER)
        yield made


@pytest.fixture
def files(directory: Path) -> SafeFiles:
    return SafeFiles(str(directory), lambda uid: uid)


def test_a_file_is_written_whole_with_its_mode(files: SafeFiles, directory: Path) -> None:
    files.write("/file", b"text\xff", 0o640)
    assert (files.read("/file"), (directory / "file").stat().st_mode & 0o7777) == (b"text\xff", 0o640)
    assert sorted(path.name for path in directory.iterdir()) == ["file", "own"]


@only_root
def test_root_writes_in_a_users_directory_as_that_user(files: SafeFiles, directory: Path) -> None:
    files.write("/own/file", b"", 0o600, (USER, USER))
    files.make_directory("/own/below", 0o700, (USER, USER))
    assert {path.stat().st_uid for path in (directory / "own").iterdir()} == {USER}


@pytest.mark.parametrize("work", ["read", "write", "make_directory", "names", "remove_tree", "remove", "look"])
def test_no_link_in_a_path_is_followed(files: SafeFiles, directory: Path, work: str, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below/file").write_text("untouched")
    (directory / "link").symlink_to(tmp_path)
    arguments = {"write": (b"", 0o600), "make_directory": (0o700,)}.get(work, ())
    path = {"names": "/link/below", "remove_tree": "/link/below"}.get(work, "/link/below/file")
    with pytest.raises(OSError, match="symbolic link"):
        getattr(files, work)(path, *arguments)
    assert (tmp_path / "below/file").read_text() == "untouched"


def test_a_link_instead_of_a_file_is_replaced_and_never_read(
    files: SafeFiles, directory: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    for name in ("file", ".file.alerta-opsgenie-new"):
        (directory / name).symlink_to(victim)
    with pytest.raises(OSError, match=r"[Ss]ymbolic"):
        files.read("/file")
    files.write("/file", b"text", 0o600)
    assert (victim.read_text(), files.read("/file")) == ("untouched", b"text")


def test_remove_tree_removes_links_and_not_their_targets(
    files: SafeFiles, directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (directory / "own/a/b").mkdir(parents=True)
    (directory / "own/link").symlink_to(tmp_path)
    (directory / "own/a/file").touch()
    if os.geteuid() == 0:
        for path in (directory / "own").rglob("*"):
            os.chown(path, USER, USER, follow_symlinks=False)
    files.remove_tree("/own")
    assert ((directory / "own").exists(), (tmp_path / "file").exists()) == (False, True)


@only_root
def test_nothing_is_written_as_root_where_others_can_rename(files: SafeFiles, directory: Path) -> None:
    directory.chmod(0o777)
    with pytest.raises(OSError, match="others can write"):
        files.write("/file", b"", 0o600)


@only_root
@pytest.mark.parametrize(
    ("path", "mode", "writer"), [("/file", 0o644, 0), ("/file", 0o646, 65534), ("/own/x", 0o644, USER)]
)
def test_find_writer_returns_who_can_change_it(
    files: SafeFiles, directory: Path, path: str, mode: int, writer: int
) -> None:
    target = directory / path.lstrip("/")
    target.touch()
    target.chmod(mode)
    assert files.find_writer(path) == writer


def test_a_pipe_and_a_too_large_file_are_not_read(files: SafeFiles, directory: Path) -> None:
    os.mkfifo(directory / "pipe")
    with pytest.raises(OSError, match="not a plain file"):
        files.read("/pipe")
    with (directory / "large").open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)
    with pytest.raises(OSError, match="larger than"):
        files.read("/large")


@pytest.mark.parametrize("path", ["relative", "/", "/a/../b", "/./a"])
def test_a_path_that_is_not_absolute_is_refused(files: SafeFiles, path: str) -> None:
    with pytest.raises(OSError, match="not an absolute path"):
        files.read(path)


def test_a_full_directory_is_not_removed_and_rename_replaces_no_file(files: SafeFiles, directory: Path) -> None:
    (directory / "file").touch()
    (directory / "full").mkdir()
    (directory / "full/file").touch()
    assert not files.remove_directory("/full")
    assert files.remove_directory("/never-there")
    with pytest.raises(FileExistsError):
        files.rename("/file", "/full")


@only_root
def test_where_others_can_rename_root_reads_as_nobody(files: SafeFiles, directory: Path) -> None:
    (directory / "shared").mkdir()
    (directory / "shared").chmod(0o777)
    (directory / "shared/secret").write_text("root's")
    (directory / "shared/secret").chmod(0o600)
    with pytest.raises(PermissionError):
        files.read("/shared/secret")


@only_root
def test_root_reads_in_a_users_directory_only_what_that_user_may_read(files: SafeFiles, directory: Path) -> None:
    (directory / "own/secret").write_text("root's")
    (directory / "own/secret").chmod(0o600)
    with pytest.raises(PermissionError):
        files.read("/own/secret")


@only_root
def test_a_file_can_be_read_with_another_users_rights(files: SafeFiles, directory: Path) -> None:
    (directory / "secret").write_text("root's")
    (directory / "secret").chmod(0o600)
    assert files.read("/secret") == b"root's"
    with pytest.raises(PermissionError):
        files.read("/secret", USER)


@only_root
def test_nothing_for_one_user_is_written_into_anothers_directory(files: SafeFiles) -> None:
    with pytest.raises(OSError, match=f"belongs to user {USER}"):
        files.write("/own/file", b"secret", 0o600, (USER + 1, USER + 1))
