"""A table with due rows on the eve of its cleanup, and the promise that holds whatever happens to the run.

The promise: *rows in the table + rows in archived objects = the rows at the start*, as multisets of whole rows. It
holds at every moment, a crash included, because readers trust the ledger alone. `converge` adds what a plain run
afterwards owes: nothing due is left, nothing unfinished in the ledger, nothing in the bucket that it does not know.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from local.s3 import EmbeddedS3
from local.slack import SlackServer
from nightshift.progress_events import ProgressEvent, ProgressStep
from tests.support import running
from tests.support.child import JobChild, Work
from tests.support.house import AS_OF, House
from tests.support.multiset import Row, assert_exactly_once, rows_in_archive, rows_in_table, unaccounted_keys
from tests.support.running import RunningHouse
from tests.support.tcp_proxy import Hold, TcpProxy

TABLE = "conversation_log"
CUTOFF_US = 1_757_862_000_000_000
"""15 September 2025 in Seoul, in microseconds since 1970: the cutoff of a run as of `house.AS_OF`."""

IMPATIENT = {"CLEANUP_CHUNK_MB": "1", "CLEANUP_LOCK_TIMEOUT": "0.3", "CLEANUP_VACUUM": "off"}

COLUMNS = "id bigint PRIMARY KEY, payload text NOT NULL, created_at timestamptz NOT NULL"

OURS = running.OURS


@dataclass
class Scene(RunningHouse):
    """A deployment whose `conversation_log` is due.

    Attributes:
        before: the table's rows at the start.
        cutoff_us: rows older than this are due.
    """

    before: Counter[Row] = field(default_factory=Counter)
    cutoff_us: int = CUTOFF_US

    def fill(
        self, rows: int = 3000, *, days: float = 4, width: int = 1600, indexed: bool = False, columns: str = COLUMNS
    ) -> None:
        """Create and fill the table: of eleven rows ten are due, in time order.

        Args:
            rows: in all; 3,000 rows of 1,600 bytes are about five chunks of CLEANUP_CHUNK_MB = 1.
            days: that the due rows span; the fresh ones follow in the same rhythm.
            width: bytes of a row, about.
            indexed: whether an index leads to the due rows, or every page must be read.
            columns: the table's definition.
        """
        self.sql(f"CREATE TABLE {TABLE} ({columns})")
        self.insert(rows, days=days, width=width)
        if indexed:
            self.sql(f"CREATE INDEX ON {TABLE} (created_at)")
        self.remember()

    def insert(self, rows: int, *, first: int = 1, days: float = 4, width: int = 1600) -> None:
        """Insert rows with ids from `first` on."""
        payload = f"'row ' || i || E' 안녕 \"quoted\"\\n\\t' || repeat(md5(i::text), {width} / 32)"
        share = f"(i - {first}) * 1.1 / {rows}"
        self.sql(
            f"INSERT INTO {TABLE} SELECT i, {payload},"
            f" to_timestamp({CUTOFF_US} / 1e6) + interval '{days} days' * ({share} - 1)"
            f" FROM generate_series({first}, {first + rows - 1}) i"
        )

    def fill_sqlite(self, rows: int = 3000) -> None:
        """The same table in an SQLite file, whose times are written without a zone, as on the wall in Seoul."""
        self.cutoff_us = CUTOFF_US + 9 * 3_600_000_000
        with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(
                f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, payload TEXT NOT NULL, created_at TIMESTAMP NOT NULL)"
            )
            connection.execute(f"CREATE INDEX {TABLE}_created_at ON {TABLE} (created_at)")
            connection.executemany(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", self._sqlite_rows(rows))
        self.remember()

    def _sqlite_rows(self, rows: int) -> Iterator[tuple[int, str, str]]:
        for i in range(1, rows + 1):
            age_s = 4 * 86_400 * (1 - (i - 1) * 1.1 / rows)
            moment = datetime.fromtimestamp(self.cutoff_us / 1e6 - age_s, UTC)
            payload = f'row {i} 안녕 "quoted"\n\t' + md5(str(i).encode()).hexdigest() * 50
            yield i, payload, f"{moment:%Y-%m-%d %H:%M:%S.%f}"

    def remember(self) -> None:
        """Take the table as it is for the start."""
        self.before = rows_in_table(self.url, TABLE)

    @property
    def due(self) -> Counter[Row]:
        """The rows of the start that a run must archive."""
        return Counter({row: count for row, count in self.before.items() if row[2] < self.cutoff_us})

    def child(
        self,
        env: Mapping[str, str] | None = None,
        *,
        kill_at: ProgressStep | None = None,
        hold_at: ProgressStep | None = None,
        occurrence: int = 1,
        work: Work | None = None,
        hook: Callable[[ProgressEvent], None] | None = None,
    ) -> JobChild:
        """A run in a process of its own; see `JobChild`."""
        child = JobChild(
            {**self.env, **(env or {})},
            {"scheduled_time": AS_OF},
            kill_at=kill_at,
            hold_at=hold_at,
            occurrence=occurrence,
            work=work,
            hook=hook,
        )
        self.children.append(child)
        return child

    def archived_rows(self) -> int:
        """How many rows are in the archive now."""
        return sum(entry["row_count"] for entry in self.ledger() if entry["state"] == "archived")

    def assert_nothing_lost(self) -> None:
        """The promise, as it must hold at any moment."""
        assert_exactly_once(self.before, self.s3, self.url, TABLE)

    def converge(self) -> dict[str, Any]:
        """Run plainly, and see that all is as if nothing had happened; returns the run's answer."""
        self.assert_nothing_lost()
        self.await_quiet()
        answer = self.run()
        assert answer["complete"], answer
        assert rows_in_archive(self.s3, self.url) == self.due
        assert rows_in_table(self.url, TABLE) == self.before - self.due
        self.assert_tidy()
        return answer

    def assert_tidy(self) -> None:
        """No entry of the ledger is unfinished, and it vouches for every object but a stranger's."""
        states = {entry["object_key"]: entry["state"] for entry in self.ledger()}
        assert set(states.values()) <= {"archived", "restored", "swept", "foreign"}
        strangers = {key for key, state in states.items() if state == "foreign"}
        assert unaccounted_keys(self.s3, self.bucket, self.url) == strangers


@contextmanager
def writing(scene: Scene) -> Iterator[sqlite3.Connection]:
    """Another process's connection, holding the one lock that SQLite has for writers."""
    with closing(sqlite3.connect(scene.url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


@contextmanager
def stuck_in_copy(scene: Scene, port: int) -> Iterator[tuple[JobChild, Hold]]:
    """A run in mid-stream: the server has deleted rows and is blocked on sending them to a client that gets no more.

    Args:
        scene: its table is filled here, with more rows than fit the buffers on the way.
        port: the server's.

    Yields:
        the run, and what holds its stream up.
    """
    scene.fill(8000)
    with TcpProxy("127.0.0.1", port) as proxy:
        hold = proxy.hold_when(b"row 400 ", "server", having=b"COPY (DELETE")
        one_chunk = {"CLEANUP_CHUNK_MB": "64", "CLEANUP_WORKERS": "1"}
        child = scene.child({"DATABASE_URL": proxy.through(scene.env["DATABASE_URL"]), **one_chunk})
        hold.happened.wait()
        blocked = f"{OURS} AND wait_event = 'ClientWrite' AND query LIKE 'COPY (DELETE%'"
        scene.await_value(f"SELECT count(*) FROM pg_stat_activity WHERE {blocked}", 1)
        yield child, hold


@pytest.fixture
def scene(environment: dict[str, str], s3: EmbeddedS3, slack: SlackServer, tmp_path: Path) -> Iterator[Scene]:
    """A deployment on PostgreSQL with small chunks and an impatient lock time-out; its table is still to fill."""
    built = Scene(dict(environment), s3, slack, tmp_path)
    built.env |= IMPATIENT | {"DATABASE_URL": f"{environment['DATABASE_URL']}?sslmode=disable"}
    yield built
    built.close()


@pytest.fixture
def sqlite_scene(sqlite_house: House) -> Iterator[Scene]:
    """The same on SQLite."""
    built = Scene(sqlite_house.env | IMPATIENT, sqlite_house.s3, sqlite_house.slack, sqlite_house.directory)
    yield built
    built.close()
