"""A dry run changes nothing, waits for nobody, and leaves nothing behind.

That it counts what a real run deletes is part of `expired()`, and so of every test that calls it.
"""

from __future__ import annotations

import pg8000.native

from tests.support.expiry_runs import (
    JOB,
    MAKE_JOB,
    deleted,
    expire,
    expired,
    files_of,
    jobs,
    only,
    outbox,
    put,
    script,
    wait_in_outbox,
)
from tests.support.house import House

MAKE_FILE = "CREATE TABLE file (id int PRIMARY KEY, job_id int REFERENCES job ON DELETE CASCADE, s3_key text);"
FILES = "INSERT INTO file VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 2, ''), (4, 3, 'c');"


def test_nothing_is_made(home: House) -> None:
    """Neither our own tables, on a database that has none of them, nor a record of the run."""
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    script(home, MAKE_JOB + jobs(1, 2, living=[3]) + MAKE_FILE + FILES)
    put(home, "a", "b", "c")
    home.policies(JOB + files_of("file"))
    catalogue = "sqlite_master" if home.url.startswith("sqlite") else "pg_class"
    before = home.state(), home.value(f"SELECT count(*) FROM {catalogue}")

    answer = expire(home, dry_run=True)

    assert (home.state(), home.value(f"SELECT count(*) FROM {catalogue}")) == before
    assert home.runs() == []
    assert (answer["status"], only(answer)["expired"], answer["complete"]) == ("dry_run", 2, False)
    assert deleted(answer) == {"job": 2, "file": 3}
    assert answer["files"]["queued"] == 2
    assert "파일 2개" in home.slack.messages[-1].seen


def test_nothing_due(home: House) -> None:
    script(home, MAKE_JOB + jobs(living=[1]) + MAKE_FILE)

    answer = expired(home, JOB)

    assert (only(answer)["expired"], deleted(answer)) == (0, {})


def test_locked_rows_count_and_nobody_waits(house: House) -> None:
    """Somebody holds a job and a file: a real run passes them over, a dry one only looks."""
    house.sql(MAKE_JOB + jobs(1, 2) + MAKE_FILE + FILES.replace(", (4, 3, 'c')", ""))
    house.policies(JOB)
    house.env["EXPIRE_LOCK_TIMEOUT"] = "0.2"
    parts = house.url.rpartition(":")[2].partition("/")
    other = pg8000.native.Connection("postgres", "127.0.0.1", house.database, int(parts[0]), ssl_context=False)
    try:
        other.run("BEGIN; SELECT FROM job WHERE id = 1 FOR UPDATE; SELECT FROM file WHERE id = 2 FOR UPDATE")
        assert deleted(expire(house, dry_run=True)) == {"job": 2, "file": 3}
        real = only(expire(house))
        assert (real["expired"], real["busy"]) == (0, 2)
    finally:
        other.close()


def test_files_that_wait_already_are_told(home: House) -> None:
    script(home, MAKE_JOB + jobs(living=[1]))
    home.policies(JOB)
    expire(home)
    wait_in_outbox(home, "somewhere", "a", next_try="2025-10-16 00:00:00.000000")

    answer = expire(home, dry_run=True)

    assert (answer["files"]["waiting"], answer["files"]["queued"]) == (1, 0)
    assert outbox(home) == [("somewhere", "a")]
