"""The socket in the state directory: one thread for each caller, which may be our own user or root."""

import contextlib
import os
import socket
import threading
import time
from typing import Optional, Tuple

from alerta_opsgenie.agent import handover, state
from alerta_opsgenie.agent.service import Service, read_call

MOST_CALLERS = 64
"""Callers served at once; others wait in the socket's queue. OEC starts 12 executors at once by default."""

_FRAME_SECONDS = 10.0
_ANSWER_SECONDS = 10.0
_LOOK_SECONDS = 1.0


class Server:
    """Serves one state directory, whose delivery lock this process holds."""

    def __init__(self, state_directory: str, service: Service) -> None:
        self._path = state_directory
        self._service = service
        self._room = threading.BoundedSemaphore(MOST_CALLERS)
        self._socket: Optional[socket.socket] = None
        self._name = os.path.join(state_directory, handover.SOCKET_NAME)
        self._place: Optional[Tuple[int, int]] = None
        self._directory = -1
        self._callers = 0
        self._mutex = threading.Lock()
        self.called_at = time.monotonic()

    @property
    def callers(self) -> int:
        """How many are being served."""
        return self._callers

    def start(self) -> None:
        """Listen. A socket that a killed process has left is replaced. Raises OSError, UnsafeError."""
        self._listen()
        threading.Thread(target=self._accept, name="agent-socket", daemon=True).start()

    def _listen(self) -> None:
        directory = handover.open_directory(self._path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(handover.SOCKET_NAME, dir_fd=directory)
            listener.bind(handover.socket_address(directory))
            listener.listen(128)
        except OSError:
            os.close(directory)
            raise
        finally:
            os.umask(mask)
        listener.settimeout(_LOOK_SECONDS)
        self._socket, self._directory, self._place = listener, directory, state.identity(self._name)

    def stop(self) -> None:
        """Take no more calls; those under way go on. Later callers start another agent."""
        listener, self._socket = self._socket, None
        if listener is None:
            return
        with contextlib.suppress(OSError):
            os.unlink(handover.SOCKET_NAME, dir_fd=self._directory)
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # ends `accept` in its thread
        listener.close()
        os.close(self._directory)

    def _accept(self) -> None:
        while True:
            self._room.acquire()
            connection = self._next()
            if connection is None:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _next(self) -> Optional[socket.socket]:
        """Wait for a caller; None: the server was stopped."""
        while True:
            listener = self._socket
            if listener is None:
                return None
            try:
                return listener.accept()[0]
            except socket.timeout:
                with contextlib.suppress(OSError, handover.NoAgentError):
                    self._listen_again(listener, self._directory)
            except OSError:
                return None

    def _listen_again(self, listener: socket.socket, directory: int) -> None:
        """Listen where callers look, if the state directory was removed or replaced and this process has its lock."""
        if state.identity(self._name) != self._place and self._service.holds_lock():
            self._listen()
            listener.close()
            os.close(directory)

    def _serve(self, connection: socket.socket) -> None:
        began = self.called_at = time.monotonic()
        with self._mutex:
            self._callers += 1
        try:
            with connection:
                self._answer(connection, began)
        except (OSError, ValueError, handover.NoAgentError):
            pass  # the caller is gone, or sent no frame of ours; it was not told that anything was taken
        finally:
            with self._mutex:
                self._callers -= 1
            self.called_at = time.monotonic()
            self._room.release()

    def _answer(self, connection: socket.socket, began: float) -> None:
        connection.settimeout(_FRAME_SECONDS)
        if handover.peer_uid(connection) not in (os.geteuid(), 0):
            return
        call = read_call(handover.read_frame(connection))
        answer = self._service.answer(call, began)
        connection.settimeout(_ANSWER_SECONDS)
        connection.sendall(answer)
