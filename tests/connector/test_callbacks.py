"""Results: their format, retries, and their limit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lab.cloud import Cloud, CloudServer, Integration

from alerta_opsgenie.connector import callbacks
from alerta_opsgenie.connector.callbacks import Callbacks, result_of
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.connector.threads import Threads
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.callback import read_envelope
from alerta_opsgenie.vendor.config import EdgeConfig
from tests.connector.rig import wait_until


class Run:
    def __init__(self, dialect: str, cloud: Cloud, server: CloudServer) -> None:
        self.cloud, self.dialect = cloud, dialect
        add = cloud.add_oec if dialect == "oec" else cloud.add_jec
        self.integration: Integration = add()
        self.counts: list[str] = []
        config = EdgeConfig(dialect, Secret(self.integration.key), server.base_url, {})
        self.callbacks = Callbacks(dialect, lambda: VendorApi(config, {}), self.counts.append)
        threads = Threads()
        for number in range(callbacks.SENDERS):
            threads.start(f"results {number}", self.callbacks.run)

    def result(self, outcome: Outcome) -> dict[str, Any]:
        self.cloud.person("alice@example.com").create("m", source="Alerta")
        envelope = read_envelope(self.cloud.sent(self.integration)[-1])
        return result_of(self.dialect, envelope, "Acknowledge x by alice", outcome)

    def send(self, body: dict[str, Any]) -> None:
        """Send one result and wait for its end."""
        count = len(self.counts)
        self.callbacks.put(body)
        wait_until(lambda: len(self.counts) > count)


@pytest.fixture(params=["oec", "jec"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    cloud = Cloud()
    with CloudServer(cloud) as server:
        cloud.attach(None, lambda: None)
        running = Run(request.param, cloud, server)
        yield running
        cloud.faults.clear()
        running.callbacks.stop(0.0)
    cloud.assert_no_violations()


DONE = Outcome(Kind.APPLIED, Reason.DONE)
REFUSED = Outcome(Kind.KEPT, Reason.UNAUTHORIZED, "Alerta answered HTTP 401")


def test_success_and_failure_have_the_vendor_s_format(run: Run) -> None:
    run.send(run.result(DONE))
    run.send(run.result(REFUSED))
    success, failure = (callback.body for callback in run.cloud.records.callbacks)
    assert success["isSuccessful"] is True
    assert "failureMessage" not in success
    assert "isSuccessful" not in failure
    assert failure["failureMessage"].startswith("Acknowledge x by alice: Alerta answered HTTP 401; give an API key")
    assert ("callbackContext" in success) == (run.dialect == "jec")
    assert run.counts == ["sent", "sent"]


@pytest.mark.parametrize(("status", "result", "failures"), [(503, "sent", 2), (422, "refused", 1)])
def test_a_temporary_error_is_tried_again_and_a_refusal_is_not(
    run: Run, status: int, result: str, failures: int
) -> None:
    fault = run.cloud.faults.status(status, "callback", times=2)
    run.send(run.result(DONE))
    assert (run.counts, fault.struck) == ([result], failures)


def test_no_more_than_a_thousand_wait(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "MOST_WAITING", 3)
    body = run.result(DONE)
    run.cloud.faults.hang("callback")
    for _ in range(8):
        run.callbacks.put(body)
    wait_until(lambda: run.counts.count("dropped") >= 3)
    assert len(run.callbacks) <= 3 + callbacks.SENDERS


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [(DONE, False), (Outcome(Kind.KEPT, Reason.NETWORK), False), (Outcome(Kind.REJECTED, Reason.NOT_FOUND), True)],
)
def test_an_action_that_is_retried_is_no_failure(outcome: Outcome, failed: bool) -> None:
    body = result_of("oec", read_envelope({"action": "Close"}), "Close x by alice", outcome)
    assert ("failureMessage" in body) == failed
