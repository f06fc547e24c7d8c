"""What hangs on a row goes with it: at any depth, by any key, once. What only looks like it stays."""

from __future__ import annotations

import pytest

from tests.support.expiry_runs import JOB, MAKE_JOB, column, deleted, expired, files_of, jobs, label, only, put, script
from tests.support.house import House

ACTIONS = ["", "ON DELETE CASCADE", "ON DELETE RESTRICT", "DEFERRABLE INITIALLY DEFERRED"]


@pytest.mark.fast_cases("ON DELETE CASCADE")
@pytest.mark.parametrize("action", ACTIONS)
def test_any_depth(home: House, action: str) -> None:
    script(home, MAKE_JOB + jobs(1, 2, living=[3]))
    parent = "job"
    for depth in range(1, 8):
        table = f"level_{depth}"
        script(
            home,
            f"CREATE TABLE {table} (id int PRIMARY KEY, parent_id int REFERENCES {parent} (id) {action});"
            f"INSERT INTO {table} SELECT id, id FROM {parent}; INSERT INTO {table} VALUES ({100 + depth}, NULL)",
        )
        parent = table

    answer = expired(home, JOB)

    order = [label(home, f"level_{depth}") for depth in range(7, 0, -1)]
    assert list(only(answer)["deleted_rows"]) == [*order, label(home, "job")]
    # The rows of level 1 that hang on nothing have no parent, and keep what hangs on them.
    assert column(home, "level_7") == [3, 101, 102, 103, 104, 105, 106, 107]
    assert column(home, "job") == [3]


@pytest.mark.fast_cases("ON DELETE CASCADE")
@pytest.mark.parametrize("action", ACTIONS)
def test_several_ways_to_one_row(home: House, action: str) -> None:
    """A comment hangs on a job, on a document of it, and on a reviewer of the document."""
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[2])
        + f"""
        CREATE TABLE document (id int PRIMARY KEY, job_id int REFERENCES job {action}, s3_key text);
        CREATE TABLE review (id int PRIMARY KEY, document_id int REFERENCES document {action},
            job_id int REFERENCES job {action}, s3_key text);
        CREATE TABLE comment (job_id int REFERENCES job {action}, document_id int REFERENCES document {action},
            review_id int REFERENCES review {action}, other_review_id int REFERENCES review {action}, s3_key text);
        INSERT INTO document VALUES (10, 1, 'd10'), (20, 2, 'd20');
        INSERT INTO review VALUES (100, 10, 1, 'r100'), (101, 10, 2, 'r101'), (102, 20, 1, 'r102'),
            (200, 20, 2, 'r200');
        INSERT INTO comment VALUES (1, 10, 100, 101, 'c1'), (2, 20, 200, 102, 'c2'), (NULL, NULL, 200, 101, 'c3'),
            (1, NULL, NULL, NULL, 'c4'), (2, 20, 200, NULL, 'c5'), (NULL, NULL, NULL, NULL, 'c6');
        """,
    )
    names = ["d10", "d20", "r100", "r101", "r102", "r200", "c1", "c2", "c3", "c4", "c5", "c6"]
    put(home, *names)
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    files = "".join(files_of(table) for table in ("document", "review", "comment"))

    answer = expired(home, JOB + files)

    assert deleted(answer) == {"job": 1, "document": 1, "review": 3, "comment": 4}
    assert column(home, "comment", "s3_key") == ["c5", "c6"]
    assert home.s3.keys(home.bucket) == ["c5", "c6", "d20", "r200"]
    assert answer["files"]["queued"] == answer["files"]["deleted"] == 8


def test_composite_keys_and_nulls(home: House) -> None:
    """MATCH SIMPLE: a reference with a null in it is none."""
    script(
        home,
        """
        CREATE TABLE job (tenant int, number text, expires_at timestamp, PRIMARY KEY (number, tenant),
            UNIQUE (tenant, number));
        CREATE TABLE line (tenant int, job_number text, n int, PRIMARY KEY (tenant, job_number, n),
            FOREIGN KEY (tenant, job_number) REFERENCES job (tenant, number));
        CREATE TABLE note (id int, tenant int, job_number text, line int,
            FOREIGN KEY (tenant, job_number, line) REFERENCES line (tenant, job_number, n));
        INSERT INTO job VALUES (1, 'a', '2025-10-01'), (1, 'b', '2025-11-01'), (2, 'a', '2025-11-01');
        INSERT INTO line VALUES (1, 'a', 1), (1, 'a', 2), (1, 'b', 1), (2, 'a', 1);
        INSERT INTO note VALUES (1, 1, 'a', 1), (2, 1, 'a', 2), (3, 1, 'a', NULL), (4, NULL, 'a', 1), (5, 1, 'b', 1),
            (6, 2, 'a', 1), (7, NULL, NULL, NULL), (8, NULL, 'zz', 99);
        """,
    )

    answer = expired(home, JOB)

    assert deleted(answer) == {"job": 1, "line": 2, "note": 2}
    assert column(home, "note") == [3, 4, 5, 6, 7, 8]


def test_unique_keys_other_than_the_primary_one(home: House) -> None:
    script(
        home,
        """
        CREATE TABLE job (id int PRIMARY KEY, code text UNIQUE, expires_at timestamp);
        CREATE TABLE part (id int PRIMARY KEY, job_code text REFERENCES job (code), serial text UNIQUE);
        CREATE TABLE scan (id int PRIMARY KEY, serial text REFERENCES part (serial));
        INSERT INTO job VALUES (1, 'x', '2025-10-01'), (2, NULL, '2025-10-01'), (3, 'y', '2025-11-01');
        INSERT INTO part VALUES (1, 'x', 's1'), (2, 'x', NULL), (3, NULL, 's3'), (4, 'y', 's4');
        INSERT INTO scan VALUES (1, 's1'), (2, NULL), (3, 's3'), (4, 's4');
        """,
    )

    answer = expired(home, JOB)

    assert deleted(answer) == {"job": 2, "part": 2, "scan": 1}
    assert (column(home, "part"), column(home, "scan")) == ([3, 4], [2, 3, 4])


@pytest.mark.parametrize(("action", "left"), [("SET NULL", None), ("SET DEFAULT", 3)])
def test_rows_that_are_meant_to_stay(home: House, action: str, left: int | None) -> None:
    """Also what hangs on them, and their files."""
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[3])
        + f"""
        CREATE TABLE invoice (id int PRIMARY KEY, job_id int DEFAULT 3 REFERENCES job ON DELETE {action}, pdf text);
        CREATE TABLE line (id int PRIMARY KEY, invoice_id int REFERENCES invoice ON DELETE CASCADE);
        CREATE TABLE draft (id int PRIMARY KEY, job_id int REFERENCES job ON DELETE CASCADE,
            invoice_id int REFERENCES invoice ON DELETE CASCADE);
        INSERT INTO invoice VALUES (1, 1, 'kept.pdf'), (2, 3, 'kept.pdf'); INSERT INTO line VALUES (1, 1), (2, 2);
        INSERT INTO draft VALUES (1, 1, 1), (2, 3, 1);
        """,
    )

    answer = expired(home, JOB)

    assert deleted(answer) == {"job": 1, "draft": 1}
    assert home.sql("SELECT id, job_id FROM invoice ORDER BY id") == [(1, left), (2, 3)]
    assert column(home, "line") == [1, 2]


def test_a_reference_that_is_set_null_among_rows_that_all_go(home: House) -> None:
    """A job names its newest report, which hangs on the job."""
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[2])
        + """
        CREATE TABLE report (id int PRIMARY KEY, job_id int NOT NULL REFERENCES job ON DELETE CASCADE);
        INSERT INTO report VALUES (10, 1), (11, 1), (20, 2);
        ALTER TABLE job ADD COLUMN newest int REFERENCES report ON DELETE SET NULL;
        UPDATE job SET newest = 11 WHERE id = 1; UPDATE job SET newest = 10 WHERE id = 2;
        """,
    )

    answer = expired(home, JOB)

    assert deleted(answer) == {"job": 1, "report": 2}
    assert home.sql("SELECT id, newest FROM job") == [(2, None)]


def test_a_leaf_needs_no_primary_key(home: House) -> None:
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[2])
        + """
        CREATE TABLE log (job_id int REFERENCES job, line text);
        INSERT INTO log VALUES (1, 'same'), (1, 'same'), (1, 'same'), (2, 'same'), (NULL, 'same');
        """,
    )

    assert deleted(expired(home, JOB)) == {"job": 1, "log": 3}


def test_more_rows_than_a_batch(home: House) -> None:
    home.env["EXPIRE_BATCH"] = "7"
    script(home, MAKE_JOB + jobs(*range(1, 51), living=[51]) + "CREATE TABLE log (job_id int REFERENCES job);")
    script(home, "INSERT INTO log SELECT id FROM job; INSERT INTO log SELECT id FROM job")

    assert deleted(expired(home, JOB)) == {"job": 50, "log": 100}


def test_types_that_differ_on_both_sides(house: House) -> None:
    """PostgreSQL lets a key reference another type, as long as both can be compared."""
    house.sql(
        "CREATE DOMAIN number AS bigint; CREATE TYPE kind AS ENUM ('a', 'b');"
        "CREATE TABLE job (id number, kind kind, expires_at timestamp, PRIMARY KEY (id, kind));"
        "CREATE TABLE log (job_id smallint, kind kind, FOREIGN KEY (job_id, kind) REFERENCES job);"
        "CREATE TABLE step (name varchar(9) PRIMARY KEY, job_id number, kind kind,"
        " FOREIGN KEY (job_id, kind) REFERENCES job); CREATE TABLE scan (step text REFERENCES step);"
        "INSERT INTO job VALUES (1, 'a', '2025-10-01'), (1, 'b', '2025-11-01');"
        "INSERT INTO log VALUES (1, 'a'), (1, 'b'); INSERT INTO step VALUES ('x', 1, 'a'), ('y', 1, 'b');"
        "INSERT INTO scan VALUES ('x'), ('y')"
    )

    assert deleted(expired(house, JOB)) == {"job": 1, "log": 1, "step": 1, "scan": 1}
