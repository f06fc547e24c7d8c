"""The child that can be killed dies where it says, and the multisets see a row that is lost or doubled."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import closing

import pytest

from local.chatlog import connect
from local.s3 import EmbeddedS3
from nightshift.progress_events import ProgressStep
from tests.support.child import JobChild
from tests.support.handler import run_cleanup
from tests.support.multiset import Row, assert_exactly_once, ledger, rows_in_archive, rows_in_table, unaccounted_keys

TABLE = "conversation_log"
EVENT = {"scheduled_time": "2025-10-15T00:00:00Z"}


@pytest.fixture
def filled(database: str) -> str:
    """A database whose table has 400 rows, some due on each of many days."""
    with closing(connect(database)) as connection:
        connection.run(f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, payload text, created_at timestamptz NOT NULL)")
        connection.run(
            f"INSERT INTO {TABLE} SELECT i, 'payload ' || i, timestamptz '2025-09-01' + i * interval '2 hours'"
            " FROM generate_series(1, 400) AS i"
        )
    return database


def test_it_is_killed_at_the_step_and_the_turn_it_was_told(
    environment: dict[str, str], filled: str, s3: EmbeddedS3, bucket: str
) -> None:
    before = rows_in_table(filled, TABLE)
    child = JobChild(environment, EVENT, kill_at=ProgressStep.UPLOADED, occurrence=3)
    assert child.wait() == -signal.SIGKILL
    assert child.steps[-1] is ProgressStep.UPLOADED
    assert child.steps.count(ProgressStep.UPLOADED) == 3
    assert (child.answer, child.error) == (None, None)
    assert rows_in_table(filled, TABLE) == before
    assert unaccounted_keys(s3, bucket, filled)
    assert {entry["state"] for entry in ledger(filled)} == {"pending"}


def test_it_stands_still_until_it_may_go_on(
    environment: dict[str, str], filled: str, s3: EmbeddedS3, bucket: str
) -> None:
    before = rows_in_table(filled, TABLE)
    child = JobChild(environment, EVENT, hold_at=ProgressStep.COMMITTING)
    child.await_step(ProgressStep.COMMITTING)
    assert rows_in_table(filled, TABLE) == before
    child.resume()
    assert child.wait() == 0, child.log
    assert child.answer is not None
    assert child.answer["tables"][0]["deleted_rows"] == (before - rows_in_table(filled, TABLE)).total() > 0
    assert_exactly_once(before, s3, filled, TABLE)
    assert not unaccounted_keys(s3, bucket, filled)


def test_what_it_raises_is_reported(environment: dict[str, str], filled: str) -> None:
    child = JobChild({**environment, "LOG_RETENTION_DAYS": "many"}, EVENT)
    assert child.wait() == 1
    assert child.error is not None
    assert child.error.startswith("InvalidSettings: ")
    with pytest.raises(AssertionError, match="ended without reaching"):
        child.await_step(ProgressStep.COMMITTED)


def test_a_lost_and_a_doubled_row_are_seen(environment: dict[str, str], filled: str, s3: EmbeddedS3) -> None:
    before = rows_in_table(filled, TABLE)
    assert run_cleanup(environment, EVENT)["complete"]
    archived = rows_in_archive(s3, filled, f"public.{TABLE}")
    assert archived + rows_in_table(filled, TABLE) == before
    archived_row: Row = next(iter(archived))
    with pytest.raises(AssertionError, match="1 rows lost, 0 rows too many"):
        assert_exactly_once(before + Counter([(0, "gone", 0)]), s3, filled, TABLE)
    with pytest.raises(AssertionError, match="0 rows lost, 1 rows too many"):
        assert_exactly_once(before - Counter([archived_row]), s3, filled, TABLE)
