"""DROP DATABASE meets autovacuum, which no superuser alone may end: the scratch database goes all the same.

`python -m tests.backup.rehearsal_soak --rehearsals 60` is the long one.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from local.postgres import EmbeddedPostgres
from nightshift.backup.scratch import drop_stale_databases, scratch_database
from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from tests.backup.rehearsal_soak import LEFT, MET, busy_server, rehearse_often

WORKER = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND datname = '{name}'"
FILLED = "CREATE TABLE t AS SELECT i, repeat(md5(i::text), 8) AS body FROM generate_series(1, 50000) i"


@pytest.fixture(scope="module")
def busy() -> Iterator[EmbeddedPostgres]:
    with busy_server() as server:
        yield server


def as_night(server: EmbeddedPostgres) -> Database:
    url = server.url.replace("postgres@", "night:night5hift@")
    return Database(parse_database_url(url), deadline=time.monotonic() + 600)


def await_worker(server: EmbeddedPostgres, name: str) -> None:
    while not server.execute(WORKER.format(name=name)):
        time.sleep(0.02)


def test_a_database_in_which_autovacuum_is_at_work(busy: EmbeddedPostgres) -> None:
    warnings: list[str] = []
    with (
        closing(as_night(busy)) as server,
        scratch_database(server, uuid.uuid4().hex, warn=warnings.append) as database,
    ):
        name = str(database.target.database)
        busy.execute(FILLED, name)
        await_worker(busy, name)

    assert MET.search(busy.log()), "autovacuum was gone before it was met"
    assert (warnings, busy.execute(LEFT)) == ([], [])


def test_what_a_killed_one_has_left_where_autovacuum_is_at_work(busy: EmbeddedPostgres) -> None:
    name = f"nightshift_rehearsal_{'d' * 32}"
    busy.execute(f"CREATE DATABASE {name} OWNER night")
    busy.execute(FILLED, name)
    await_worker(busy, name)

    with closing(as_night(busy)) as server:
        assert drop_stale_databases(server) == (name,)


@pytest.mark.slow
def test_a_database_that_cannot_be_dropped_is_told(busy: EmbeddedPostgres) -> None:
    """It is somebody else's by then."""
    warnings: list[str] = []
    with (
        closing(as_night(busy)) as server,
        scratch_database(server, uuid.uuid4().hex, warn=warnings.append) as database,
    ):
        name = str(database.target.database)
        busy.execute(f"ALTER DATABASE {name} OWNER TO postgres")
    busy.drop_database(name)

    (said,) = warnings
    assert name in said and "could not be dropped: must be owner of database" in said


@pytest.mark.slow
def test_rehearsals_in_a_row(busy: EmbeddedPostgres, environment: dict[str, str]) -> None:
    tally = rehearse_often(busy, dict(environment), times=3, rows=20_000)

    assert (tally.proven, tally.others, tally.left) == (3, [], [])
