"""The chat log is the same for the same arguments, in order, and what it says it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

from benchmarks.reference import DAYS, END, create_reference_table
from local.chatlog import connect, conversations, create_conversation_log

NOON = datetime(2025, 10, 15, 12, tzinfo=UTC)


def test_the_same_seed_gives_the_same_log_and_another_seed_another() -> None:
    once, again = (list(conversations(500, days=3, end=NOON, seed=4)) for _ in range(2))
    assert once == again
    assert once != list(conversations(500, days=3, end=NOON, seed=5))


def test_rows_come_in_order_within_their_days() -> None:
    moments = [row[-1] for row in conversations(5_000, days=3, end=NOON)]
    assert len(moments) == 5_000
    assert moments == sorted(moments)
    assert moments[0] == NOON - timedelta(days=3)
    assert moments[-1] < NOON


def test_both_databases_hold_the_same_log(database: str, sqlite_url: str) -> None:
    for url in (database, sqlite_url):
        create_conversation_log(url, 2_000, days=40, end=NOON)
    query = (
        "SELECT id, user_id, role, content, tokens, latency_ms, model, feedback, {} FROM conversation_log ORDER BY id"
    )
    in_utc = "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    with closing(connect(database)) as connection:
        here = [tuple(row) for row in connection.run(query.format(in_utc))]
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as lite:
        there = lite.execute(query.format("created_at")).fetchall()
    assert len(here) == 2_000
    assert here == there
    assert {row[2] for row in here} == {"user", "assistant"}
    assert {row[7] for row in here} == {None, "like", "dislike"}
    assert any("\n" in row[3] for row in here) and any('"' in row[3] for row in here)


def test_the_reference_table_is_of_the_stated_shape(database: str) -> None:
    create_reference_table(database, 20_000)
    with closing(connect(database)) as connection:
        found = connection.run("""
            SELECT count(*), count(DISTINCT content), min(created_at), max(created_at), bool_and(in_order),
                   pg_relation_size('conversation_log') / count(*)
            FROM (SELECT *, created_at >= lag(created_at, 1, created_at) OVER (ORDER BY id) AS in_order
                  FROM conversation_log) AS log""")[0]
        columns = connection.run(
            "SELECT count(*) FROM information_schema.columns WHERE table_name = 'conversation_log'"
        )
        assert connection.run("SELECT nextval('conversation_log_id_seq')") == [[20_001]]
    count, distinct, first, last, in_order, bytes_per_row = found
    assert (count, distinct, in_order, columns) == (20_000, 20_000, True, [[11]])
    assert END - timedelta(days=DAYS) <= first < last < END
    assert 340 <= bytes_per_row <= 380
