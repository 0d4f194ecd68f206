"""`python -m lab.cloud`: the stand-in as a process; one line of JSON says how to reach it."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from lab.cloud.cloud import Cloud
from lab.cloud.integrations import Integration
from lab.cloud.queues import Double, Moto, QueueHost
from lab.cloud.server import CloudServer


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT."""
    options = _parse(arguments)
    signals = (signal.SIGTERM, signal.SIGINT)
    # Blocked here, before any thread starts, they wait for sigwait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    cloud = Cloud(seed=options.seed)
    host: QueueHost | None = None
    if options.queue != "none":
        host = Moto() if options.queue == "moto" else Double(cloud.credentials.check, options.queue_port)
    integrations = _integrations(cloud, host, options.source)
    try:
        with CloudServer(cloud, options.port) as server:
            sys.stdout.write(json.dumps(_describe(server, host, integrations)) + "\n")
            sys.stdout.flush()
            signal.sigwait(signals)
    finally:
        if host is not None:
            host.stop()
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.cloud", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the API (default: a free one)")
    parser.add_argument("--queue", choices=("double", "moto", "none"), default="double", help="where messages go")
    parser.add_argument("--queue-port", type=int, default=0, help="of the double (default: a free one)")
    parser.add_argument("--source", default="Alerta", help="send messages of alerts with this source alone")
    parser.add_argument("--seed", type=int, default=1, help="of delays, duplicates and disorder")
    return parser.parse_args(arguments)


def _integrations(cloud: Cloud, host: QueueHost | None, source: str) -> dict[str, Integration]:
    """Add an API key for each product, and an OEC and a JEC integration with a queue each."""
    made = {"opsgenie": cloud.add_api(), "jsm": cloud.add_api("Alerta JSM", product="jsm")}
    if host is not None:
        made["oec"] = cloud.add_oec(queues=(host.create("oec"),), source_filter=source)
        made["jec"] = cloud.add_jec(queues=(host.create("jec"),), source_filter=source)
    return made


def _describe(server: CloudServer, host: QueueHost | None, integrations: dict[str, Integration]) -> dict[str, object]:
    return {
        "base_url": server.base_url,
        "jsm_url": server.jsm_url,
        "queue_endpoint": host.endpoint_url if host else "",
        "keys": {name: one.key for name, one in integrations.items()},
        "queues": {name: [queue.url for queue in one.queues] for name, one in integrations.items() if one.queues},
    }


if __name__ == "__main__":
    sys.exit(main())
