"""An agent that the demo's executors started ends with the demo."""

from __future__ import annotations

import json
from pathlib import Path

from lab.agents import end_agent

from tests.support.edge_messages import edge_message
from tests.support.executor import Edge, await_true

NOWHERE = "http://127.0.0.1:9"


def test_an_agent_is_ended_and_gone(tmp_path: Path) -> None:
    with Edge(tmp_path, NOWHERE, "key") as edge:
        alert = {"alias": "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e", "source": "Alerta", "username": "alice@example.com"}
        edge.run(json.dumps({**edge_message("Acknowledge", requestId="r"), "alert": alert}))
        assert len(edge.agents()) == 1
        end_agent(str(edge.spool_directory))
        await_true(lambda: not edge.agents(), 60, "the end of the agent")
