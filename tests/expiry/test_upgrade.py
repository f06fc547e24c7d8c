"""An outbox that an earlier version left, with one file a row, is taken over with all that waits in it."""

from __future__ import annotations

import pytest

from nightshift.errors import NightshiftError
from tests.support.expiry_runs import JOB, MAKE_JOB, expire, files_of, jobs, outbox, put, script
from tests.support.house import House

KEYS = ('say "no".pdf', "보고서/1.pdf", "back\\slash", "plain")
TABLE = "nightshift_file_deletion"
POLICY = JOB + files_of("file")
MAKE_FILES = "CREATE TABLE file (id int PRIMARY KEY, job_id int REFERENCES job, s3_key text);"


def _old_outbox(home: House) -> None:
    """As `expire_jobs` made it before a row held a list."""
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    postgresql = not home.url.startswith("sqlite")
    number = "bigserial PRIMARY KEY" if postgresql else "INTEGER PRIMARY KEY AUTOINCREMENT"
    moment = "timestamp with time zone" if postgresql else "DATETIME"
    script(
        home,
        f"CREATE TABLE {TABLE} (id {number}, bucket text NOT NULL, object_key text NOT NULL,"
        " run_id varchar(32) NOT NULL, attempts integer DEFAULT '0' NOT NULL, last_error text,"
        f" next_try {moment} NOT NULL);",
    )
    for key in KEYS:
        script(
            home,
            f"INSERT INTO {TABLE} (bucket, object_key, run_id, attempts, last_error, next_try) VALUES"
            f" ('{home.bucket}', '{key}', 'r', 1, 'SlowDown', '2025-01-01 00:00:00.000000');",
        )


def test_what_waits_is_deleted(home: House) -> None:
    _old_outbox(home)
    script(home, MAKE_JOB + jobs(1) + MAKE_FILES + "INSERT INTO file VALUES (1, 1, 'new');")
    put(home, *KEYS, "new", "unnamed")
    home.policies(POLICY)

    files = expire(home)["files"]

    assert home.s3.keys(home.bucket) == ["unnamed"]
    assert (files["queued"], files["deleted"]) == (1, len(KEYS) + 1)
    assert outbox(home) == []


def test_a_file_that_a_row_still_names_stays(home: House) -> None:
    _old_outbox(home)
    script(home, MAKE_JOB + jobs(living=[1]) + MAKE_FILES + f"INSERT INTO file VALUES (1, 1, '{KEYS[0]}');")
    put(home, *KEYS)
    home.policies(POLICY)

    files = expire(home)["files"]

    assert home.s3.keys(home.bucket) == [KEYS[0]]
    assert (files["deleted"], files["kept"]) == (len(KEYS) - 1, 1)


def test_a_dry_run_touches_nothing_and_says_so(home: House) -> None:
    _old_outbox(home)
    script(home, MAKE_JOB + jobs(1) + MAKE_FILES)
    home.policies(POLICY)

    with pytest.raises(NightshiftError, match="an earlier version's"):
        expire(home, dry_run=True)

    assert [key for (key,) in home.sql(f"SELECT object_key FROM {TABLE} ORDER BY id")] == list(KEYS)
