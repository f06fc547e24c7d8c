"""Votes on answers, as the application writes them: for the demo, for trying things out, and for tests.

A table of its own beside the chat log: a row says who liked or disliked which answer, what it was about, and which
document was behind it. The same arguments give the same rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pg8000.native

from local.chatlog import connect

TABLE = "answer_feedback"
TOPICS = ("면접 준비", "자기소개서", "연봉 협상", "이직")
"""The first is what dislikes are mostly about."""
COMMENTS = ("예전 채용 공고 이야기예요.", "링크가 열리지 않아요.", "연도가 틀렸습니다.")

SETTINGS = {
    "FEEDBACK_TABLE": TABLE,
    "FEEDBACK_RATING": "rating",
    "FEEDBACK_LIKES": "like",
    "FEEDBACK_DISLIKES": "dislike",
    "FEEDBACK_TIME": "created_at",
    "FEEDBACK_GROUP": "topic",
    "FEEDBACK_COMMENT": "comment",
    "FEEDBACK_DOCUMENT": "document_id",
}
"""What `feedback` has to be told of the table."""

_TYPES = {"postgresql": ("bigserial PRIMARY KEY", "timestamptz"), "sqlite": ("integer PRIMARY KEY", "timestamp")}
_COLUMNS = "rating, topic, comment, document_id, created_at"

Row = tuple[str, str, str | None, str, datetime]
"""Rating, topic, comment, document and time, aware."""


def create_votes(
    url: str, days: Mapping[date, tuple[int, int]], *, zone: str = "Asia/Seoul", documents: Sequence[str] = ("1",)
) -> None:
    """Create the table, with an index on its time, and fill it.

    Args:
        url: `postgresql://…` or `sqlite:///path`.
        days: likes and dislikes of each day.
        zone: of the days; SQLite, which has no zones, keeps its clocks.
        documents: ids of the documents behind the answers; dislikes fall on the first half of them.
    """
    key, time = _TYPES["sqlite" if url.startswith("sqlite") else "postgresql"]
    create = (
        f"CREATE TABLE {TABLE} (id {key}, rating text NOT NULL, topic text NOT NULL, comment text,"
        f" document_id text NOT NULL, created_at {time} NOT NULL)"
    )
    index = f"CREATE INDEX {TABLE}_created_at ON {TABLE} (created_at)"
    rows = [row for day, votes in sorted(days.items()) for row in votes_of(day, *votes, zone=zone, documents=documents)]
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as sqlite, sqlite:
            sqlite.execute(create)
            local = ((*row[:-1], f"{row[-1].astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}") for row in rows)
            sqlite.executemany(f"INSERT INTO {TABLE} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", local)
            sqlite.execute(index)
        return
    with closing(connect(url)) as connection:
        connection.run(create)
        _copy(connection, rows)
        connection.run(index)


def votes_of(day: date, likes: int, dislikes: int, *, zone: str, documents: Sequence[str]) -> Iterator[Row]:
    """One day's votes, evenly spread over it."""
    start, end = (
        datetime(each.year, each.month, each.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for each in (day, day + timedelta(days=1))
    )
    total = likes + dislikes
    disliked = documents[: (len(documents) + 1) // 2]
    for number in range(total):
        when = start + (end - start) * number / total
        # The dislikes lie between the likes at even distances.
        if (number + 1) * dislikes // total > number * dislikes // total:
            topic = TOPICS[0] if number % 4 else TOPICS[number // 4 % len(TOPICS)]
            comment = COMMENTS[number % len(COMMENTS)] if number % 3 == 0 else None
            yield "dislike", topic, comment, disliked[number % len(disliked)], when
        else:
            yield "like", TOPICS[number % len(TOPICS)], None, documents[number % len(documents)], when


def _copy(connection: pg8000.native.Connection, rows: Sequence[Row]) -> None:
    lines = ("\t".join(r"\N" if value is None else str(value) for value in row) + "\n" for row in rows)
    connection.run(f"COPY {TABLE} ({_COLUMNS}) FROM STDIN", stream=lines)
