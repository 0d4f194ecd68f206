"""A real Alerta for tests and demo: `alerta-server` under gunicorn, on a throwaway PostgreSQL of its own.

Everything lies in one directory and ends with the process that made it, even when that is killed (see `Guard`).
The port stays the same over `stop`, `start`, `restart` and `kill`, and so do the alerts, keys and users.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.ports import LOOPBACK, Port, Service
from lab.postgres import Guard, Postgres
from lab.versions import interpreter, under_test

ADMIN_USER = "admin@example.com"
MOCK = "mongodb://mongomock/alerta"
"""Stands for MongoDB in the memory of a single process (`workers=1`): the package mongomock."""

# Read and write alerts, nothing else. `write:alerts` includes `read:alerts`, and also deleting alerts unless
# Alerta's DELETE_SCOPES holds `delete:alerts` (alerta/models/permission.py, is_in_scope).
BRIDGE_SCOPES = ("write:alerts",)

START_SECONDS = 180.0  # a busy machine takes its time
STOP_SECONDS = 30.0
REQUEST_SECONDS = 60.0

# Kept out of the processes' environment are Alerta's own variables, which would win over its settings file.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR")

# Served at the root, as `alertad run` does, and below /api, as the vendor's container image does behind nginx.
_WSGI = """\
from alerta import create_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware

alerta = create_app()
application = DispatcherMiddleware(alerta, {"/api": alerta})
"""

# gthread, because gunicorn's sync workers close each connection after its answer and let one idle connection
# block a whole worker; kept-alive clients are what the connector and the plugin's tests are about.
# timeout 0: after `thaw` a master with a timeout takes its workers, frozen as long as itself, for hung and kills them.
# preload_app: each process that loads Alerta runs its schema.sql, whose locks end in a deadlock with the requests that
# another worker already serves (a 500, or "Worker failed to boot" and the end of gunicorn). Loaded once, before
# anything is served, as under the vendor's uWSGI, it cannot.
# The control socket would lie in the home directory, shared by every gunicorn of the user.
_GUNICORN = """\
worker_class = "gthread"
workers = {workers}
threads = 4
keepalive = 75
timeout = 0
preload_app = {preload}
control_socket_disable = True
errorlog = "-"
"""

# As the vendor's container images with uWSGI have it; `threads` is empty or a line.
_UWSGI = """\
[uwsgi]
module = wsgi
master = true
processes = {workers}
{threads}
need-app = true
die-on-term = true
disable-logging = true
"""
SERVERS = ("gunicorn", "uwsgi", "uwsgi without threads")


class AlertaError(RuntimeError):
    """Alerta does not run, or refused what its administrator asked; the message says why and what to do."""


class AlertaServer(Service):
    """Alerta on 127.0.0.1, with authentication required, an administrator and API keys.

    `directory`: where everything is put; it must be empty and short (a Unix socket lies in it). Without it a temporary
    one is made and removed at the end. `port`: 0 takes a free one. `workers`: gunicorn's processes.
    `preload`: load Alerta once, before gunicorn forks, as the vendor's uWSGI does; False loads it in each worker.
    `settings`: written to alertad.conf at each start, so what is changed in `.settings` holds after `restart`.
    `env`: added to the processes' environment. `python`: the interpreter whose environment Alerta is installed in
    (default: that of the version under test, see `lab.versions`). `server`: one of `SERVERS`, of that environment too.
    `postgres`: a database server to share (with a database of its own) instead of starting one. `mongodb`: the URL of
    a MongoDB to use instead, or `MOCK`, which is one in the memory of Alerta's one process.

    Also a context manager: starts on entering, `close`s on leaving.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each thing that a test may want to have differently
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        workers: int = 2,
        preload: bool = True,
        settings: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        python: str = "",
        server: str = "gunicorn",
        postgres: Postgres | None = None,
        mongodb: str = "",
    ) -> None:
        self.settings: dict[str, object] = dict(settings or {})
        self.env: dict[str, str] = dict(env or {})
        self.workers = workers
        self.preload = preload
        self._python = python or interpreter(under_test())
        self._server = server
        self.admin_user = ADMIN_USER
        self.admin_key = secrets.token_urlsafe(30)
        self._port = Port(port)
        self._own_postgres = postgres is None
        self._mongodb = mongodb
        self._postgres = postgres
        self._given_directory = directory
        self._directory: Path | None = None
        self._guard: Guard | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._secret = secrets.token_urlsafe(30)
        self.database = f"alerta_{secrets.token_hex(4)}"

    @property
    def is_on_mongodb(self) -> bool:
        """Whether it keeps its alerts in MongoDB, or in what stands for it."""
        return bool(self._mongodb)

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        return self._port.number

    @property
    def url(self) -> str:
        """Alerta's API at the root of the server, without a slash at its end."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def api_url(self) -> str:
        """The same API below /api, as the vendor's container image serves it."""
        return f"{self.url}/api"

    @property
    def directory(self) -> Path:
        """Where configuration, logs and data lie. Raises AlertaError before the first start and after `close`."""
        if self._directory is None:
            raise AlertaError("this Alerta has no directory: it was never started, or is closed")
        return self._directory

    @property
    def log_path(self) -> Path:
        """What Alerta and gunicorn write: errors, tracebacks, the plugins' log lines."""
        return self.directory / "alerta.log"

    @property
    def postgres(self) -> Postgres:
        """The database server below, to share it or to take it away. Raises AlertaError before the first start."""
        if self._postgres is None:
            raise AlertaError("this Alerta has no database yet: call start() first")
        return self._postgres

    @property
    def pid(self) -> int:
        """The gunicorn master's process id, its workers' process group. Raises AlertaError when not running."""
        if self._process is None:
            raise AlertaError("Alerta is not running: call start() first")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended since (a frozen server runs)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start Alerta, the database too on the first call, and return when it answers. No effect while it runs.

        Raises AlertaError or PostgresError with the end of the log when it does not come up in START_SECONDS.
        """
        if self.running:
            return
        first, self._process = self._directory is None, None
        try:
            self._prepare()
            self._spawn()
            self._await_answer()
        except BaseException:
            if first:
                self.close()
            else:
                self._end(signal.SIGQUIT)
            raise

    def stop(self) -> None:
        """End Alerta's processes as an administrator would (SIGTERM); the database stays, and `start` brings it back.

        New connections are refused from here on. A frozen server is thawed for it.
        """
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End all of Alerta's processes at once (SIGKILL), as a crash of the host would; the database stays."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """`stop`, then `start` on the same port, with `.settings` and `.env` as they are now."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the processes in their tracks (SIGSTOP): connections are accepted by the kernel, nothing answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let frozen processes go on; they work off what has been sent meanwhile."""
        os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End everything at once, the database too unless it is shared; remove the directory if it was made here."""
        # Nobody will see its data again, and a graceful stop takes a second.
        self._end(signal.SIGKILL)
        self._port.close()
        if self._own_postgres and self._postgres is not None:
            self._postgres.stop()
            self._postgres = None
        if self._guard is not None:
            self._guard.close()
        self._guard = self._directory = None

    def create_key(
        self,
        user: str,
        scopes: Sequence[str] = BRIDGE_SCOPES,
        customer: str | None = None,
        key: str | None = None,
    ) -> str:
        """Make an API key whose actions Alerta's history shows as `user`'s, and return it.

        `scopes` are Alerta's, such as `read:alerts` or `admin`; `customer` ties the key to one customer's alerts. `key`
        is the key itself, where it has to be known before Alerta starts.
        """
        wanted = {"user": user, "scopes": list(scopes), "customer": customer, "text": "alerta-opsgenie", "key": key}
        return str(self.call("POST", "/key", wanted)["key"])

    def housekeeping(self) -> dict[str, Any]:
        """Expire, unshelve and unack what is due, as Alerta's cron job does.

        Returns Alerta's answer: lists of alert ids under `expired`, `unshelve` and `unack`, and their `count`.
        """
        return self.call("POST", "/management/housekeeping")

    def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, key: str | None = None
    ) -> dict[str, Any]:
        """Send one API request with `key` (default: the administrator's) and return the JSON of the answer.

        Raises AlertaError for a status of 400 and above and where the connection fails.
        """
        request = urllib.request.Request(  # noqa: S310  the URL is our own
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Key {key or self.admin_key}",
                **({} if body is None else {"Content-Type": "application/json"}),
            },
            method=method,
        )
        try:
            with _opener().open(request, timeout=REQUEST_SECONDS) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read(1000).decode(errors="replace").strip()
            raise AlertaError(f"{method} {path}: Alerta answered {error.code}: {detail}") from error
        except OSError as error:
            raise AlertaError(f"{method} {path}: no answer from Alerta: {error}; see {self.log_path}") from error

    def _prepare(self) -> None:
        first = self._directory is None
        if self._guard is None:
            self._guard = Guard()
            self._directory = self._make_directory(self._guard)
        if self._mongodb:
            self.settings["DATABASE_NAME"] = self.database
            self._write_configuration(self._mongodb)
            if self._mongodb != MOCK:
                self._create_admin_key()
            return
        if self._postgres is None:
            self._postgres = Postgres(self.directory, self._guard)
        self._postgres.start()
        uri = self._postgres.create_database(self.database)
        if first:
            self._create_schema(self._postgres)
        self._write_configuration(uri)

    def _make_directory(self, guard: Guard) -> Path:
        if self._given_directory is not None:
            self._given_directory.mkdir(parents=True, exist_ok=True)
            return self._given_directory
        directory = Path(tempfile.mkdtemp(prefix="alerta-"))
        guard.remove(directory)
        # Under root PostgreSQL runs as another user, who has to get through to its own directory inside.
        directory.chmod(0o711)
        return directory

    def _create_admin_key(self) -> None:
        command = [str(Path(self._python).parent / "alertad"), "key", "--username", self.admin_user]
        subprocess.run([*command, "--key", self.admin_key], env=self._environment(), check=True, capture_output=True)

    def _create_schema(self, postgres: Postgres) -> None:
        """Create tables and the administrator's key here: `alertad key` would cost another second."""
        key = (secrets.token_hex(16), self.admin_key, self.admin_user, ["admin", "write", "read"])
        with postgres.connection(self.database) as connection, connection.cursor() as cursor:
            cursor.execute(_schema_path(self._python).read_text())
            cursor.execute(
                'INSERT INTO keys (id, key, "user", scopes, text, expire_time, count)'
                " VALUES (%s, %s, %s, %s, '', now() + interval '1 year', 0)"
                " ON CONFLICT DO NOTHING",
                key,
            )

    def _write_configuration(self, database_uri: str) -> None:
        settings = {
            "AUTH_REQUIRED": True,
            "ADMIN_USERS": [self.admin_user],
            "SECRET_KEY": self._secret,
            "DATABASE_URL": database_uri,
            **self.settings,
        }
        lines = [f"{name} = {value!r}\n" for name, value in settings.items()]
        _write_private(self.directory / "alertad.conf", "".join(lines))
        _write_private(self.directory / "wsgi.py", _WSGI)
        gunicorn = _GUNICORN.format(workers=self.workers, preload=self.preload)
        _write_private(self.directory / "gunicorn.conf.py", gunicorn)
        threads = "" if self._server == "uwsgi without threads" else "threads = 4"
        _write_private(self.directory / "uwsgi.ini", _UWSGI.format(workers=self.workers, threads=threads))

    def _command(self, listener: socket.socket) -> list[str]:
        place = f"fd://{listener.fileno()}"
        if self._server == "gunicorn":
            return [self._python, "-m", "gunicorn", "--bind", place, "wsgi:application"]
        return [str(Path(self._python).parent / "uwsgi"), "--ini", "uwsgi.ini", "--http-socket", place]

    def _spawn(self) -> None:
        environment = self._environment()
        with self._port.listen() as listener, self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(listener),
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        if self._guard is not None:
            self._guard.watch(self._process.pid, signal.SIGQUIT)

    def _environment(self) -> dict[str, str]:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment.update(
            HOME=str(self.directory),
            TMPDIR=str(self.directory),
            ALERTA_SVR_CONF_FILE=str(self.directory / "alertad.conf"),
        )
        if self._mongodb == MOCK:
            environment.update(
                PYTHONPATH=str(Path(__file__).parent / "mongomock_site"),
                ALERTA_TEST_ADMIN=self.admin_user,
                ALERTA_TEST_ADMIN_KEY=self.admin_key,
                ALERTA_TEST_DATABASE=self.database,
            )
        return {**environment, **self.env}

    def _await_answer(self) -> None:
        # One request is enough: it waits in the socket's queue until a worker takes it, or fails when gunicorn ends.
        try:
            with _opener().open(f"{self.url}/management/gtg", timeout=START_SECONDS) as answer:
                answer.read()
        except OSError as error:
            lines = self.log_path.read_text(errors="replace").splitlines()[-15:]
            raise AlertaError("Alerta did not start; the end of its log:\n" + "\n".join(lines)) from error

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
                os.killpg(process.pid, signal.SIGCONT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._guard is not None:
            self._guard.forget(process.pid)
        self._port.hold()


def _opener() -> urllib.request.OpenerDirector:
    # Never by way of the environment's HTTP_PROXY: this server is on loopback.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _schema_path(python: str) -> Path:
    found = sorted(Path(python).parents[1].glob("lib/python3*/site-packages/alerta/sql/schema.sql"))
    if not found:
        raise AlertaError(f"alerta-server is missing beside {python}: pip install 'alerta-opsgenie[lab]'")
    return found[-1]


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
