"""What an archive cannot hold is said by the dry run and the report; a row that cannot be sent is named."""

from __future__ import annotations

from typing import Any

import pytest

from nightshift.errors import NightshiftError
from tests.support.expiry_runs import DUE, JOB, MAKE_JOB, expire
from tests.support.house import House

POLICY = '[[retention]]\ntable = "doc"\nkeep_days = 30\n'
OLD = "'2025-08-01 12:00+09'"


def warned(answer: dict[str, Any], table: str = "doc") -> list[str]:
    (told,) = answer["tables"]
    return [w for w in told.get("warnings", []) if w.startswith(f"public.{table}")]


@pytest.mark.fast_cases("oid", "lo]")
@pytest.mark.parametrize("kind", ["oid", "lo", "file", "number"])
def test_large_objects(house: House, kind: str) -> None:
    """An `oid` that names some, the type of the extension of that name, domains; and an `oid` that names none."""
    house.sql("CREATE DOMAIN lo AS oid; CREATE DOMAIN file AS oid")
    declared = "oid" if kind == "number" else kind
    house.sql(f"CREATE TABLE doc (id int PRIMARY KEY, body {declared}, created_at timestamptz NOT NULL)")
    value = {"number": "1::oid", "lo": "NULL"}.get(kind, "lo_from_bytea(0, 'text')")
    house.sql(f"INSERT INTO doc SELECT n, {value}, {OLD} FROM generate_series(1, 3) n")
    house.policies(POLICY)

    for dry_run in (True, False):
        (warning,) = warned(house.run(dry_run=dry_run))
        assert ("names large objects" in warning) == (kind != "number"), warning
        assert "public.doc.body" in warning or "body (oid)" in warning
    assert house.value("SELECT count(*) FROM doc") == 0


def test_names_of_the_database_s_own_objects(house: House) -> None:
    house.sql("CREATE TABLE doc (a regclass, b oid[], c xid, d text, created_at timestamptz NOT NULL)")
    house.sql(f"INSERT INTO doc VALUES ('doc', '{{1}}', '7', 'x', {OLD})")
    house.policies(POLICY)
    (warning,) = warned(house.run(dry_run=True))
    assert "a (regclass), b (oid[]), c (xid): objects of this database" in warning


def test_of_a_cascade_that_is_archived(house: House) -> None:
    house.sql(MAKE_JOB + f"INSERT INTO job VALUES (1, '{DUE}')")
    house.sql("CREATE TABLE part (job_id int REFERENCES job, body oid)")
    house.sql("INSERT INTO part VALUES (1, lo_from_bytea(0, 'text'))")
    house.policies(JOB)
    assert warned(expire(house, dry_run=True), "part") == []

    house.policies(JOB + "archive = true")

    for dry_run in (True, False):
        (warning,) = warned(expire(house, dry_run=dry_run), "part")
        assert warning.startswith("public.part.body names large objects")


@pytest.mark.slow
def test_rows_that_are_very_large(house: House) -> None:
    """Of the second kind one value is 160 MB, and its text 1.3 GB: each bit is a digit."""
    house.sql("CREATE TABLE doc (id int PRIMARY KEY, raw bytea, bits varbit, created_at timestamptz NOT NULL)")
    house.sql(f"INSERT INTO doc SELECT n, 'x', '1', {OLD} FROM generate_series(1, 3) n")
    house.policies(POLICY)
    assert warned(house.run(dry_run=True)) == []
    house.sql(f"INSERT INTO doc VALUES (7, convert_to(repeat('x', 130 << 20), 'UTF8'), NULL, {OLD})")
    (warning,) = warned(house.run(dry_run=True))
    assert warning.startswith("public.doc has rows of 130 MB")
    bits = "(SELECT '1'::bit(80000000)::varbit AS b)"
    for _ in range(4):
        bits = f"(SELECT b || b AS b FROM {bits} x OFFSET 0)"
    house.sql(f"UPDATE doc SET raw = NULL, bits = {bits} WHERE id = 7")

    with pytest.raises(NightshiftError, match="a row is larger than PostgreSQL can send") as raised:
        house.run()

    assert "make the value smaller, or delete the row yourself" in str(raised.value.hint)
    assert str(raised.value.detail).startswith("public.doc: (id) = (7) is the largest row that is due")
    left = house.value("SELECT count(*) FROM doc")
    assert left + sum(entry["row_count"] for entry in house.ledger() if entry["state"] == "archived") == 4
    assert house.value("SELECT count(*) FROM doc WHERE id = 7") == 1
