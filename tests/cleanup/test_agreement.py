"""What `plan` and a dry run say of a table, the run does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.house import House

LOG = """
CREATE TABLE log (id int PRIMARY KEY, created_at timestamptz);
INSERT INTO log SELECT n, timestamptz '2025-09-10 12:00+09' + n * interval '1 day' FROM generate_series(0, 9) n;
CREATE TABLE child (id int PRIMARY KEY, log_id int REFERENCES log, created_at timestamptz);
INSERT INTO child SELECT id, id, created_at FROM log;
"""
"""Ten rows of each, five of them due."""

ENTRY = '[[retention]]\ntable = "{}"\nkeep_days = 30\n'
CHILD, PARENT = ENTRY.format("child"), ENTRY.format("log")


def both(house: House, *policies: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The tables' part of a dry run's answer, and of the run's."""
    house.policies("".join(policies))
    return house.run(dry_run=True)["tables"], house.run()["tables"]


def test_children_before_their_parents(house: House) -> None:
    house.sql(LOG)
    expected, done = both(house, CHILD, PARENT)
    assert [table["status"] for table in expected] == ["dry_run", "dry_run"]
    assert [table["estimate"]["rows"] for table in expected] == [table["archived_rows"] for table in done] == [5, 5]
    assert "warnings" not in expected[1]


def test_children_that_stay_longer(house: House) -> None:
    house.sql(LOG)
    expected, done = both(house, CHILD.replace("30", "33"), PARENT)
    assert expected[1]["warnings"] == [
        "due rows that 3 rows of public.child reference will be left (child_log_id_fkey)"
    ]
    assert (done[0]["archived_rows"], done[1]["archived_rows"], done[1]["refused_rows"]) == (2, 2, 3)


def test_many_children_after_their_parents(house: House) -> None:
    """More than are left out one by one: refused by both, and the children go."""
    house.sql(LOG + "INSERT INTO child SELECT n, 0, '2025-01-01' FROM generate_series(10, 3000) n")
    expected, done = both(house, PARENT, CHILD)
    assert [table["status"] for table in expected] == ["refused", "dry_run"]
    assert expected[0]["refusal"] == done[0]["refusal"]
    assert done[1]["archived_rows"] == expected[1]["estimate"]["rows"] == 2996


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        (
            "CREATE TRIGGER t AFTER DELETE ON log FOR EACH ROW EXECUTE FUNCTION f()",
            "trigger t will run as rows are deleted",
        ),
        (
            "CREATE TRIGGER t AFTER DELETE ON log FOR EACH STATEMENT EXECUTE FUNCTION f();"
            "CREATE CONSTRAINT TRIGGER u AFTER DELETE ON log DEFERRABLE FOR EACH ROW EXECUTE FUNCTION f();"
            "CREATE TRIGGER v AFTER INSERT OR UPDATE ON log FOR EACH ROW EXECUTE FUNCTION f()",
            "trigger t, trigger u will run as rows are deleted",
        ),
    ],
)
def test_triggers_are_named(house: House, sql: str, named: str) -> None:
    house.sql(
        LOG
        + "DROP TABLE child; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        + sql
    )
    (expected,), (done,) = both(house, PARENT)
    assert expected["warnings"] == [f"{named}; a dry run cannot try it"]
    assert (done["status"], done["archived_rows"]) == ("ok", 5)


@pytest.mark.fast_cases("FOR ALL TABLES--", "IN SCHEMA")
@pytest.mark.parametrize(
    ("publication", "identity", "refuses"),
    [
        ("FOR ALL TABLES", "", True),
        ("FOR TABLES IN SCHEMA public", "", True),
        ("FOR TABLE log", "", True),
        ("FOR TABLE log", "ALTER TABLE log REPLICA IDENTITY FULL", False),
        ("FOR TABLE log", "ALTER TABLE log ADD PRIMARY KEY (id)", False),
        ("FOR TABLE log", "ALTER TABLE log ADD PRIMARY KEY (id), REPLICA IDENTITY NOTHING", True),
        ("FOR ALL TABLES WITH (publish = 'insert')", "", False),
        ("FOR TABLE log WHERE (created_at > '2020-01-01')", "ALTER TABLE log ADD PRIMARY KEY (id)", True),
        ("FOR TABLE child", "", False),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["plain", "partitioned"])
def test_publications_of_deletions(house: House, publication: str, identity: str, refuses: bool, whole: bool) -> None:
    """As the server itself decides, which refuses the DELETE."""
    house.sql(LOG + "ALTER TABLE log DROP CONSTRAINT log_pkey CASCADE")
    if not whole:
        if "WHERE" in publication:
            pytest.skip("publishes nothing of a partition by its own name")
        house.sql(
            "DROP TABLE log; CREATE TABLE log (id int, created_at timestamptz) PARTITION BY HASH (id);"
            "CREATE TABLE log_0 PARTITION OF log FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
            "INSERT INTO log SELECT id, created_at FROM child"
        )
        identity = identity.replace("TABLE log ", "TABLE log_0 ")
    house.sql(f"CREATE PUBLICATION p {publication};{identity}")

    (expected,), (done,) = both(house, PARENT)
    house.sql("DROP PUBLICATION p")

    assert expected["status"] == ("refused" if refuses else "dry_run")
    assert done["archived_rows"] == (0 if refuses else 5)
    if refuses:
        assert expected["refusal"] == done["refusal"]
        assert done["refusal"]["guard"] == "replica_identity"
        assert "a primary key, or ALTER TABLE" in done["refusal"]["hint"]
        assert done["refusal"]["hint"].endswith(" REPLICA IDENTITY FULL")


def test_a_temporal_reference(house: House) -> None:
    """Periods that overlap match; no other column is equal (PostgreSQL 18)."""
    if int(house.value("SHOW server_version_num")) < 180_000:
        pytest.skip("no PERIOD before PostgreSQL 18")
    house.sql(
        "CREATE TABLE log (id int4range, valid tstzrange, created_at timestamptz,"
        " PRIMARY KEY (id, valid WITHOUT OVERLAPS)); INSERT INTO log SELECT int4range(n, n + 1),"
        " tstzrange('2025-01-01', '2026-01-01'), '2025-01-01' FROM generate_series(1, 3) n;"
        "CREATE TABLE child (id int4range, valid tstzrange,"
        " FOREIGN KEY (id, PERIOD valid) REFERENCES log (id, PERIOD valid));"
        "INSERT INTO child VALUES (int4range(2, 3), tstzrange('2025-03-01', '2025-04-01'))"
    )
    (expected,), (done,) = both(house, PARENT)
    assert "1 rows of public.child" in expected["warnings"][0]
    assert (done["archived_rows"], done["refused_rows"]) == (2, 1)
