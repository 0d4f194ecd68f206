"""How an executor sends an action to the agent, over a Unix socket in the state directory, and waits for the outcome.

In the usual case the executor runs this module and executor/start.py: they import only what Python has loaded already.
A frame is eight hexadecimal digits, which are the length of the rest, and fields with a NUL byte between them:

    executor -> agent   protocol, version, what, milliseconds, working directory, count, arguments..., NAME=value...
                        (milliseconds: how long the executor waits; count: number of arguments)
    agent -> executor   exit code, successor, outcome, reason, detail, kept, output, errors, pipe, text for the pipe

Each side checks the user of the other, and the client the directory's owner and mode, before it sends anything.
"""

import _socket
import os
import sys
import time

if False:  # for the type checker alone: `typing` costs 2 ms
    from typing import Sequence

PROTOCOL = b"1"
RUN, STATUS, WAKE, RETIRE = b"run", b"status", b"wake", b"retire"
SOCKET_NAME = "agent.sock"
SUCCESSOR = 1  # index of the response field that is `1` if the caller's version is newer

LARGEST_FRAME_BYTES = 4 * 1024 * 1024
"""A message has up to 1 MiB, and an argument of a process 128 KiB (Linux, MAX_ARG_STRLEN)."""

DEFAULT_LIMIT_SECONDS = 20.0
LONGEST_LIMIT_SECONDS = 3600.0

VARIABLES = (
    "ALERTA_API_URL", "ALERTA_API_KEY", "ALERTA_API_KEY_FILE", "ALERTA_CA_FILE", "ALERTA_OPSGENIE_SPOOL_DIR",
    "XDG_STATE_HOME", "HOME", "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY",
)  # fmt: skip
"""The environment variables that an action may depend on; no others are sent."""

_SO_PEERCRED = 17  # socket(7), Linux
_OTHERS_MAY_WRITE = 0o022
_KIND, _PIPE = 0o170000, 0o010000  # inode(7)


class NoAgentError(Exception):
    """No agent could be reached, or it ended before it answered."""


class UnansweredError(NoAgentError):
    """The agent has received the action and did not respond in time."""


class UnsafeError(NoAgentError):
    """The directory or the server belongs to another user or is open to others; the text says which."""


def spelling(name: str) -> str:
    """Return an argument's name without dashes, underscores and capitals: the connectors write `-payload`."""
    return name.replace("-", "").replace("_", "").lower()


def last_value(arguments: "list[str]", name: str) -> str:
    """Return the last value of a long option in any of its spellings; empty where it is not given."""
    wanted = spelling(name)
    found = ""
    for place, argument in enumerate(arguments):
        if argument.startswith("-") and spelling(argument.partition("=")[0]) == wanted:
            _, equals, value = argument.partition("=")
            following = arguments[place + 1] if place + 1 < len(arguments) else ""
            found = value if equals else following
    return found


def state_directory(arguments: "list[str]", environment: "dict[str, str]") -> str:
    """Return the state directory: from the arguments or the environment, else in the home of the connector's user."""
    given = last_value(arguments, "spoolDir") or environment.get("ALERTA_OPSGENIE_SPOOL_DIR", "")
    if given:
        return os.path.abspath(given)
    state = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # a relative path is ignored (XDG Base Directory Specification)
        home = environment.get("HOME") or os.path.expanduser("~")
        if not os.path.isabs(home):  # a container's numeric user has no home
            return "/var/tmp/alerta-opsgenie-%d" % os.getuid()
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "alerta-opsgenie")


def limit_seconds(arguments: "list[str]") -> float:
    """Return the time limit. The agent reports a value that cannot be read."""
    try:
        seconds = float(last_value(arguments, "timeLimit") or DEFAULT_LIMIT_SECONDS)
    except ValueError:
        return DEFAULT_LIMIT_SECONDS
    return seconds if 0 < seconds <= LONGEST_LIMIT_SECONDS else DEFAULT_LIMIT_SECONDS


def reserved_seconds(limit: float) -> float:
    """Return the part of a time limit that is reserved for keeping an action whose outcome is late."""
    return min(2.0, limit / 5)


def frame(fields: "list[bytes]") -> bytes:
    """Return a frame of fields, none of which has a NUL byte."""
    body = b"\0".join(fields)
    return b"%08x" % len(body) + body


def request(
    what: bytes, arguments: "list[str]", environment: "dict[str, str]", version: str, seconds: float
) -> bytes:
    """Return the frame of a request to the agent; `seconds` is how long the caller waits."""
    fields = [PROTOCOL, version.encode("ascii"), what, b"%d" % (seconds * 1000), b"%d" % len(arguments)]
    try:
        fields.insert(4, os.fsencode(os.getcwd()))
    except OSError:  # it has been removed
        fields.insert(4, b"/")
    variables = [name + "=" + environment[name] for name in VARIABLES if name in environment]
    return frame(fields + [os.fsencode(text) for text in arguments + variables])


def read_frame(connection: "_socket.socket") -> "list[bytes]":
    """Read a frame and return its fields. Raises NoAgentError where it is incomplete or not a frame."""
    try:
        length = int(_read(connection, 8), 16)
    except ValueError:
        raise NoAgentError("what came is no frame")
    if length > LARGEST_FRAME_BYTES:
        raise NoAgentError("the frame is larger than %d bytes" % LARGEST_FRAME_BYTES)
    return _read(connection, length).split(b"\0")


def _read(connection: "_socket.socket", count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(min(count, 65536))
        if not part:
            raise NoAgentError("the other side ended before it answered")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def open_directory(path: str) -> int:
    """Open the state directory. Raises UnsafeError if another user owns it or may write in it, OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE:
        os.close(descriptor)
        who = "is open to other users" if found.st_uid == os.geteuid() else "belongs to user %d" % found.st_uid
        raise UnsafeError("the state directory %s %s" % (path, who))
    return descriptor


def socket_address(descriptor: int) -> str:
    """Return the socket's address below the directory's descriptor: a socket address has at most 107 bytes."""
    return "/proc/self/fd/%d/%s" % (descriptor, SOCKET_NAME)


def peer_uid(connection: "_socket.socket") -> int:
    """Return the uid of the other process, from the kernel (unix(7), SO_PEERCRED: pid, uid, gid)."""
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder)


def connect(path: str, seconds: float) -> "_socket.socket":
    """Connect to the agent of a state directory. Raises NoAgentError."""
    try:
        descriptor = open_directory(path)
    except OSError as error:
        raise NoAgentError("%s: %s" % (path, error.strerror))
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(socket_address(descriptor))
        server = peer_uid(connection)
    except OSError as error:
        connection.close()
        raise NoAgentError("no agent answers in %s: %s" % (path, error.strerror or error))
    finally:
        os.close(descriptor)
    if server not in (os.geteuid(), 0):
        connection.close()
        raise UnsafeError("the agent in %s belongs to user %d" % (path, server))
    return connection


def exchange_frames(path: str, data: bytes, seconds: float) -> "list[bytes]":
    """Send one frame to the agent and return the fields of its response. Raises NoAgentError."""
    connection = connect(path, seconds)
    try:
        connection.sendall(data)
        return read_frame(connection)
    except _socket.timeout:
        raise UnansweredError("the agent in %s did not answer in time" % path)
    except OSError as error:
        raise NoAgentError("the agent in %s did not answer: %s" % (path, error.strerror or error))
    finally:
        connection.close()


# -- Starting an agent

PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""The environment variables that a started agent inherits: to start at all, and to trust Alerta's certificate."""

START_SECONDS = 5.0  # How long to wait for a started agent; usually it takes less than a tenth of a second

_LOOK_SECONDS = 0.002


def call_agent(
    path: str, call: "tuple[bytes, list[str], dict[str, str], str]", end: float, program: "Sequence[str]", idle: str
) -> "list[bytes]":
    """Send a call (what, arguments, environment, version) to the agent, and return the fields of its response by `end`.

    `program` starts an agent where none runs; it ends after `idle` seconds without work. Raises NoAgentError.
    """
    start_ends = min(end, time.monotonic() + START_SECONDS)
    started = 0
    while True:
        seconds = max(0.1, end - time.monotonic())
        try:
            return exchange_frames(path, request(*call, seconds), seconds)
        except (UnsafeError, UnansweredError):
            raise
        except NoAgentError:
            if not program or time.monotonic() > start_ends:
                raise
        if not started:
            started = spawn(program, path, idle)
        elif _has_failed(started):
            raise NoAgentError("the agent that was started has ended at once")
        time.sleep(_LOOK_SECONDS)


def spawn(program: "Sequence[str]", path: str, idle: str, *flags: str) -> int:
    """Start an agent in a new session, with /dev/null as its standard streams. Return its pid. Raises NoAgentError."""
    arguments = [*program, "--agent", path, idle, *flags]
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment.setdefault("PATH", os.defpath)
    mask = os.umask(0o077)  # applies to the parent directories too
    try:
        os.makedirs(path, 0o700, exist_ok=True)
        null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
        return os.posix_spawn(program[0], arguments, environment, file_actions=null, setsid=True)
    except (OSError, NotImplementedError) as error:
        raise NoAgentError("no agent can be started: %s" % error)
    finally:
        os.umask(mask)


def _has_failed(process: int) -> bool:
    """Whether a started agent has failed. Exit code 0 means that another agent runs already."""
    try:
        found, status = os.waitpid(process, os.WNOHANG)
    except OSError:
        return False
    return bool(found) and status != 0


def write_all(number: int, data: bytes) -> None:
    """Write to a descriptor without Python's buffers; drop the rest where the reader has closed it."""
    try:
        while data:
            data = data[os.write(number, data):]
    except OSError:
        pass


def write_pipe(path: bytes, text: bytes) -> str:
    """Write a result into JEC's named pipe, without blocking. Return why it was not written, or an empty text.

    JEC passes the path also where it could not make the pipe, so anything but a pipe of our user or root is ignored.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(file)
            if found.st_mode & _KIND != _PIPE or found.st_uid not in (os.geteuid(), 0):
                return "JEC's pipe is no pipe of this user"
            os.write(file, text)
        finally:
            os.close(file)
    except OSError as error:
        return "JEC's pipe: %s" % error.strerror
    return ""


def print_response(fields: "list[bytes]", arguments: "list[str]") -> int:
    """Print the agent's response, and return the exit code. Raises ValueError where it is not a response."""
    code, _successor, _outcome, _reason, _detail, _kept, output, errors, pipe, text = fields[:10]
    exit_code = int(code)
    not_written = write_pipe(pipe, text) if pipe else ""
    if not_written and last_value(arguments, "logLevel").upper() in ("DEBUG", "TRACE"):
        output += b"DEBUG " + os.fsencode(not_written) + b"\n"
    write_all(1, output)
    write_all(2, errors)
    return exit_code
