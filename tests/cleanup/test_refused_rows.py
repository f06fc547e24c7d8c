"""What the database refuses to delete stays, by name, and everything else goes; what comes back is noticed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine import archive, policy_for
from tests.support.house import House
from tests.support.refusals import refused

LOG = """
CREATE TABLE log (id int, created_at timestamptz, word text, PRIMARY KEY (id));
INSERT INTO log SELECT n, timestamptz '2025-01-01' + n * interval '1 minute', repeat('x', 100)
FROM generate_series(1, 5000) n;
"""

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'row is sacred' USING ERRCODE = '{code}';
END $$;
CREATE {kind} refuse AFTER DELETE ON log {late} FOR EACH ROW WHEN ({which}) EXECUTE FUNCTION refuse();
"""


def refuse(which: str, *, code: str = "P0001", late: bool = False) -> str:
    """A trigger that refuses the deletion of some rows, at once or at COMMIT."""
    kind, when = ("CONSTRAINT TRIGGER", "DEFERRABLE INITIALLY DEFERRED") if late else ("TRIGGER", "")
    return REFUSE.format(code=code, kind=kind, late=when, which=which)


def ids(house: House, table: str = "log") -> list[Any]:
    return [row[0] for row in house.sql(f"SELECT id FROM {table} ORDER BY id")]


def archived_ids(house: House) -> list[Any]:
    return sorted(row["id"] for row in house.archived())


REFERENCES = "CREATE TABLE child (log_id int REFERENCES log {}); INSERT INTO child VALUES (3000);"


INDEX = "CREATE INDEX ON log (created_at);"


@pytest.mark.fast_cases("no action", "at commit")
@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (INDEX + refuse("OLD.id = 3000"), "row is sacred"),
        (refuse("OLD.id = 3000", code="insufficient_privilege"), "row is sacred"),
        (refuse("OLD.id = 3000", code="LH001", late=True), "row is sacred"),
        (INDEX + REFERENCES.format(""), "violates foreign key"),
        (REFERENCES.format("ON DELETE RESTRICT"), "violates"),
        (REFERENCES.format("DEFERRABLE INITIALLY DEFERRED"), "violates foreign key"),
        (
            "CREATE TABLE audit (id int PRIMARY KEY); INSERT INTO audit VALUES (3000);"
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO audit VALUES (OLD.id); RETURN NULL; END';"
            "CREATE TRIGGER note AFTER DELETE ON log FOR EACH ROW EXECUTE FUNCTION note()",
            "duplicate key",
        ),
    ],
    ids=["trigger", "privilege of a trigger", "at commit", "no action", "restrict", "deferred", "another table's key"],
)
def test_one_row_is_refused(house: House, cause: str, said: str) -> None:
    """Whether the table is walked by place or by time, with several workers."""
    house.sql(LOG + cause)

    done = archive(house, policy_for("log"), chunk_bytes=100_000, workers=2).result

    assert (done.status, done.archived_rows, done.refused_rows) == ("partial", 4999, 1)
    assert done.refused[0].startswith("(id) = (3000): ") and said in done.refused[0]
    assert ids(house) == [3000]
    assert archived_ids(house) == [n for n in range(1, 5001) if n != 3000]
    assert {entry["state"] for entry in house.ledger()} <= {"archived", "swept"}
    again = archive(house, policy_for("log")).result
    assert (again.status, again.archived_rows, again.refused_rows) == ("partial", 0, 1)


def test_many_rows_are_refused_in_bounded_time(house: House) -> None:
    """Each chunk has some; then more than are left out one by one, which is said."""
    house.sql(LOG + refuse("OLD.id % 10 = 0"))
    done = archive(house, policy_for("log"), chunk_bytes=100_000).result
    assert (done.archived_rows, done.refused_rows, len(done.refused)) == (4500, 500, 20)
    assert "500 due rows were left" in done.warnings[0] and "and 480 more" in done.warnings[0]

    house.sql("DROP TRIGGER refuse ON log; DROP FUNCTION refuse; TRUNCATE log;" + LOG.split(";", 1)[1])
    house.sql(refuse("OLD.id > 100"))
    done = archive(house, policy_for("log")).result
    assert (done.status, done.archived_rows, done.refused_rows) == ("partial", 100, 2000)
    assert "parts of the table were left" in done.warnings[1]
    assert ids(house) == list(range(101, 5001))


def test_a_table_that_refuses_every_row_fails_by_its_name(house: House) -> None:
    """As it did, once more rows are refused than are left out one by one."""
    house.sql(LOG + refuse("true"))
    done = archive(house, policy_for("log"), chunk_bytes=100_000).result
    assert done.error is not None and (done.status, done.archived_rows) == ("failed", 0)
    assert "log" in str(done.error) and "sacred" in str(done.error)


def test_rows_that_are_refused_only_together(house: House) -> None:
    house.sql(
        LOG + "CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT count(*) FROM gone) > 600 THEN RAISE 'too many at once'; END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER few AFTER DELETE ON log REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION few()"
    )
    done = archive(house, policy_for("log")).result
    assert (done.status, done.archived_rows, ids(house)) == ("ok", 5000, [])


def test_rows_without_a_key_are_named_by_their_place(house: House) -> None:
    house.sql(LOG + refuse("OLD.id = 7") + "ALTER TABLE log DROP CONSTRAINT log_pkey")
    assert archive(house, policy_for("log")).result.refused == ("ctid (0,7): row is sacred",)


def test_a_partition_that_cannot_be_dropped_goes_by_rows_but_for_one(house: House) -> None:
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz, PRIMARY KEY (id, created_at))"
        " PARTITION BY RANGE (created_at);"
        "CREATE TABLE log_old PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');"
        "INSERT INTO log SELECT n, timestamptz '2025-01-01' + n * interval '1 minute' FROM generate_series(1, 500) n;"
        + refuse("OLD.id = 250")
    )
    done = archive(house, policy_for("log")).result
    assert (done.archived_rows, done.refused_rows, ids(house)) == (499, 1, [250])
    assert done.refused[0].startswith("(id, created_at) = (250, 2025-01-01 04:10:00+00): ")


def test_sqlite(sqlite_house: House) -> None:
    """Refused at once, by what a trigger does elsewhere, and at COMMIT, by a reference that a trigger makes."""
    for statement in (
        "CREATE TABLE log (id INTEGER PRIMARY KEY, created_at TEXT)",
        "CREATE TABLE audit (id INTEGER PRIMARY KEY, CHECK (id <> 30))",
        "CREATE TABLE child (log_id INTEGER REFERENCES log DEFERRABLE INITIALLY DEFERRED)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
        " INSERT INTO log SELECT i, '2025-01-01 00:00:00' FROM n",
        "CREATE TRIGGER note AFTER DELETE ON log BEGIN INSERT INTO audit VALUES (OLD.id); END",
        "CREATE TRIGGER again AFTER DELETE ON log WHEN OLD.id = 70 BEGIN INSERT INTO child VALUES (OLD.id); END",
    ):
        sqlite_house.sql(statement)
    sqlite_house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')

    told = sqlite_house.run_table()

    assert (told["status"], told["archived_rows"], told["refused_rows"]) == ("partial", 198, 2)
    assert sorted(said.split(":")[0] for said in told["refused"]) == ["row 30", "row 70"]
    assert ids(sqlite_house) == [30, 70]
    assert archived_ids(sqlite_house) == [n for n in range(1, 201) if n not in (30, 70)]


BACK = """
CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  {body}
  RETURN NULL;
END $$;
"""
AGAIN = "INSERT INTO log VALUES (OLD.*);"


@pytest.mark.parametrize(
    ("body", "trigger"),
    [
        (AGAIN, "TRIGGER back AFTER DELETE ON log FOR EACH ROW"),
        (AGAIN, "CONSTRAINT TRIGGER back AFTER DELETE ON log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"),
        (f"BEGIN {AGAIN} EXCEPTION WHEN others THEN NULL; END;", "TRIGGER back AFTER DELETE ON log FOR EACH ROW"),
        (
            "INSERT INTO log SELECT * FROM gone WHERE id = 3;",
            "TRIGGER back AFTER DELETE ON log REFERENCING OLD TABLE AS gone FOR EACH STATEMENT",
        ),
    ],
    ids=["row", "at commit", "in a subtransaction", "statement, one row"],
)
def test_a_trigger_that_puts_rows_back(house: House, body: str, trigger: str) -> None:
    house.sql(LOG + BACK.format(body=body) + f"CREATE {trigger} EXECUTE FUNCTION back()")

    refusal = refused(house)

    assert refusal["guard"] == "returning_rows"
    assert "trigger back puts them there" in refusal["message"] and "log" in refusal["message"]
    assert refusal["hint"] == "disable the trigger; nothing of this chunk was deleted"


@pytest.mark.parametrize(
    ("body", "trigger"),
    [
        ("DELETE FROM log WHERE id = OLD.id + 100000;", "TRIGGER others AFTER DELETE ON log FOR EACH ROW"),
        (
            "IF OLD.id = 4000 THEN DELETE FROM log WHERE id = 104000; END IF;",
            "CONSTRAINT TRIGGER others AFTER DELETE ON log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
        ),
        (
            "IF pg_trigger_depth() = 1 THEN"
            " DELETE FROM log WHERE id IN (SELECT id + 100000 FROM gone WHERE id = 4000); END IF;",
            "TRIGGER others AFTER DELETE ON log REFERENCING OLD TABLE AS gone FOR EACH STATEMENT",
        ),
    ],
    ids=["row", "one row, at commit", "one row, statement"],
)
def test_a_trigger_that_deletes_rows_which_nobody_archives(house: House, body: str, trigger: str) -> None:
    house.sql(LOG + "INSERT INTO log SELECT id + 100000, timestamptz '2025-10-01', word FROM log;" + INDEX)
    house.sql(BACK.format(body=body) + f"CREATE {trigger} EXECUTE FUNCTION back()")

    result = archive(house, policy_for("log"), chunk_bytes=50_000).result

    assert result.refusal is not None and result.refusal.guard == "vanishing_rows", result
    assert "trigger others deletes them" in result.refusal.message
    assert "or have it leave the table's other rows alone" in result.refusal.hint
    left, away = ids(house), archived_ids(house)
    assert sorted(left + away) == [n + shift for shift in (0, 100000) for n in range(1, 5001)]
    assert 4000 in left and 104000 in left


def test_a_trigger_of_sqlite_that_deletes_rows_which_nobody_archives(sqlite_house: House) -> None:
    sqlite_house.sql("CREATE TABLE log (id int, created_at text)")
    sqlite_house.sql(
        "INSERT INTO log VALUES (1, '2025-01-01 00:00:00'), (2, '2025-01-02 00:00:00'), (3, '2025-10-10 00:00:00')"
    )
    sqlite_house.sql("CREATE TRIGGER others AFTER DELETE ON log BEGIN DELETE FROM log WHERE id = OLD.id + 1; END")

    sqlite_house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')

    refusal = sqlite_house.run_table()["refusal"]

    assert refusal["guard"] == "vanishing_rows" and "trigger others" in refusal["message"]
    assert (ids(sqlite_house), archived_ids(sqlite_house)) == ([1, 2, 3], [])
