"""A reference and a file's key are compared as the database compares the one, and byte by byte the other."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import SlackServer
from tests.support.expiry_runs import (
    DUE,
    JOB,
    LATER,
    MAKE_JOB,
    column,
    expire,
    expired,
    files_of,
    jobs,
    only,
    put,
    refused,
    script,
)
from tests.support.house import House

IN_CASE = {"sqlite": "COLLATE NOCASE", "postgresql": "COLLATE ci"}
PAIRS = "CREATE TABLE job (id text {job} PRIMARY KEY, expires_at timestamp);"
CITEXT = "CREATE EXTENSION citext SCHEMA {schema};"
CI = "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"


@pytest.fixture(scope="module")
def icu() -> Iterator[EmbeddedPostgres]:
    """A server with ICU and contrib, which the wheel's have not."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = os.environ.get("PG_BIN") or (str(installed[-1].parent) if installed else None)
    if named is None:
        pytest.skip("no PostgreSQL with ICU here: set PG_BIN to the directory of its programs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PG_BIN", named)
        server = EmbeddedPostgres(settings=DISPOSABLE)
    with server:
        yield server


@pytest.fixture
def icu_house(
    icu: EmbeddedPostgres, surroundings: dict[str, str], s3: EmbeddedS3, slack: SlackServer, tmp_path: Path
) -> Iterator[House]:
    """A deployment on a database with the case-insensitive collation `ci`."""
    url = icu.create_database(f"test_{uuid.uuid4().hex[:12]}")
    built = House({**surroundings, "DATABASE_URL": url}, s3, slack, tmp_path)
    built.sql(CI)
    yield built
    built.close()


@pytest.fixture(params=["icu_house", "sqlite_house"], ids=["postgresql", "sqlite"])
def either(request: pytest.FixtureRequest) -> House:
    """A deployment whose database has case-insensitive collations."""
    built: House = request.getfixturevalue(request.param)
    return built


def in_case(house: House) -> str:
    return IN_CASE["sqlite" if house.url.startswith("sqlite") else "postgresql"]


def pair(*keys: str) -> str:
    """An expired job and living ones."""
    rows = [f"('{key}', '{LATER if n else DUE}')" for n, key in enumerate(keys)]
    return f"INSERT INTO job VALUES {', '.join(rows)};"


@pytest.mark.parametrize("action", ["", "ON DELETE CASCADE"])
def test_a_child_that_knows_no_case_hangs_on_its_parent_alone(sqlite_house: House, action: str) -> None:
    """SQLite compares by the parent's collation, whatever the child's."""
    house = sqlite_house
    script(house, PAIRS.format(job="") + pair("aB3", "Ab3"))
    part = f"CREATE TABLE part (id int, job_id text COLLATE NOCASE REFERENCES job {action}, s3_key text);"
    script(house, part + "INSERT INTO part VALUES (1, 'aB3', 'one'), (2, 'Ab3', 'two');")
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    put(house, "one", "two")

    expired(house, JOB + files_of("part"))

    assert (column(house, "part"), column(house, "job"), house.s3.keys(house.bucket)) == ([2], ["Ab3"], ["two"])


@pytest.mark.fast_cases("CASCADE")
@pytest.mark.parametrize("action", ["", "ON DELETE CASCADE"])
def test_a_parent_that_knows_no_case_takes_its_children(either: House, action: str) -> None:
    """Through two tables, by two columns, with another collation on each side; and a stated one, as a key would."""
    house = either
    other = "" if house.url.startswith("sqlite") else 'COLLATE "C"'
    if not house.url.startswith("sqlite") and house.value("SHOW server_version_num") >= "180000":
        other = in_case(house)
    script(
        house,
        f"""
        {PAIRS.format(job=in_case(house))} {pair("ABC", "ABD")}
        CREATE TABLE part (a text {in_case(house)}, b text, job_id text {other} REFERENCES job {action}, s3_key text,
          PRIMARY KEY (a, b));
        CREATE TABLE scan (id int, a text {other}, b text, FOREIGN KEY (a, b) REFERENCES part {action});
        CREATE TABLE note (id int, job text {other});
        INSERT INTO part VALUES ('x', 'y', 'abc', 'gone'), ('x', 'Y', 'abd', 'stays');
        INSERT INTO scan VALUES (1, 'X', 'y'), (2, 'X', 'Y'); INSERT INTO note VALUES (1, 'Abc'), (2, 'Abd');
        """,
    )
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    put(house, "gone", "stays")

    stated = '[[expiry.dependents]]\ntable = "note"\ncolumns = ["job"]\n'
    expired(house, JOB + stated + files_of("part"))

    assert [column(house, table) for table in ("scan", "note")] == [[2], [2]]
    assert (column(house, "part", "b"), house.s3.keys(house.bucket)) == (["Y"], ["stays"])


def test_a_server_that_deletes_by_another_comparison_is_kept_from_it(icu_house: House) -> None:
    """Before version 18 a key lets rows in by one collation, and finds them by the other when their parent goes."""
    house = icu_house
    if house.value("SHOW server_version_num") >= "180000":
        pytest.skip("PostgreSQL 18 makes no such key")
    for action in ("", "ON DELETE CASCADE", "ON DELETE SET NULL"):
        script(house, PAIRS.format(job='COLLATE "C"') + pair("Abc", "abC", "abd"))
        script(house, f"INSERT INTO job VALUES ('x', '{DUE}'), ('y', '{DUE}');")
        script(house, f"CREATE TABLE part (id int, job_id text COLLATE ci REFERENCES job {action});")
        script(house, "INSERT INTO part VALUES (1, 'abC'), (2, 'abd'), (3, 'x'), (4, 'Abc');")
        house.policies(JOB)

        told = only(expire(house))

        assert column(house, "job") == ["Abc", "abC", "abd"]
        left = [(1, "abC"), (2, "abd"), *([(3, None)] if "NULL" in action else []), (4, "Abc")]
        assert house.sql("SELECT id, job_id FROM part ORDER BY id") == left
        assert (told["status"], told["expired"], told["busy"]) == ("partial", 2, 1)
        assert any("(id) = (Abc)" in warning for warning in told["warnings"])
        script(house, "DROP TABLE part, job;")


def test_two_collations_that_are_equal_in_what_is_equal(house: House) -> None:
    """Neither is the default: without a COLLATE PostgreSQL knows not which to take. And a domain, and two integers."""
    script(house, PAIRS.format(job='COLLATE "C"') + pair("a", "A"))
    script(
        house,
        """
        CREATE DOMAIN name_of_part AS varchar(20);
        CREATE TABLE part (id int4 PRIMARY KEY, job_id name_of_part COLLATE "POSIX" REFERENCES job, long_id int8);
        ALTER TABLE part ADD UNIQUE (long_id);
        CREATE TABLE scan (id int, part_id int8 REFERENCES part);
        CREATE TABLE tile (id int, scan_id int2 REFERENCES part (long_id));
        CREATE TABLE code (id bpchar(4) PRIMARY KEY, part_id numeric);
        INSERT INTO part VALUES (1, 'a', 10), (2, 'A', 20); INSERT INTO scan VALUES (1, 1), (2, 2);
        INSERT INTO tile VALUES (1, 10), (2, 20); INSERT INTO code VALUES ('c1', 1), ('c2', 2);
        CREATE TABLE use (id int, code text REFERENCES code);
        INSERT INTO use VALUES (1, 'c1  '), (2, 'c2  ');
        """,
    )
    stated = '[[expiry.dependents]]\ntable = "code"\ncolumns = ["part_id"]\nreferences = "part"\n'
    expired(house, JOB + stated)
    assert [column(house, table) for table in ("part", "scan", "tile", "use")] == [[2], [2], [2], [2]]


def test_keys_of_a_type_with_operators_of_its_own(icu_house: House) -> None:
    """`citext`, in a schema that nobody looks into; a text column compares as it pleases the referenced one."""
    house = icu_house
    script(
        house,
        f"""
        CREATE SCHEMA types; {CITEXT.format(schema="types")}
        CREATE TABLE job (id types.citext PRIMARY KEY, expires_at timestamp); {pair("ABC", "ABD")}
        CREATE TABLE part (id text PRIMARY KEY, job_id types.citext REFERENCES job);
        CREATE TABLE scan (id int, part_id types.citext REFERENCES part);
        INSERT INTO part VALUES ('p', 'abc'), ('P', 'abd'); INSERT INTO scan VALUES (1, 'p'), (2, 'P');
        """,
    )
    expired(house, JOB)
    assert (column(house, "part"), column(house, "scan")) == (["P"], [2])


def test_an_affinity_is_the_referenced_columns(sqlite_house: House) -> None:
    """SQLite: `'05'` is 5 for a column of numbers, and not for one of text, until its row goes."""
    house = sqlite_house
    script(house, PAIRS.format(job="") + pair("05", "5") + f"INSERT INTO job VALUES ('7', '{DUE}');")
    script(house, "CREATE TABLE part (id int, job_id int REFERENCES job ON DELETE CASCADE);")
    script(house, "INSERT INTO part VALUES (1, 5), (2, 7);")
    house.policies(JOB)

    told = only(expire(house))

    assert (column(house, "part"), column(house, "job")) == ([1], ["05", "5"])
    assert (told["expired"], told["busy"]) == (1, 1)
    assert any("(id) = (05)" in warning for warning in told["warnings"])


def test_keys_that_are_null_or_only_one_by_another_collation(sqlite_house: House) -> None:
    """SQLite: a primary key may hold nulls, and have a collation that its column has not."""
    house = sqlite_house
    script(house, "CREATE TABLE job (id text COLLATE NOCASE, expires_at text, PRIMARY KEY (id COLLATE BINARY));")
    script(house, pair("abc", "ABC") + f"INSERT INTO job VALUES (NULL, '{DUE}');")
    expired(house, JOB)
    assert house.sql("SELECT id FROM job") == [("ABC",)]


@pytest.mark.fast_cases("abc")
@pytest.mark.parametrize("kept", ["abc", "ABC"])
def test_a_file_is_another_one_in_another_case(either: House, kept: str) -> None:
    house = either
    script(house, MAKE_JOB + jobs(1, living=[2]))
    script(house, f"CREATE TABLE part (id int, job_id int REFERENCES job, k text {in_case(house)}, t text);")
    script(house, "CREATE INDEX ON part (k);" if "sqlite" not in house.url else "CREATE INDEX k ON part (k);")
    goes = kept.swapcase()
    script(house, f"INSERT INTO part VALUES (1, 1, '{goes}', 'x'), (2, 2, '{kept}', 'x'), (3, 1, 'both', '{kept}');")
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    put(house, "abc", "ABC", "x", "both")

    files = expired(house, JOB + files_of("part", "k") + files_of("part", "t"))["files"]

    assert house.s3.keys(house.bucket) == sorted([kept, "x"])
    assert (files["queued"], files["deleted"], files["kept"]) == (4, 2, 2)


def test_files_in_a_column_of_citext(icu_house: House) -> None:
    house = icu_house
    script(house, CITEXT.format(schema="public") + MAKE_JOB + jobs(1, living=[2]))
    script(house, "CREATE TABLE part (job_id int REFERENCES job, k citext, b citext); CREATE INDEX ON part (k);")
    script(house, f"INSERT INTO part VALUES (1, 'ABC', '{house.bucket}'), (2, 'abc', '{house.bucket}');")
    put(house, "abc", "ABC")
    expired(house, JOB + files_of("part", "k", f'bucket_column = "b"\nbuckets = ["{house.bucket}"]'))
    assert house.s3.keys(house.bucket) == ["abc"]


def test_a_living_file_whose_key_is_stored_as_bytes(sqlite_house: House) -> None:
    house = sqlite_house
    script(house, MAKE_JOB + jobs(1, living=[2]) + "CREATE TABLE part (id int, job_id int REFERENCES job, k text);")
    script(house, "INSERT INTO part VALUES (1, 1, 'one'), (2, 2, x'6f6e65'), (3, 1, 'two');")
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    put(house, "one", "two")
    expired(house, JOB + files_of("part", "k"))
    assert house.s3.keys(house.bucket) == ["one"]


def test_a_commit_that_sqlite_refuses_fails_its_batch(sqlite_house: House) -> None:
    """By a row that a trigger puts where its parent is gone; and by a child that compares otherwise."""
    house = sqlite_house
    script(house, MAKE_JOB + jobs(1, 2, 3, 4, living=[5]))
    script(
        house,
        """
        CREATE TABLE part (id int, job_id int REFERENCES job);
        CREATE TABLE audit (job_id int REFERENCES job);
        CREATE TRIGGER put_back AFTER DELETE ON job WHEN old.id = 2 BEGIN INSERT INTO audit VALUES (old.id); END;
        INSERT INTO part VALUES (10, 1), (20, 2), (50, 5);
        """,
    )
    house.policies(JOB)

    told = only(expire(house))

    assert (column(house, "job"), column(house, "part")) == ([2, 5], [20, 50])
    assert (told["status"], told["expired"], told["failed"]) == ("partial", 3, 1)
    assert any("FOREIGN KEY" in warning and "job (id) = (2)" in warning for warning in told["warnings"])
    assert only(expire(house))["failed"] == 1


def test_a_living_row_in_an_index_of_another_collation_is_not_unique(icu_house: House) -> None:
    """What a policy's reference names must name one row by its own column's comparison."""
    house = icu_house
    script(house, MAKE_JOB + jobs(1) + "ALTER TABLE job ADD COLUMN name text COLLATE ci;")
    script(house, 'CREATE UNIQUE INDEX ON job (name COLLATE "C"); CREATE TABLE part (job_name text);')
    stated = '[[expiry.dependents]]\ntable = "part"\ncolumns = ["job_name"]\nreferenced = ["name"]\n'
    (refusal,) = refused(house, JOB + stated)
    assert refusal["guard"] == "wrong_reference"


def test_a_period_is_covered_by_several_rows(house: House) -> None:
    """A temporal key (18): what hangs on an expired row may hang on a living one, too."""
    if int(house.value("SHOW server_version_num")) < 180000:
        pytest.skip("temporal keys came with version 18")
    script(
        house,
        """
        CREATE TABLE job (id int4range, at daterange, expires_at timestamp, PRIMARY KEY (id, at WITHOUT OVERLAPS));
        CREATE TABLE part (id int, job int4range, at daterange, FOREIGN KEY (job, PERIOD at) REFERENCES job);
        """,
    )
    (refusal,) = refused(house, JOB)
    assert (refusal["guard"], "or drop PERIOD from the foreign key" in refusal["hint"]) == ("temporal_key", True)
