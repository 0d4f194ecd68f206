"""Attacker: anybody who can send bytes to an entrance: real input with bytes changed, cut, doubled and swapped.

For any input, each entrance returns an outcome or raises the one error that it declares.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from alerta_opsgenie.agent import handover
from alerta_opsgenie.agent.intake import Request, read_request
from alerta_opsgenie.agent.options import Options, UsageError, read_options, split
from alerta_opsgenie.agent.server import read_call
from alerta_opsgenie.clients.alerta import answer_of
from alerta_opsgenie.clients.connection import Response
from alerta_opsgenie.clients.opsgenie import classify
from alerta_opsgenie.connector.credentials import CredentialsError, read_token
from alerta_opsgenie.core.outcome import outcome_of_refusal
from alerta_opsgenie.plugin.settings import read_settings
from alerta_opsgenie.vendor.document import parse_document
from alerta_opsgenie.vendor.problems import ConfigError
from tests.support.tiers import amount

PAYLOADS = Path(__file__).parents[1] / "payloads"
MESSAGES = [path.read_bytes() for path in sorted(PAYLOADS.glob("*.json"))]
OPTIONS = Options("https://alerta.example.com/api", "k" * 40)
COUNT = amount(1_000, 100_000)

TOKEN = (
    b'{"ownerId": "o-1", "queueProperties": [{"queueConfiguration": {"queueUrl": "https://sqs.eu.example.com/1/q",'
    b' "region": "eu-west-1"}, "assumeRole": {"credentials": {"accessKeyId": "A", "secretAccessKey": "S",'
    b' "sessionToken": "T", "expireTimeMillis": 1900000000000}}}]}'
)
CONFIG = (
    b'{"apiKey": "11112222-3333-4444-5555-666677778888", "baseUrl": "https://api.opsgenie.com", "globalArgs": ["--a"],'
    b' "actionMappings": {"Close": {"sourceType": "local", "filepath": "/x/oecAlertaExecutor.py", "env": ["A=b"]}},'
    b' "pollerConf": {"maxNumberOfMessages": 10}}'
)
ALERT = (
    b'{"status": "ok", "alert": {"status": "open",'
    b' "history": [{"type": "ack", "updateTime": "2026-01-01T00:00:00Z"}]}}'
)
FRAME = handover.request(handover.RUN, ["-payload", "{}", "--alertaApiUrl", "http://a"], {"HOME": "/h"}, "6.0.0", 5.0)
VALUES = ['["a", "b"]', "{'a': 'b'}", "https://api.opsgenie.com", "P1", "5", "on", "(a+)+$", '[{"match": {}}]', ""]
NAMES = [
    "OPSGENIE_TEAMS", "OPSGENIE_ROUTES", "SERVICE_KEY_MATCHERS", "OPSGENIE_URL", "OPSGENIE_BRIDGE_KEY",
    "OPSGENIE_WEBHOOK_SECRET", "OPSGENIE_SEND_WARN", "OPSGENIE_PRIORITY_MAP", "OPSGENIE_TIMEOUT",
    "OPSGENIE_SERVICE_KEY",
]  # fmt: skip


ODD = [b"1e999", b"NaN", b"[" * 60, b"null", b'"', b"\0", b"9" * 400, b"\xff"]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return the data with some bytes changed, cut, doubled or swapped."""
    mutated = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if not mutated:
            break
        place = chance.randrange(len(mutated))
        kind = chance.randrange(5)
        if kind == 0:
            mutated[place] = chance.randrange(256)
        elif kind == 1:
            del mutated[place : place + chance.randint(1, 20)]
        elif kind == 2:
            mutated[place:place] = chance.choice(ODD)
        elif kind == 3:
            mutated[place:place] = mutated[place : place + 30]
        else:
            mutated = mutated[:place]
    return bytes(mutated)


def _message(data: bytes, _chance: random.Random) -> None:
    _, new, outcome = read_request(Request(data, OPTIONS))
    assert (new is None) != (outcome is None)


def _frame(data: bytes, _chance: random.Random) -> None:
    with contextlib.suppress(ValueError, UsageError):
        call = read_call(data[8:].split(b"\0"))
        read_options(*split(call.arguments), {**call.environment, "ALERTA_API_KEY": "k" * 40}, call.directory)


def _alerta(data: bytes, chance: random.Random) -> None:
    answer = answer_of(chance.randint(100, 599), {"retry-after": "1e9", "date": "x"}, data, "k" * 40)
    assert answer.ok or outcome_of_refusal(answer).reason


def _alert_api(data: bytes, chance: random.Random) -> None:
    assert classify("create", Response(chance.randint(100, 599), {"retry-after": "-1"}, data), key="k" * 40).verdict


def _credentials(data: bytes, _chance: random.Random) -> None:
    with contextlib.suppress(CredentialsError):
        read_token(data.decode("utf-8", "replace"))


def _config(data: bytes, chance: random.Random) -> None:
    with contextlib.suppress(ConfigError):
        parse_document(data, syntax=chance.choice(["json", "yaml"]))


def _environment(data: bytes, chance: random.Random) -> None:
    text = data.decode("utf-8", "replace").replace("\0", "")
    read_settings({}, {chance.choice(NAMES): text, chance.choice(NAMES): chance.choice(VALUES)})


ENTRANCES: dict[str, tuple[list[bytes], Callable[[bytes, random.Random], None]]] = {
    "message": (MESSAGES, _message),
    "frame of an executor": ([FRAME], _frame),
    "answer of Alerta": ([ALERT], _alerta),
    "answer of the alert API": (MESSAGES, _alert_api),
    "answer with credentials": ([TOKEN], _credentials),
    "configuration": ([CONFIG], _config),
    "environment of the plugin": ([value.encode() for value in VALUES], _environment),
}


@pytest.mark.grows
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_random_input_has_an_outcome_or_the_declared_error(entrance: str) -> None:
    seeds, enter = ENTRANCES[entrance]
    chance = random.Random(entrance)
    for _ in range(COUNT):
        enter(mutate(chance.choice(seeds), chance), chance)
