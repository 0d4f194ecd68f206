"""A stand-in for Atlassian's cloud: Opsgenie's and JSM's APIs, the edge connectors' queues, and the webhooks.

It enforces the vendor's rules (the project's public contracts, sections 1 to 3) and records each one that is broken.

    cloud = Cloud()
    key = cloud.add_api().key
    cloud.add_webhook("http://127.0.0.1:8080/webhooks/opsgenie", source_filter="Alerta")
    with CloudServer(cloud) as server:
        ...                                      # POST server.base_url + "/v2/alerts" with `GenieKey <key>`
        cloud.person("alice@example.com").acknowledge(alias)
        cloud.wait_settled()
        cloud.assert_no_violations()

Modules: `model` and `actions` (the alert's life), `limits`, `messages`, `intake`, `sqs_model` know no I/O; `cloud`
holds them together; `api`, `edge`, `delivery`, `sqs` are the shells, `server` and `queues` start them.
"""

from lab.cloud.cloud import Callback, Cloud, Seen
from lab.cloud.integrations import Integration, Queue, WebhookPolicy
from lab.cloud.queues import Double, Moto, QueueHost
from lab.cloud.server import CloudServer
from lab.cloud.switches import Switches

__all__ = [
    "Callback",
    "Cloud",
    "CloudServer",
    "Double",
    "Integration",
    "Moto",
    "Queue",
    "QueueHost",
    "Seen",
    "Switches",
    "WebhookPolicy",
]
