"""The table that every contestant archives and deletes: the shape of a chat log, made inside the server.

Eleven columns, about 360 bytes a row as PostgreSQL stores it, oldest first over three weeks. Content is Korean and
English with quotes and line breaks, each row's unlike any other's, so that no dictionary encoding flatters Parquet.
It has a primary key as well as the index on the timestamp: that is how such a table stands in real life, and
deletion costs every contestant the same either way.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pg8000.native

from local.chatlog import POSTGRES_TABLE, TABLE, connect, conversations

DAYS = 21
END = datetime(2025, 8, 1, tzinfo=UTC)
"""The newest row is older than this."""

PIECES = 128
"""Sentences that contents are put together from, two at a time."""
SHORTEST_PIECE = 60
"""Bytes."""

_FILL = """
INSERT INTO {table} (id, session_id, user_id, role, content, tokens, latency_ms, model, feedback, metadata, created_at)
SELECT
    i,
    md5((i / 6)::text)::uuid,
    abs(hashint8extended(i / 6, 1) % 100000),
    CASE WHEN i % 2 = 0 THEN 'user' ELSE 'assistant' END,
    pieces[1 + (h & 127)] || CASE WHEN i % 2 = 0 THEN ' ' ELSE E'\\n' || pieces[1 + (h >> 7 & 127)] || ' ' END
        || to_hex(h),
    20 + (h >> 20 & 511)::int,
    CASE WHEN i % 2 = 0 THEN 0 ELSE 150 + (h & 16777215) / 7919.0 END,
    (ARRAY['coach-small', 'coach-large', 'coach-large-ko'])[1 + abs(h % 3)],
    (ARRAY['like', 'dislike'])[1 + (h >> 30 & 15)],
    jsonb_build_object('lang', CASE WHEN h & 3 = 0 THEN 'en' ELSE 'ko' END, 'turn', i % 6, 'request', h >> 40 & 1048575,
        'client', (ARRAY['web', 'ios', 'android'])[1 + abs(h % 3)]),
    timestamptz '{start}' + (i - 1) * interval '{step} microseconds' + (h & 8191) * interval '1 microsecond'
FROM generate_series(1, {rows}) AS i
CROSS JOIN LATERAL hashint8extended(i, 7) AS h
CROSS JOIN (SELECT ARRAY[{pieces}]::text[] AS pieces OFFSET 0) AS phrases
"""


def create_reference_table(url: str, rows: int, *, table: str = TABLE, indexed: bool = True, days: int = DAYS) -> None:
    """Create and fill the table, then VACUUM ANALYZE and CHECKPOINT, so that every copy of it starts the same.

    Args:
        url: `postgresql://…`.
        rows: how many; at least 1.
        table: its name.
        indexed: whether the timestamp has an index.
        days: how long a time the rows span; the last of them ends it.
    """
    name = pg8000.native.identifier(table)
    span = timedelta(days=days)
    pieces = ", ".join(pg8000.native.literal(piece) for piece in _pieces())
    fill = _FILL.format(
        table=name, rows=rows, pieces=pieces, start=(END - span).isoformat(), step=span // timedelta(microseconds=rows)
    )
    with closing(connect(url)) as connection:
        connection.run("SET synchronous_commit = off")
        connection.run(POSTGRES_TABLE.format(table=name))
        connection.run(fill)
        connection.run(f"SELECT setval(pg_get_serial_sequence({pg8000.native.literal(name)}, 'id'), {rows})")
        if indexed:
            connection.run(f"CREATE INDEX ON {name} (created_at)")
        connection.run(f"VACUUM ANALYZE {name}")
        connection.run("CHECKPOINT")


def _pieces() -> list[str]:
    sentences = (line for row in conversations(10_000, days=1, end=END) for line in row[3].splitlines())
    return [line for line in dict.fromkeys(sentences) if len(line.encode()) >= SHORTEST_PIECE][:PIECES]
