"""The memory in a real PostgreSQL: agreed states, values, and leases."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from alerta_opsgenie.core.agreed import AgreedState
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.plugin.database import Database
from alerta_opsgenie.plugin.memory import Memory
from tests.support.own_postgres import own_postgres

pytestmark = pytest.mark.alerta

ONE, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
KNOWN = AgreedState(is_open=True, acknowledged=True, snoozed_until=1.5, owner="alice@example.com", priority="P1")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with own_postgres("memory") as url:
        yield url


def database(url: str, **config: str) -> Database:
    return Database({"DATABASE_URL": url, "DATABASE_NAME": None, "DATABASE_SCHEMA": "public", **config})


@pytest.fixture
def memory(url: str) -> Memory:
    return Memory(database(url))


def test_reads_what_was_written(memory: Memory) -> None:
    memory.write({ONE: KNOWN})
    assert memory.read([ONE, OTHER]) == {ONE: KNOWN}


def test_an_invalid_row_counts_as_unknown(
    memory: Memory, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    memory.write({ONE: KNOWN})
    with database(url).transaction() as cursor:
        cursor.execute("UPDATE alerta_opsgenie_memory SET agreed = %s", ('{"is_open": "yes"}',))
    with caplog.at_level(logging.ERROR):
        assert memory.read([ONE]) == {}
    assert f"the memory of alert {ONE} cannot be read" in caplog.text


def test_invalid_facts_count_as_never_set(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    memory.set_facts("report", {"at": 1.5})
    assert memory.get_facts("report") == {"at": 1.5}
    for broken in ("[1]", "{"):
        memory.set_value("report", broken)
        assert memory.get_facts("report") == {}
    assert caplog.text.count("the value report in Alerta's database cannot be read") == 2


def test_a_lease_has_one_holder_until_it_ends(memory: Memory) -> None:
    assert memory.lease("sweep", "a", 60)
    assert not memory.lease("sweep", "b", 60)
    memory.give_back("sweep", "b")
    assert not memory.lease("sweep", "b", 60)
    memory.give_back("sweep", "a")
    assert memory.lease("sweep", "b", 60)


def test_tables_are_created_in_alerta_s_schema(url: str) -> None:
    with database(url).transaction() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS other")
    memory = Memory(database(url, DATABASE_SCHEMA="other"))
    memory.set_value("where", "other")
    assert Memory(database(url)).get_value("where") == ""


def test_the_sql_is_logged_if_the_tables_cannot_be_created(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with database(url).transaction() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS closed; DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN")
    weak = database(url.replace("postgres@", "weak@").replace("user=postgres", "user=weak"), DATABASE_SCHEMA="closed")
    with caplog.at_level(logging.ERROR), pytest.raises(JournalError, match=r"permission denied|no schema"):
        Memory(weak).get_value("x")
    assert "CREATE TABLE IF NOT EXISTS alerta_opsgenie_memory" in caplog.text


def test_a_lost_connection_is_opened_again(memory: Memory, url: str) -> None:
    memory.set_value("kept", "yes")
    with database(url).transaction() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'alerta-opsgenie' AND pid <> pg_backend_pid()"
        )
    assert memory.get_value("kept") == "yes"


def test_closed_alerts_that_alerta_deleted_are_pruned(memory: Memory, url: str) -> None:
    with database(url).transaction() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS alerts (id text); DELETE FROM alerta_opsgenie_memory")
        cursor.execute("INSERT INTO alerts VALUES ('there')")
    old, new = KNOWN._replace(is_open=False, at_seconds=1.0), KNOWN._replace(is_open=False, at_seconds=2e9)
    memory.write({"gone": old, "there": old, "open": KNOWN, "late": new})
    memory.prune()
    assert set(memory.read(["gone", "there", "open", "late"])) == {"there", "open", "late"}
