"""Documents as a small AI service keeps them for its answers to rest on: guides for job seekers, Korean and English.

`create_documents` is a function of its arguments alone. The table is an ordinary one, in which an edit is noted in
`updated_at`; a place for embeddings is added where it is asked for.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

from local.chatlog import connect
from local.phrases import ENGLISH, KOREAN, Language

TABLE = "document"
POLICY = """\
[[embedding]]
table = "document"
text = ["title", "content"]
updated_at = "updated_at"
into = "document_embedding"
"""
KOREAN_SHARE = 0.7

Row = tuple[int, str, str, str]
"""id, title, content, updated_at"""

_COLUMNS = "title text NOT NULL, content text, updated_at {moment} NOT NULL"


def create_documents(
    url: str, count: int, *, end: datetime, paragraphs: int = 3, column: str | None = None, seed: int = 1
) -> None:
    """Create and fill the table `document`.

    Args:
        url: `postgresql://…` or `sqlite:///path`.
        count: how many; their ids are 1 to `count`.
        end: aware; the latest edit is an hour earlier.
        paragraphs: how long their texts are.
        column: type of a column `embedding`, e.g. `vector(256)`; None: the table has none.
    """
    rows = _rows(count, end, paragraphs, seed)
    vector = f", embedding {column}" if column else ""
    if url.startswith("sqlite"):
        columns = _COLUMNS.format(moment="TIMESTAMP")
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, {columns}{vector})")
            connection.executemany(f"INSERT INTO {TABLE} (id, title, content, updated_at) VALUES (?, ?, ?, ?)", rows)
        return
    columns = _COLUMNS.format(moment="timestamptz")
    with closing(connect(url)) as postgres:
        postgres.run(f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, {columns}{vector})")
        lines = ("\t".join(map(_copied, row)) + "\n" for row in rows)
        postgres.run(f"COPY {TABLE} (id, title, content, updated_at) FROM STDIN", stream=(line for line in lines))
        postgres.run(f"ANALYZE {TABLE}")


def document(number: int, language: Language, chance: random.Random, paragraphs: int) -> tuple[str, str]:
    """Title and content of one document."""
    job, skill = chance.choice(language.jobs), chance.choice(language.skills)
    parts = [f"{chance.choice(language.openings)} {chance.choice(language.advice)}" for _ in range(paragraphs)]
    title = f"{chance.choice(language.questions)} ({number})"
    fill = {"job": job, "skill": skill}
    return title.format(**fill), "\n\n".join([*parts, chance.choice(language.closings)]).format(**fill)


def _rows(count: int, end: datetime, paragraphs: int, seed: int) -> Iterator[Row]:
    chance = random.Random(seed)
    for number in range(1, count + 1):
        language = KOREAN if chance.random() < KOREAN_SHARE else ENGLISH
        title, content = document(number, language, chance, paragraphs)
        edited = end - timedelta(hours=1, minutes=count - number)
        yield number, title, content, edited.strftime("%Y-%m-%d %H:%M:%S")


def _copied(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
