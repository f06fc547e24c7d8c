"""The demo's chapter on `backup`, `rehearse` and `restore_backup`: a copy of one moment, and the proof that it is one.

Points move between accounts all the time, also while the backup is taken: in whatever moment it is of, their sum is the
same. The backup is rehearsed, then restored beside the database that it was taken of. What came back is counted without
the handlers, by SQL. At last one byte of a backup is changed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from local.chatlog import connect
from local.demo_slack import Channel
from local.postgres import EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.stage import Stage, equals
from nightshift.errors import NightshiftError
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job

MIDNIGHT = datetime(2025, 10, 20, 15, tzinfo=UTC)
"""In Seoul."""
REHEARSAL = MIDNIGHT + timedelta(hours=4)
BUCKET = "nightshift-demo-backups"
RECOVERED, REFUSED = "recovered", "refused"
"""Databases on the same server."""
ACCOUNTS, POINTS = 100, 1_000
MOVING = ("account", "transfer")
"""Tables that others write to meanwhile."""
SHOWN = 6
"""Objects of the backup that are shown, largest first."""

CREATE = f"""
CREATE TABLE account (id integer PRIMARY KEY, points bigint NOT NULL CHECK (points >= 0));
INSERT INTO account SELECT i, {POINTS} FROM generate_series(1, {ACCOUNTS}) i;
CREATE TABLE transfer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
TRANSFER = f"""
WITH noted AS (INSERT INTO transfer DEFAULT VALUES),
     one AS (
       SELECT 1 + floor(random() * {ACCOUNTS})::integer AS giver, 1 + floor(random() * {ACCOUNTS})::integer AS taker
     )
UPDATE account a SET points = a.points + CASE a.id WHEN one.taker THEN 1 ELSE -1 END
FROM one WHERE one.giver <> one.taker AND a.id IN (one.giver, one.taker)
"""
TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'nightshift%' ORDER BY 1
"""
CONTENT = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {table} t"


def play_backup(stage: Stage, postgres: EmbeddedPostgres, s3: EmbeddedS3, channel: Channel) -> bool:
    """The chapter; returns whether everything added up."""
    url = postgres.url
    s3.create_bucket(BUCKET)
    with closing(connect(url)) as connection:
        connection.run(CREATE)
    with _transfers(url):
        stage.act("00:00 in Seoul: the whole database is backed up, while points move between accounts")
        name = _back_up(stage, MIDNIGHT)
        channel.show()
        _show_objects(stage, s3, name)
        stage.act("Is it any good? It is restored into a scratch database and compared")
        event = {"scheduled_time": REHEARSAL.isoformat()}
        proven = run_job("rehearse", event, None, _wiring())
        stage.say(f"{proven['status']}: {proven['rows']:,} rows of {proven['tables']} tables came back")
        channel.show()
        stage.act("The next night")
        last = _back_up(stage, MIDNIGHT + timedelta(days=1))
        channel.show()

    stage.act(f"A bad day: {last} is restored, into a database of its own")
    target = postgres.create_database(RECOVERED)
    restored = _restore(target, last)
    stage.say(f"{restored['status']}: {restored['rows']:,} rows of {restored['tables']} tables")
    channel.show()
    whole = _adds_up(stage, url, target)
    stage.act("One byte of the same backup is changed; then it is restored once more")
    altered = _change_a_byte(s3, last)
    refused = _is_refused(stage, postgres.create_database(REFUSED), last, altered)
    channel.show()
    return bool(proven["proven"]) and whole and refused


def _wiring(**settings: str) -> RunWiring:
    return RunWiring({**os.environ, "BACKUP_BUCKET": BUCKET, **settings})


def _back_up(stage: Stage, midnight: datetime) -> str:
    event = {"scheduled_time": midnight.isoformat()}
    answer = run_job("backup", event, None, _wiring())
    stage.say(
        f"{answer['status']}: {answer['rows']:,} rows of {answer['tables']} tables, {answer['bytes'] / 1e6:.1f} MB,"
        f" in {answer['duration_ms'] / 1000:.1f} s"
    )
    return str(answer["name"])


def _restore(target: str, name: str) -> dict[str, Any]:
    event = {"scheduled_time": (MIDNIGHT + timedelta(days=1, hours=10)).isoformat(), "backup": name}
    return run_job("restore_backup", event, None, _wiring(RESTORE_DATABASE_URL=target))


@contextmanager
def _transfers(url: str) -> Iterator[None]:
    """Points move, one transaction after the other, until the block ends."""
    done = threading.Event()

    def transfer() -> None:
        with closing(connect(url)) as connection:
            while not done.is_set():
                connection.run(TRANSFER)

    mover = threading.Thread(target=transfer, name="transfers")
    mover.start()
    try:
        yield
    finally:
        done.set()
        mover.join()


def _show_objects(stage: Stage, s3: EmbeddedS3, name: str) -> None:
    sizes = {key: len(body) for key, body in s3.objects(BUCKET).items() if f"/{name}/" in key}
    stage.say(f"s3://{BUCKET}: {len(sizes)} objects, {sum(sizes.values()) / 1e6:.1f} MB")
    largest = sorted(sizes, key=lambda key: -sizes[key])[:SHOWN]
    stage.tree([*(f"{key}  {sizes[key] / 1e3:,.0f} kB" for key in largest), f"… and {len(sizes) - len(largest)} more"])


def _adds_up(stage: Stage, url: str, target: str) -> bool:
    """Show what is in both databases; returns whether what stood still is the same, and what moved is of one moment."""
    now, back = _contents(url), _contents(target)
    stage.table(["", "now", "restored"], [[table, f"{now[table][0]:,}", f"{n:,}"] for table, (n, _) in back.items()])
    with closing(connect(target)) as connection:
        points, transfers = connection.run("SELECT sum(points), (SELECT count(*) FROM transfer) FROM account")[0]
    still = {table: content for table, content in now.items() if table not in MOVING}
    same = still == {table: content for table, content in back.items() if table not in MOVING}
    constant = points == ACCOUNTS * POINTS and back.keys() == now.keys()
    stage.act(f"{len(still)} tables restored {equals(same)} as they are now, value by value")
    stage.act(f"{points:,} points after {transfers:,} transfers {equals(constant)} {ACCOUNTS * POINTS:,} at the start")
    return same and constant


def _contents(url: str) -> Mapping[str, tuple[int, str]]:
    """Each table's rows, and a digest of them."""
    with closing(connect(url)) as connection:
        tables = [str(row[0]) for row in connection.run(TABLES)]
        rows = {table: connection.run(CONTENT.format(table=f'"{table}"'))[0] for table in tables}
    return {table: (int(count), str(digest)) for table, (count, digest) in rows.items()}


def _change_a_byte(s3: EmbeddedS3, name: str) -> str:
    """In the middle of the largest object; returns its key, as the manifest has it."""
    objects = {key: body for key, body in s3.objects(BUCKET).items() if f"/{name}/" in key}
    key = max(objects, key=lambda key: len(objects[key]))
    body = bytearray(objects[key])
    body[len(body) // 2] ^= 1
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=bytes(body))
    return key.rpartition(f"/{name}/")[2]


def _is_refused(stage: Stage, target: str, name: str, key: str) -> bool:
    """Returns whether the backup is refused, and the object that is not as it was is named."""
    try:
        _restore(target, name)
    except NightshiftError as error:
        stage.say(f"refused: {error.message}")
        for line in (error.detail or "").splitlines():
            stage.say(f"  {line}")
        return key in str(error)
    stage.say("it was taken for a good one")
    return False
