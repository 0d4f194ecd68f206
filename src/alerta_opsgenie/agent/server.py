"""The socket in the state directory: one thread for each caller, which may be our own user or root."""

import contextlib
import os
import socket
import threading
import time
from typing import Optional

from alerta_opsgenie.agent import handover
from alerta_opsgenie.agent.service import Service, read_call

MOST_CALLERS = 64
"""Callers served at once; others wait in the socket's queue. OEC starts 12 executors at once by default."""

_FRAME_SECONDS = 10.0
_ANSWER_SECONDS = 10.0


class Server:
    """Serves one state directory, whose delivery lock this process holds. `callers`: how many are being served."""

    def __init__(self, state_directory: str, service: Service) -> None:
        self._path = state_directory
        self._service = service
        self._room = threading.BoundedSemaphore(MOST_CALLERS)
        self._socket: Optional[socket.socket] = None
        self._directory = -1
        self._mutex = threading.Lock()
        self.callers = 0
        self.called_at = time.monotonic()

    def start(self) -> None:
        """Listen. A socket that a killed process has left is replaced. Raises OSError, UnsafeError."""
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
        self._socket, self._directory = listener, directory
        threading.Thread(target=self._accept, args=(listener,), name="agent-socket", daemon=True).start()

    def stop(self, seconds: float) -> None:
        """Take no more calls, and wait so long for those under way. Later callers start another agent."""
        listener, self._socket = self._socket, None
        if listener is None:
            return
        with contextlib.suppress(OSError):
            os.unlink(handover.SOCKET_NAME, dir_fd=self._directory)
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # ends `accept` in its thread
        listener.close()
        os.close(self._directory)
        end = time.monotonic() + seconds
        while self.callers and time.monotonic() < end:
            time.sleep(0.02)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            self._room.acquire()
            try:
                connection = listener.accept()[0]
            except OSError:
                return  # the server was stopped
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        began = self.called_at = time.monotonic()
        with self._mutex:
            self.callers += 1
        try:
            with connection:
                self._answer(connection, began)
        except (OSError, ValueError, handover.NoAgentError):
            pass  # the caller is gone, or sent no frame of ours; it was not told that anything was taken
        finally:
            with self._mutex:
                self.callers -= 1
            self.called_at = time.monotonic()
            self._room.release()

    def _answer(self, connection: socket.socket, began: float) -> None:
        connection.settimeout(_FRAME_SECONDS)
        if handover.peer_uid(connection) not in (os.geteuid(), 0):
            return
        call = read_call(handover.read_frame(connection))
        answer = handover.frame(self._service.answer(call, began))
        connection.settimeout(_ANSWER_SECONDS)
        connection.sendall(answer)
