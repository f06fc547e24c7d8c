"""Own tables in a schema of their own: moved once and whole, or left where they are; never in two places."""

from __future__ import annotations

import pytest

from nightshift.database.connect import Database
from nightshift.database.lock import run_lock
from nightshift.database.url import parse_database_url
from nightshift.errors import DatabaseUnavailable, OwnTablesRefused
from tests.support.house import House

WHERE = (
    "SELECT n.nspname, count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relname ~ '^nightshift_' AND c.relkind = 'r' GROUP BY 1 ORDER BY 1"
)
SCHEMA = "nightshift"


@pytest.fixture
def roomy(house: House, guest: str) -> House:
    """A deployment of a role that may make a schema, with rows to archive."""
    house.sql(f"GRANT CREATE ON DATABASE {house.database} TO {guest}")
    house.sql("CREATE TABLE conversation_log (id int PRIMARY KEY, created_at timestamptz)")
    house.sql("INSERT INTO conversation_log SELECT n, '2020-01-01' FROM generate_series(1, 10) n")
    house.sql(f"GRANT SELECT, INSERT, DELETE ON conversation_log TO {guest}")
    return house


def test_moved_once_and_whole(roomy: House) -> None:
    assert roomy.run()["status"] == "ok"
    ledger = roomy.texts("nightshift_archive_object")
    (before,) = roomy.sql(WHERE)

    roomy.env["NIGHTSHIFT_SCHEMA"] = SCHEMA
    assert roomy.run(None, dry_run=True)["status"] == "dry_run"
    assert roomy.sql(WHERE) == [before], "a dry run reads them where they are"
    other = Database(parse_database_url(roomy.env["DATABASE_URL"]), deadline=1e12)
    with run_lock(other, "backup") as held:
        assert held and roomy.run()["status"] == "nothing"
    other.close()
    assert roomy.sql(WHERE) == [before], "another job may be writing them"

    for _ in range(2):
        assert roomy.run()["status"] == "nothing"
        assert roomy.sql(WHERE) == [(SCHEMA, before[1])]
    assert roomy.texts(f"{SCHEMA}.nightshift_archive_object") == ledger
    assert roomy.value(f"SELECT count(*) FROM {SCHEMA}.nightshift_run") == 4

    del roomy.env["NIGHTSHIFT_SCHEMA"]
    with pytest.raises(OwnTablesRefused, match="not looked at") as raised:
        roomy.run()
    assert f"NIGHTSHIFT_SCHEMA={SCHEMA}; for new tables all the same, set it to" in str(raised.value.hint)


def test_new_ones_and_those_in_two_places(roomy: House) -> None:
    roomy.env["NIGHTSHIFT_SCHEMA"] = SCHEMA
    assert roomy.run()["status"] == "ok"
    assert [place for place, _ in roomy.sql(WHERE)] == [SCHEMA]

    roomy.sql("CREATE TABLE public.nightshift_run (run_id text)")

    for event in ({"dry_run": False}, {"dry_run": True}):
        with pytest.raises(OwnTablesRefused, match="in two schemas") as raised:
            roomy.run(None, **event)
        assert f"{SCHEMA}, public" in str(raised.value.detail)
        assert "DROP the tables nightshift_… of the other" in str(raised.value.hint)


def test_a_schema_that_others_may_write_to(roomy: House, guest: str) -> None:
    roomy.sql(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {guest}; GRANT CREATE, USAGE ON SCHEMA {SCHEMA} TO PUBLIC")
    roomy.env["NIGHTSHIFT_SCHEMA"] = SCHEMA

    with pytest.raises(OwnTablesRefused) as raised:
        roomy.run()
    assert f'REVOKE CREATE ON SCHEMA "{SCHEMA}" FROM PUBLIC;' in str(raised.value.hint)
    roomy.sql(f"REVOKE CREATE ON SCHEMA {SCHEMA} FROM PUBLIC")
    assert roomy.run()["status"] == "ok"


def test_where_it_cannot_be_made(roomy: House, guest: str) -> None:
    roomy.sql(f"REVOKE CREATE ON DATABASE {roomy.database} FROM {guest}")
    roomy.env["NIGHTSHIFT_SCHEMA"] = SCHEMA

    with pytest.raises(DatabaseUnavailable, match="schema nightshift") as raised:
        roomy.run()

    assert f'CREATE SCHEMA "{SCHEMA}" AUTHORIZATION' in str(raised.value.hint)
    assert "which must own the tables as well" in str(raised.value.hint)
    assert roomy.sql(WHERE) == []
