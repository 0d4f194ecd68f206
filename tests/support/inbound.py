"""The transports from the stand-in cloud to an Alerta with the plugin: webhook, executor, native connector.

Each is a context manager that opens the transport and returns a function that reports whether it is idle.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
from lab.cloud import Cloud, Double
from lab.cloud.integrations import Queue

from alerta_opsgenie.agent.state import journal_of, targets
from alerta_opsgenie.vendor.runner import ScriptResult, run_message
from tests.connector.rig import ACTIONS, EXECUTOR, Connector
from tests.support.executor import Edge
from tests.support.plugin import SECRET, SECRET_HEADER, Plugged

if TYPE_CHECKING:
    from typing_extensions import Self

Idle = Callable[[], bool]
QUEUE_VISIBILITY_SECONDS = 30


class VendorConnector:
    """As much of OEC as counts here: takes messages, deletes them, and then starts the executor, 12 at once."""

    def __init__(self, host: Double, queue: Queue, cloud: Cloud, edge: Edge) -> None:
        integration = cloud.add_oec(queues=(queue,), source_filter="Alerta")
        grant = cloud.credentials.own
        self._host = host
        self._queue = queue
        self._owner_id = integration.owner_id
        self._edge = edge
        self._config = edge.config
        self._client: Any = botocore.session.get_session().create_client(
            "sqs", endpoint_url=host.endpoint_url, region_name=queue.region,
            aws_access_key_id=grant.access_key_id, aws_secret_access_key=grant.secret_access_key,
            aws_session_token=grant.session_token,
        )  # fmt: skip
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(12)  # the connector's default
        self._runs: list[Future[ScriptResult]] = []
        self._poller = threading.Thread(target=self._poll)

    def is_idle(self) -> bool:
        """Whether nothing is in the queue, at work, or in the journal of the executors' agent."""
        queued = any(self._host.count(self._queue)[:3])
        return not queued and all(run.done() for run in self._runs) and not self._edge.unfinished()

    def failures(self) -> list[str]:
        """The standard error of the executors."""
        return [text for run in self._runs if (text := run.result().stderr)]

    def _poll(self) -> None:
        while not self._stopping.is_set():
            answer = self._client.receive_message(
                QueueUrl=self._queue.url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            )
            for message in answer.get("Messages", ()):
                if message["MessageAttributes"]["ownerId"]["StringValue"] == self._owner_id:
                    body = str(message["Body"])
                    self._runs.append(self._pool.submit(run_message, self._config, body, host=self._edge.host))
                # Only now, so that `is_idle` never sees a message nowhere; OEC deletes a moment earlier.
                self._client.delete_message(QueueUrl=self._queue.url, ReceiptHandle=message["ReceiptHandle"])

    def __enter__(self) -> Self:
        self._poller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._poller.join()
        self._pool.shutdown()


@contextmanager
def webhook(run: Plugged, _directory: Path) -> Iterator[Idle]:
    """Let the cloud post to Alerta's webhook."""
    run.cloud.add_webhook(f"{run.alerta.url}/webhooks/opsgenie", headers={SECRET_HEADER: SECRET})
    yield lambda: True


@contextmanager
def executor(run: Plugged, directory: Path) -> Iterator[Idle]:
    """Let the vendor's connector start the executor for each message."""
    with (
        Double(run.cloud.credentials.check) as host,
        Edge(directory / "edge", run.alerta.url, run.bridge.key) as edge,
    ):
        queue = host.create("alerta", QUEUE_VISIBILITY_SECONDS)
        with VendorConnector(host, queue, run.cloud, edge) as connector:
            yield connector.is_idle
        assert connector.failures() == []


@contextmanager
def native(run: Plugged, directory: Path) -> Iterator[Idle]:
    """Let `alerta-opsgenie run` take the queue."""
    directory.mkdir()
    with ExitStack() as stack:
        host = stack.enter_context(Double(run.cloud.credentials.check))
        queue = host.create("alerta", QUEUE_VISIBILITY_SECONDS)
        integration = run.cloud.add_oec(queues=(queue,), source_filter="Alerta")
        state = str(directory / "state")
        config = {
            "apiKey": integration.key,
            "baseUrl": run.server.base_url,
            "globalArgs": [
                "--alertaApiUrl", run.alerta.url, "--alertaApiKey", run.bridge.key, "--spoolDir", state,
            ],
            "actionMappings": {name: {"filepath": EXECUTOR, "sourceType": "local"} for name in ACTIONS},
            "alertaOpsgenie": {"listen": "127.0.0.1:0", "heartbeatIntervalInSeconds": 0},
        }  # fmt: skip
        path = directory / "config.json"
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        connector = Connector(path, directory / "log", "--dialect", "oec")
        stack.callback(connector.stop)
        yield lambda: not any(host.count(queue)[:3]) and not is_something_left(state)


def is_something_left(state_directory: str) -> bool:
    """Whether an action waits or is in flight in one of the journals."""
    for target in targets(state_directory):
        with closing(journal_of(state_directory, target)) as journal:
            counts = journal.counts(time.time())
        if counts.waiting or counts.in_flight:
            return True
    return False


@contextmanager
def webhook_and_executor(run: Plugged, directory: Path) -> Iterator[Idle]:
    """Deliver each message by both, as for a team that moves from one to the other."""
    with webhook(run, directory) as one, executor(run, directory) as other:
        yield lambda: one() and other()


INBOUND = {"webhook": webhook, "executor": executor, "native": native, "webhook and executor": webhook_and_executor}
