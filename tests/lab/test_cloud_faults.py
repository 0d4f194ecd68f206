"""Faults of the stand-in can be switched on and off while it runs, and strike as they say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.support.cloud import Running, running_cloud


@pytest.fixture
def run() -> Iterator[Running]:
    with running_cloud() as running:
        yield running


@pytest.mark.parametrize("status", [500, 503])
def test_a_burst_of_errors_ends_after_its_number(run: Running, status: int) -> None:
    run.cloud.faults.status(status, times=2)
    assert [run.api.create().status_code for _ in range(3)] == [status, status, 202]
    assert [seen.status for seen in run.cloud.records.requests] == [status, status, 202]
    assert run.api.get()["count"] == 1


def test_an_error_may_hide_that_the_request_took_effect(run: Running) -> None:
    run.cloud.faults.status(500, times=1, takes_effect=True)
    assert run.api.create().status_code == 500
    assert run.api.get()["count"] == 1


def test_a_throttle_has_the_vendors_headers(run: Running) -> None:
    with run.cloud.faults.throttle(period_seconds=1, retry_after=True):
        response = run.api.create()
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
    assert response.headers["X-RateLimit-State"] == "THROTTLED"
    assert run.api.create().status_code == 202


def test_a_refusing_cloud_comes_back_on_its_port(run: Running) -> None:
    run.api.create()
    with run.cloud.faults.refuse(), pytest.raises(requests.ConnectionError):
        run.api.act("acknowledge")
    assert run.api.act("acknowledge").status_code == 202


@pytest.mark.parametrize("takes_effect", [True, False])
def test_a_reset_cuts_the_answer_in_the_middle(run: Running, takes_effect: bool) -> None:
    run.cloud.faults.reset(times=1, takes_effect=takes_effect)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        run.api.create()
    assert bool(run.api.get()) is takes_effect


def test_a_hang_answers_nothing(run: Running) -> None:
    with run.cloud.faults.hang(), pytest.raises(requests.Timeout):
        run.api.call("POST", "", {"message": "m"}, timeout=0.2)
    assert run.cloud.alerts() == []
    assert run.api.create().status_code == 202


def test_a_fault_strikes_where_it_is_told_to(run: Running) -> None:
    with run.cloud.faults.status(503, paths="/acknowledge$"):
        assert run.api.create().status_code == 202
        assert run.api.act("acknowledge").status_code == 503
