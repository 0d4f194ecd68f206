"""The native connector against the limit of its Alerta, and against an Alerta that answers at once.

The queue is the double of `lab.cloud`, in the bench's own process: `moto` takes about 100 requests a second and spins
while it waits, so that it would be what is measured. The double takes thousands; its share is printed with the rest.

    python -m bench connector
    ALERTA_OPSGENIE_BENCH_ACTIONS=100000 python -m bench connector     # memory over many actions
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from lab.alerta_server import AlertaServer
from lab.cloud.serving import AppThread

from alerta_opsgenie.connector.settings import DEFAULT_WORKERS
from bench.measure import print_table
from tests.connector.rig import Connector, Rig, wait_until
from tests.support.console import Console

ACKS = int(os.environ.get("ALERTA_OPSGENIE_BENCH_ACKS", "500"))
ACTIONS = int(os.environ.get("ALERTA_OPSGENIE_BENCH_ACTIONS", "10000"))
CLIENTS = 12
IDLE_ROUNDS = 40
TURNS = 5
WORKERS = tuple(int(text) for text in os.environ.get("ALERTA_OPSGENIE_BENCH_WORKERS", str(DEFAULT_WORKERS)).split(","))

JSON = dict[str, Any]


class Cost(NamedTuple):
    """What a client's part of a turn took: `doubles` is the CPU of the queue and of the stand-in for Opsgenie."""

    seconds: float
    cpu: float
    doubles: float


def main() -> None:
    """Print the connector's figures."""
    with tempfile.TemporaryDirectory() as directory:
        with AlertaServer() as alerta:
            _against_the_limit(alerta, Path(directory, "limit"))
            _idle(alerta, Path(directory, "idle"))
        _without_weight(Path(directory, "light"))


# -- the same acks into the same Alerta


def _against_the_limit(alerta: AlertaServer, directory: Path) -> None:
    """Let each kind of client do its part of the acks in each turn, so that a noisy neighbour disturbs all alike."""
    directory.mkdir()
    key = alerta.create_key("bench@example.com")
    console = Console(alerta.url, alerta.admin_key)
    bare = f"{CLIENTS} bare keep-alive clients"
    clients: dict[str, Callable[[list[str]], Cost]] = {bare: functools.partial(_bare, alerta.url, key)}
    with ExitStack() as stack:
        for workers in WORKERS:
            place = directory / str(workers)
            place.mkdir()
            rig = stack.enter_context(Rig(alerta.url, key, place, own={"workers": workers}))
            connector = rig.start("--log-level", "error")
            _wait_polling(rig, connector)
            clients[f"run, {workers} workers"] = functools.partial(_run, rig, connector)
        for do in clients.values():
            do(_alerts(console, CLIENTS))  # warm
        costs: dict[str, list[Cost]] = {name: [] for name in clients}
        for _ in range(TURNS):
            for name, do in clients.items():
                costs[name].append(do(_alerts(console, ACKS // TURNS)))
    seconds = {name: sum(cost.seconds for cost in costs[name]) for name in clients}
    print_table(
        f"{ACKS} acks into one Alerta (two workers, all on {os.cpu_count()} shared cores), {TURNS} parts each, in turn",
        ("", "acks/s", "of the limit", "its CPU ms/ack", "of the doubles"),
        [
            (
                name,
                f"{ACKS / seconds[name]:.1f}",
                f"{seconds[bare] / seconds[name]:.2f}",
                *(f"{sum(part) / ACKS * 1000:.2f}" for part in list(zip(*found))[1:]),
            )
            for name, found in costs.items()
        ],
    )


def _alerts(console: Console, count: int) -> list[str]:
    with ThreadPoolExecutor(4) as pool:
        return [alert["id"] for alert in pool.map(lambda _: console.create_alert(), range(count))]


_BARE = """
import asyncio, json, sys, time, aiohttp
url, key, clients = sys.argv[1], sys.argv[2], int(sys.argv[3])
ids = json.load(sys.stdin)
HEADERS = {"Authorization": "Key " + key, "X-Alerta-On-Behalf-Of": "alice@example.com"}
async def client(session):
    while ids:
        where = url + "/alert/" + ids.pop()
        body = {"action": "ack", "text": "Acknowledged by alice@example.com in Opsgenie"}
        async with session.put(where + "/action", json=body, headers=HEADERS) as answer:
            assert answer.status == 200, await answer.text()
            plugin = "X-Alerta-On-Behalf-Of" in answer.headers
        if not plugin:  # the same second call that the relay makes then
            body = {"attributes": {"acked-by": "alice@example.com"}}
            async with session.put(where + "/attributes", json=body, headers=HEADERS) as answer:
                assert answer.status == 200, await answer.text()
async def main():
    async with aiohttp.ClientSession() as session:
        sys.stdout.write(str(time.process_time()) + "\\n"); sys.stdout.flush(); sys.stdin.close()
        await asyncio.gather(*(client(session) for _ in range(clients)))
        sys.stdout.write(str(time.process_time()) + "\\n"); sys.stdout.flush()
asyncio.run(main())
"""


def _bare(url: str, key: str, ids: list[str]) -> Cost:
    command = [sys.executable, "-c", _BARE, url, key, str(CLIENTS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(ids))
    process.stdin.close()
    before = float(process.stdout.readline())
    began = time.monotonic()
    used = float(process.stdout.readline()) - before
    took = time.monotonic() - began
    assert process.wait() == 0
    return Cost(took, used, 0.0)


def _run(rig: Rig, connector: Connector, ids: list[str]) -> Cost:
    """Send the acks to the queue, and wait until the last result is told, which is after Alerta's answer.

    The CPU is counted until the last message is deleted.
    """
    model = rig.host.sqs.queue(rig.queue.url)
    deleted, told = model.deleted, len(rig.cloud.records.callbacks)
    cpu, doubles = _cpu_seconds(connector.process.pid), time.process_time()
    began = time.monotonic()
    _send(rig, [_message("Acknowledge", alert_id) for alert_id in ids])
    rig.wait_callbacks(told + len(ids), 300)
    took = time.monotonic() - began
    wait_until(lambda: model.deleted - deleted >= len(ids), 10, rig.logs)
    return Cost(took, _cpu_seconds(connector.process.pid) - cpu, time.process_time() - doubles)


# -- one action, nothing else going on


def _idle(alerta: AlertaServer, directory: Path) -> None:
    directory.mkdir()
    key = alerta.create_key("bench@example.com")
    console = Console(alerta.url, alerta.admin_key)
    bare = asyncio.run(_bare_closes(alerta.url, key, _alerts(console, IDLE_ROUNDS)))
    with Rig(alerta.url, key, directory) as rig:
        connector = rig.start("--log-level", "error")
        _wait_polling(rig, connector)
        through: list[float] = []
        for number, alert_id in enumerate(_alerts(console, IDLE_ROUNDS)):
            time.sleep(0.05)
            began = time.time()
            _send(rig, [_message("Close", alert_id)])
            rig.wait_callbacks(number + 1)
            through.append(rig.cloud.records.callbacks[-1].at_ns / 1e9 - began)
    p50 = statistics.median(bare)
    rows = [
        (name, f"{statistics.median(found) * 1000:.1f}", f"{statistics.median(found) / p50:.2f}")
        for name, found in (("one bare call", bare), ("run: sent to the queue until the result is told", through))
    ]
    print_table(f"One close, nothing else going on (p50 of {IDLE_ROUNDS})", ("", "ms", "of a bare call"), rows)


async def _bare_closes(url: str, key: str, ids: list[str]) -> list[float]:
    took = []
    async with aiohttp.ClientSession(headers={"Authorization": f"Key {key}"}) as session:
        for alert_id in ids:
            await asyncio.sleep(0.05)
            began = time.monotonic()
            async with session.put(f"{url}/alert/{alert_id}/action", json={"action": "close", "text": "x"}) as answer:
                await answer.read()
            took.append(time.monotonic() - began)
    return took


# -- an Alerta that answers at once

_LIGHT = """
import asyncio, sys, aiohttp.web as web
async def answer(request):
    await request.read()
    return web.Response(body=b'{"status": "ok"}', content_type="application/json",
                        headers={"X-Alerta-On-Behalf-Of": request.headers.get("X-Alerta-On-Behalf-Of", "x")})
async def main():
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(str(runner.addresses[0][1]) + "\\n"); sys.stdout.flush()
    await asyncio.Event().wait()
asyncio.run(main())
"""


def _without_weight(directory: Path) -> None:
    directory.mkdir()
    alerta = subprocess.Popen([sys.executable, "-c", _LIGHT], stdout=subprocess.PIPE, text=True)
    assert alerta.stdout is not None
    try:
        url = f"http://127.0.0.1:{alerta.stdout.readline().strip()}"
        with Rig(url, "a-key-of-no-alerta", directory) as rig:
            connector = rig.start("--log-level", "error")
            _wait_polling(rig, connector)
            _pour(rig, connector)
    finally:
        alerta.terminate()
        alerta.wait()


def _pour(rig: Rig, connector: Connector) -> None:
    """Send actions in portions, so that the queue is never empty and the bench's own memory stays small."""
    model = rig.host.sqs.queue(rig.queue.url)
    pid = connector.process.pid
    ids = [str(uuid.uuid4()) for _ in range(200)]
    numbers = itertools.count()
    portion = 500
    megabytes: list[float] = []
    began, cpu, sent = time.monotonic(), _cpu_seconds(pid), 0
    while model.deleted < ACTIONS:
        if sent < ACTIONS and sent - model.deleted < 2 * portion:
            _send(rig, [_message("Acknowledge", ids[next(numbers) % len(ids)]) for _ in range(portion)])
            sent += portion
        megabytes.append(_resident_bytes(pid) / 1e6)
        time.sleep(0.05)
    assert not connector.log, f"what is measured is not the usual way: {connector.log}"
    took, used = time.monotonic() - began, _cpu_seconds(pid) - cpu
    quarter = len(megabytes) // 4
    first, last = statistics.median(megabytes[quarter : 2 * quarter]), statistics.median(megabytes[3 * quarter :])
    print_table(
        f"{ACTIONS} acks into an Alerta that answers at once (it, the queue and the connector share two cores)",
        ("", "actions/s", "CPU ms/action", "MB, 2nd quarter", "MB, last quarter", "MB at most"),
        [
            ("run", f"{ACTIONS / took:.0f}", f"{used / ACTIONS * 1000:.2f}", f"{first:.0f}", f"{last:.0f}",
             f"{max(megabytes):.0f}"),
        ],
    )  # fmt: skip


# -- aids


def _message(action: str, alert_id: str) -> JSON:
    alert = {
        "alias": alert_id,
        "source": "Alerta",
        "username": "alice@example.com",
        "updatedAt": time.time_ns(),
        "message": "Disk usage 97% on web01",
        "tags": ["Production", "web01"],
    }
    return {
        "action": action,
        "actionType": "custom",
        "requestId": str(uuid.uuid4()),
        "entity": {"id": str(uuid.uuid4()), "type": "alert"},
        "source": {"name": "", "type": "web"},
        "integrationType": "OEC",
        "alert": alert,
    }


def _send(rig: Rig, messages: list[JSON]) -> None:
    """Put messages into the double's queue at once, past its HTTP."""
    owner = {"ownerId": {"DataType": "String", "StringValue": rig.integration.owner_id}}
    model = rig.host.sqs.queue(rig.queue.url)
    server: AppThread = rig.host._server  # noqa: SLF001 - the double's own thread

    async def put() -> None:
        for message in messages:
            model.send(json.dumps(message), owner, time.time())
        rig.host.sqs.wake(model, len(messages))

    server.call(put())


def _wait_polling(rig: Rig, connector: Connector) -> None:
    connector.wait_log("")
    wait_until(lambda: bool(rig.host.sqs._waiting.get("alerta")), 30, rig.logs)  # noqa: SLF001


def _cpu_seconds(pid: int) -> float:
    """Read what a process has used; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
