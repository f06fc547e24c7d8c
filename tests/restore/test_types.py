"""Every type of PostgreSQL and its awkward values go into the archive and come back, bit for bit, on every server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import SlackServer
from tests.restore.torture import Torture
from tests.support.handler import run_job
from tests.support.house import AS_OF, House

ROWS = 1_000
MANY_ROWS = 10_000
"""The awkward values of a type come first, and are fewer than `ROWS`; the others are drawn."""

HOSTILE = {
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "array_nulls": "off",
    "standard_conforming_strings": "off",
    "xmloption": "document",
    "default_transaction_isolation": "serializable",
}
"""Settings of a database that change how values are read or written; none may reach the archive."""
EXACT = "_nightshift_exact"

WITHOUT_INPUT = {
    *("gtsvector", "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "xml"),
    *("pg_brin_bloom_summary", "pg_brin_minmax_multi_summary"),
}
"""Types whose values nobody can write; and `xml`, for which a server may have been built without the library."""


def other_servers() -> list[str]:
    """The wheel's older server, the one that PG_BIN names, and what the system has."""
    named = [os.environ["PG_BIN"]] if "PG_BIN" in os.environ else []
    installed = sorted(str(path) for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists())
    return ["16", *(dict.fromkeys([*named, *installed]) or ["PG_BIN"])]


@pytest.fixture(
    scope="module", params=["18", *(pytest.param(other, marks=pytest.mark.slow) for other in other_servers())]
)
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    if request.param == "PG_BIN":
        pytest.skip("no other PostgreSQL here: set PG_BIN to the directory of its programs")
    with pytest.MonkeyPatch.context() as patch:
        if "/" in request.param:
            patch.setenv("PG_BIN", request.param)
            server = EmbeddedPostgres(settings=DISPOSABLE)
        else:
            patch.delenv("PG_BIN", raising=False)
            server = EmbeddedPostgres(int(request.param), settings=DISPOSABLE)
    with server:
        yield server


@pytest.fixture
def lot(
    server: EmbeddedPostgres, surroundings: dict[str, str], s3: EmbeddedS3, slack: SlackServer, tmp_path: Path
) -> Iterator[House]:
    """A deployment on an empty database of `server`."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    url = server.create_database(name)
    built = House({**surroundings, "DATABASE_URL": url, "CLEANUP_CHUNK_MB": "8"}, s3, slack, tmp_path)
    yield built
    built.close()
    server.drop_database(name)


def restore(house: House, table: str, **event: Any) -> dict[str, Any]:
    return run_job("restore", house.env, {"scheduled_time": AS_OF, "table": table, **event})


def assert_equal(torture: Torture, before: dict[int, tuple[str, str]], table: str) -> None:
    """The same rows, the same bits; where not, the shortest value of each column that differs."""
    after = torture.fingerprints(table)
    assert after.keys() == before.keys()
    assert [key for key in before if before[key] != after[key]] == [], torture.differences(table, len(before) - 1)


@pytest.mark.parametrize("rows", [ROWS, pytest.param(MANY_ROWS, marks=pytest.mark.slow)])
def test_every_type_comes_back_bit_for_bit(lot: House, rows: int) -> None:
    torture = Torture(lot)
    torture.make()
    torture.fill(rows)
    before, types = torture.fingerprints(), torture.types()

    archived = lot.run_table()

    assert archived["archived_rows"] == len(before)
    assert archived["objects"] > 5
    assert lot.value("SELECT count(*) FROM torture") == 0
    restored = restore(lot, "torture")
    assert (restored["status"], restored["restored_rows"]) == ("ok", len(before))
    assert restored["into"] == "public.torture_restored"
    assert torture.types("torture_restored") == types
    assert_equal(torture, before, "torture_restored")

    again = restore(lot, "torture")

    assert (again["restored_rows"], again["already"]) == (0, archived["objects"])
    assert torture.fingerprints("torture_restored").keys() == before.keys()


def test_no_type_is_forgotten(lot: House) -> None:
    """The table has a column of every type that the catalogue comes with, and of its array."""
    Torture(lot).make()
    missing = lot.sql(
        "SELECT t.typname::text FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'"
        " WHERE t.typtype IN ('b', 'r', 'm') AND COALESCE(e.typtype IN ('b', 'r', 'm'), true)"
        " AND t.typnamespace = 'pg_catalog'::regnamespace"
        " AND t.oid NOT IN (SELECT atttypid FROM pg_attribute WHERE attrelid = 'torture'::regclass)"
    )
    assert {name.removeprefix("_") for (name,) in missing} - WITHOUT_INPUT == set()


def test_every_bit_of_a_float_comes_back(lot: House) -> None:
    """There are many NaNs, which print alike: what the C library reads, the archive keeps."""
    lot.sql("CREATE TABLE log (id int PRIMARY KEY, at timestamptz DEFAULT '2025-01-01', f float8, r float4)")
    for number, value in enumerate(["-nan", "nan(0x5)", "nan", "-0", "5e-324"]):
        lot.sql(f"INSERT INTO log VALUES ({number}, DEFAULT, '{value}', '{value.replace('5e-324', '1e-45')}')")
    lot.policies('[[retention]]\ntable = "log"\ntimestamp = "at"\nkeep_days = 30')
    bits = "id, encode(float8send(f), 'hex'), encode(float4send(r), 'hex')"
    before = lot.sql(f"SELECT {bits} FROM log ORDER BY id")
    assert len({row[1:] for row in before}) == 5

    lot.run()

    assert restore(lot, "log")["restored_rows"] == 5
    assert lot.sql(f"SELECT {bits} FROM log_restored ORDER BY id") == before


@pytest.mark.slow
def test_every_type_comes_back_into_the_original(lot: House) -> None:
    """The server computes its own columns again, and comes to the same; whatever the database's settings are."""
    torture = Torture(lot)
    torture.make()
    torture.fill(ROWS)
    before, types = torture.fingerprints(), torture.types()
    for name, value in HOSTILE.items():
        lot.sql(f"ALTER DATABASE {lot.database} SET {name} = '{value}'")
    assert lot.run_table()["archived_rows"] == len(before)

    restored = restore(lot, "torture", into_original=True)

    assert (restored["status"], restored["restored_rows"], restored["existing_rows"]) == ("ok", len(before), 0)
    assert torture.types() == types
    assert_equal(torture, before, "torture")


@pytest.mark.slow
def test_objects_with_and_without_exact_values_come_back_together(house: House) -> None:
    """Only what needs it has the column `_nightshift_exact`, and in it only some rows."""
    house.sql("CREATE TABLE log (id int PRIMARY KEY, at timestamptz, day date, n numeric(6,2), t time)")
    house.policies('[[retention]]\ntable = "log"\ntimestamp = "at"\nkeep_days = 30')
    before = []
    plain = "('2025-01-01', 1.5, '12:00')", "(NULL, NULL, NULL)", "('2025-01-02', -0.01, '23:59:59.999999')"
    awkward = "('infinity', 1, '24:00')", "('2025-01-03', 'NaN', '00:00')", "('5874897-12-31', 'NaN', NULL)"
    for number, rows in enumerate([plain, (*plain, *awkward), (*awkward, *plain), plain]):
        values = ", ".join(
            f"({number * 10 + n}, timestamptz '2025-08-01 12:00+09' + {n % 2} * interval '1 day', {row[1:]}"
            for n, row in enumerate(rows)
        )
        house.sql(f"INSERT INTO log VALUES {values}")
        before += house.texts("log")
        house.run()

    objects = house.objects()
    assert [EXACT in one.rows.column_names for one in objects].count(True) == len(objects) // 2 == 4
    assert restore(house, "log")["restored_rows"] == len(before)
    assert sorted(house.texts("log_restored")) == sorted(before)
    assert restore(house, "log")["restored_rows"] == 0
    assert sorted(house.texts("log_restored")) == sorted(before)
