"""A chat log as a small AI service writes it: conversations between users and a career coach, oldest first.

Two tables of the same shape. `create_conversation_log` is to be read: plausible talk, for the demo and for trying
things out. `create_reference_table` is to be measured: made inside the server, millions of rows in seconds.
Both are a function of their arguments alone: the same seed gives the same rows.
"""

from __future__ import annotations

import json
import math
import random
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pg8000.native

from local.phrases import ENGLISH, KOREAN, Language

TABLE = "conversation_log"
KOREAN_SHARE = 0.7
NIGHTLY_LULL = 0.6
"""0: messages come evenly around the clock; towards 1: hardly any at night."""

MODELS = ("coach-small", "coach-large", "coach-large-ko")
CLIENTS = ("web", "ios", "android")

Turn = tuple[str, int, str, str, int, float, str, str | None, str]
"""session_id, user_id, role, content, tokens, latency_ms, model, feedback, metadata"""

Row = tuple[*Turn, datetime]
"""A turn and its created_at."""

_COLUMNS = "session_id, user_id, role, content, tokens, latency_ms, model, feedback, metadata, created_at"

POSTGRES_TABLE = """
CREATE TABLE {table} (
    id bigserial PRIMARY KEY,
    session_id uuid NOT NULL,
    user_id bigint NOT NULL,
    role text NOT NULL,
    content text NOT NULL,
    tokens integer NOT NULL,
    latency_ms double precision NOT NULL,
    model text NOT NULL,
    feedback text,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL
)"""

_SQLITE_TABLE = """
CREATE TABLE {table} (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    latency_ms REAL NOT NULL,
    model TEXT NOT NULL,
    feedback TEXT,
    metadata TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
)"""


def create_conversation_log(
    url: str, rows: int, *, days: int, end: datetime, seed: int = 1, table: str = TABLE
) -> None:
    """Create and fill the table, with an index on `created_at`.

    Args:
        url: `postgresql://…` or `sqlite:///path`.
        rows: how many.
        days: how far back the log reaches.
        end: aware; no row is as late as this.
        seed: names the log; the same seed gives the same rows.
        table: its name.
    """
    if url.startswith("sqlite"):
        _fill_sqlite(url, table, conversations(rows, days=days, end=end, seed=seed))
    else:
        _fill_postgres(url, table, conversations(rows, days=days, end=end, seed=seed))


def conversations(rows: int, *, days: int, end: datetime, seed: int = 1) -> Iterator[Row]:
    """The rows of a log, oldest first, busiest in the middle of each UTC day."""
    chance = random.Random(seed)
    made = 0
    while made < rows:
        for turn in _session(chance, min(rows - made, 2 * chance.randint(1, 5))):
            yield *turn, end - timedelta(days=days) + _moment(made / rows, days)
            made += 1


def connect(url: str) -> pg8000.native.Connection:
    """A plain connection to a PostgreSQL URL."""
    parts = urlsplit(url)
    return pg8000.native.Connection(
        parts.username or "postgres",
        parts.hostname or "127.0.0.1",
        parts.path.lstrip("/"),
        parts.port or 5432,
        ssl_context=False,  # servers here have no TLS, and pg8000 would load the machine's authorities to ask
    )


def _session(chance: random.Random, turns: int) -> Iterator[Turn]:
    """The turns of one conversation, all but their times."""
    language = KOREAN if chance.random() < KOREAN_SHARE else ENGLISH
    session = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    user, model = chance.randint(1, 4_000), chance.choice(MODELS)
    metadata = {"lang": language.code, "client": chance.choice(CLIENTS), "temperature": round(chance.random(), 2)}
    for turn in range(turns):
        asking = turn % 2 == 0
        content = _question(chance, language) if asking else _answer(chance, language)
        feedback = None if asking or chance.random() > 0.2 else ("like" if chance.random() < 0.85 else "dislike")
        latency = 0.0 if asking else chance.lognormvariate(6.6, 0.5)
        yield (
            *(session, user, "user" if asking else "assistant", content, len(content) // 3, latency),
            *(model, feedback, json.dumps({**metadata, "turn": turn})),
        )


def _question(chance: random.Random, language: Language) -> str:
    return _filled_in(chance, language, chance.choice(language.questions))


def _answer(chance: random.Random, language: Language) -> str:
    parts = (chance.choice(language.openings), chance.choice(language.advice), chance.choice(language.closings))
    return _filled_in(chance, language, "\n".join(parts))


def _filled_in(chance: random.Random, language: Language, text: str) -> str:
    return text.format(job=chance.choice(language.jobs), skill=chance.choice(language.skills))


def _moment(share: float, days: int) -> timedelta:
    """When this share of the log has been written: rising steadily, slowly through each night."""
    around_the_clock = share * days
    return timedelta(days=around_the_clock + NIGHTLY_LULL * math.sin(math.tau * around_the_clock) / math.tau)


def _fill_postgres(url: str, table: str, rows: Iterator[Row]) -> None:
    name = pg8000.native.identifier(table)
    with closing(connect(url)) as connection:
        connection.run(POSTGRES_TABLE.format(table=name))
        connection.run(f"COPY {name} ({_COLUMNS}) FROM STDIN", stream=map(_copy_line, rows))
        connection.run(f"CREATE INDEX ON {name} (created_at)")
        connection.run(f"VACUUM ANALYZE {name}")


def _copy_line(row: Row) -> str:
    return "\t".join(r"\N" if value is None else _copy_text(str(value)) for value in row) + "\n"


def _copy_text(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _fill_sqlite(url: str, table: str, rows: Iterator[Row]) -> None:
    name = '"' + table.replace('"', '""') + '"'
    values = ", ".join("?" * 10)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(_SQLITE_TABLE.format(table=name))
        # As SQLAlchemy writes a DateTime: UTC, without a zone.
        stored = ((*row[:-1], row[-1].strftime("%Y-%m-%d %H:%M:%S.%f")) for row in rows)
        connection.executemany(f"INSERT INTO {name} ({_COLUMNS}) VALUES ({values})", stored)
        connection.execute(f"CREATE INDEX ON {name} (created_at)".replace("INDEX ON", f'INDEX "{table}_created_at" ON'))
