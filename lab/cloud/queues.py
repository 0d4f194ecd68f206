"""Servers that hold queues: `moto`'s SQS in a process of its own, and the fast double in a thread."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from typing import IO, Any, NamedTuple, Protocol

from aiohttp import web
from botocore.config import Config
from botocore.session import get_session

from lab.cloud.faults import Faults, inject
from lab.cloud.integrations import Queue
from lab.cloud.serving import AppThread
from lab.cloud.sqs import CheckCredentials, Sqs
from lab.ports import Service

REGION = "us-east-1"
START_SECONDS = 120.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
RUNNING = re.compile(r"Running on (http://\S+)")
QUICK = Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=30)


class QueueHost(Protocol):
    """A server with queues; `endpoint_url` is its scheme, host and port."""

    endpoint_url: str

    def create(self, name: str, visibility_seconds: int = 30) -> Queue:
        """Create a queue and return it."""

    def stop(self) -> None:
        """End the server."""


class QueueCount(NamedTuple):
    """Numbers of messages of a queue; `deleted` since it was created."""

    visible: int
    in_flight: int
    delayed: int
    deleted: int


class Moto:
    """`moto`'s server in a process of its own (it spins while it waits). It accepts any credentials."""

    def __init__(self) -> None:
        self._log: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by stop
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, env=env)
        self.endpoint_url = self._wait_running()
        self._client = client(self.endpoint_url)

    def create(self, name: str, visibility_seconds: int = 30) -> Queue:
        """Create a queue and return it."""
        attributes = {"VisibilityTimeout": str(visibility_seconds)}
        created = self._client.create_queue(QueueName=name, Attributes=attributes)
        return Queue(created["QueueUrl"], REGION)

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _wait_running(self) -> str:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            self._log.seek(0)
            running = RUNNING.search(self._log.read())
            if running:
                return running.group(1)
            time.sleep(POLL_SECONDS)
        self._log.seek(0)
        raise RuntimeError(f"moto's server did not start; is `moto[server]` installed? It said: {self._log.read()}")


class Double(Service):
    """The fast double in a thread; `check` verifies credentials (`Cloud.credentials.check`), `faults` strike it."""

    def __init__(self, check: CheckCredentials | None = None, port: int = 0) -> None:
        self.sqs = Sqs(check)
        self.faults = Faults()
        self._server = AppThread(self._build, port=port)
        self.faults.set_listening = self._server.set_listening
        self._server.start()
        self.endpoint_url = self._server.base_url

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop on which the queues live."""
        return self._server.loop

    def create(self, name: str, visibility_seconds: int = 30) -> Queue:
        """Create a queue and return it."""
        return Queue(self.sqs.create(name, visibility_seconds), REGION)

    def count(self, queue: Queue) -> QueueCount:
        """Return how many messages are visible, in flight, delayed, and were deleted."""

        async def look() -> QueueCount:
            model = self.sqs.queue(queue.url)
            return QueueCount(*model.count(self.sqs.now()), model.deleted)

        return self._server.call(look())

    def stop(self) -> None:
        """End the thread."""
        self.faults.clear()
        self._server.stop()

    def _build(self, base_url: str) -> web.Application:
        app = web.Application(middlewares=[inject(self.faults)], client_max_size=4 * 1024**2)
        self.sqs.add_routes(app.router, base_url)
        return app


def client(endpoint_url: str, region: str = REGION, **credentials: str) -> Any:
    """Return a botocore client for the queues at `endpoint_url`; credentials default to made-up ones."""
    given = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "example", **credentials}
    return get_session().create_client("sqs", endpoint_url=endpoint_url, region_name=region, config=QUICK, **given)


def origin(queue_url: str) -> str:
    """Return the scheme, host and port of a queue's URL: the endpoint to talk to."""
    return "/".join(queue_url.split("/", 3)[:3])
