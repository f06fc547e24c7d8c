"""The documents are a function of their arguments, and both databases hold the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

from local.chatlog import connect
from local.documents import create_documents

NOON = datetime(2025, 10, 15, 12, tzinfo=UTC)
QUERY = "SELECT id, title, content FROM document ORDER BY id"


def test_both_databases_hold_the_same_documents(database: str, sqlite_url: str) -> None:
    create_documents(database, 200, end=NOON)
    create_documents(sqlite_url, 200, end=NOON, column="BLOB")
    with (
        closing(connect(database)) as postgres,
        closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as lite,
    ):
        rows = [tuple(row) for row in postgres.run(QUERY) or ()]
        assert lite.execute(QUERY).fetchall() == rows
        assert postgres.run("SELECT max(updated_at) FROM document") == [[datetime(2025, 10, 15, 11, tzinfo=UTC)]]
        assert lite.execute("SELECT max(updated_at), count(embedding) FROM document").fetchone() == (
            "2025-10-15 11:00:00",
            0,
        )
    assert [row[0] for row in rows] == list(range(1, 201))
    assert len({title for _, title, _ in rows}) == 200
    assert all(title and "\n" in content and "{" not in title + content for _, title, content in rows)
    assert 0.5 < sum("가" <= letter <= "힣" for _, title, _ in rows for letter in title[:3]) / 600 < 0.9
