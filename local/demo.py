"""`make demo`: one night from end to end on this machine, with a real PostgreSQL, an S3 and a Slack on loopback.

A chat log of 200,000 rows is cleaned up by the same handler frame that Lambda runs, twice; the Slack message, the
archive and a query over it are shown; then everything is restored into a table beside it, and compared with what was
there in the evening. An hour later jobs expire, and their files go with them (`local/demo_expiry.py`). Then the votes
of users are read, and a bad day has documents embedded again (`local/demo_feedback.py`). At midnight the whole database
is backed up, and restored (`local/demo_backup.py`). Nothing is left behind but the charts, also after Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from local.chatlog import TABLE, connect, create_conversation_log
from local.demo_backup import play_backup
from local.demo_expiry import play_expiry
from local.demo_feedback import play_feedback
from local.demo_slack import Channel
from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import CHANNEL, SlackServer
from local.stage import Stage, equals
from nightshift.run_services import RunWiring
from nightshift.runtime import logger, run_job

ROWS = 200_000
DAYS = 60
AS_OF = datetime(2025, 10, 15, tzinfo=UTC)
"""The night that the demo plays: 09:00 in Seoul."""
BUCKET = "nightshift-demo"
COPY = f"{TABLE}_restored"

SHOWN_FOLDERS = 4
"""How many of the archive's folders are shown from each end."""

QUERY = """
SELECT strftime(created_at, '%G-W%V') AS week, count(*) AS messages, count(DISTINCT user_id) AS users,
       count(*) FILTER (feedback = 'like') AS liked, count(*) FILTER (feedback = 'dislike') AS disliked
FROM read_parquet('{files}') GROUP BY week ORDER BY week
"""


def play(stage: Stage) -> None:
    """The whole demo."""
    stage.act("PostgreSQL, S3 and Slack on 127.0.0.1")
    with EmbeddedPostgres(settings=DISPOSABLE) as postgres, EmbeddedS3() as s3, SlackServer() as slack:
        stage.say(f"{postgres.url}  {s3.endpoint}  {slack.url}")
        os.environ.update(_environment(postgres, s3, slack))
        channel = Channel(stage, slack)
        archived = play_archive(stage, postgres.url, s3, channel)
        expired = play_expiry(stage, postgres.url, s3, channel, AS_OF + timedelta(hours=1))
        heard = play_feedback(stage, postgres.url, channel)
        saved = play_backup(stage, postgres, s3, channel)
    if not (archived and expired and heard and saved):
        raise SystemExit(1)


def play_archive(stage: Stage, url: str, s3: EmbeddedS3, channel: Channel) -> bool:
    """The chapters on the archive: there, a look at it, and back; returns whether everything added up."""
    s3.create_bucket(BUCKET, versioned=True)
    stage.act(f"A service has written {ROWS:,} messages into {TABLE} over {DAYS} days")
    create_conversation_log(url, ROWS, days=DAYS, end=AS_OF)
    evening = _rows(url, TABLE)

    stage.act("09:00 in Seoul: cleanup runs")
    _clean(stage)
    channel.show()
    stage.act("The archive")
    _show_archive(stage, s3)
    stage.act("The same event is delivered again")
    _clean(stage)
    channel.show()
    stage.act("The archive answers questions where it lies")
    archived = _ask_archive(stage, s3, _archived_keys(url))
    stage.act("The way back: everything archived, into a table of its own")
    restored = _restore(stage)
    channel.show()

    left, back = _rows(url, TABLE)[0], _rows(url, TABLE, COPY)
    archived_all, restored_all = evening[0] == left + archived, restored == archived and back == evening
    stage.act(f"{evening[0]:,} rows before {equals(archived_all)} {left:,} rows left + {archived:,} rows archived")
    stage.act(f"{archived:,} rows archived {equals(restored_all)} {restored:,} rows restored, value by value")
    return archived_all and restored_all


def _environment(postgres: EmbeddedPostgres, s3: EmbeddedS3, slack: SlackServer) -> dict[str, str]:
    return {
        **s3.env,
        "DATABASE_URL": postgres.url,
        "ARCHIVE_BUCKET": BUCKET,
        "SLACK_BOT_TOKEN": "xoxb-demo",
        "SLACK_CHANNEL": CHANNEL,
        "SLACK_API_URL": slack.url,
    }


def _clean(stage: Stage) -> None:
    with stage.progress("archiving") as listener:
        wiring = RunWiring(os.environ, listener=listener)
        answer: dict[str, Any] = run_job("cleanup", {"scheduled_time": AS_OF.isoformat()}, None, wiring)
    [table] = answer["tables"]
    stage.say(
        f"{answer['status']}: {table['archived_rows']:,} rows into {table['objects']} objects,"
        f" {table['bytes'] / 1e6:.1f} MB, in {answer['duration_ms'] / 1000:.1f} s"
    )


def _restore(stage: Stage) -> int:
    """Restore whatever is archived; returns how many rows."""
    with stage.progress("restoring") as listener:
        wiring = RunWiring(os.environ, listener=listener)
        event = {"scheduled_time": AS_OF.isoformat(), "table": TABLE}
        answer = run_job("restore", event, None, wiring)
    stage.say(f"{answer['status']}: {answer['restored_rows']:,} rows from {answer['objects']} objects")
    return int(answer["restored_rows"])


def _show_archive(stage: Stage, s3: EmbeddedS3) -> None:
    folders: defaultdict[str, list[int]] = defaultdict(list)
    for key, body in s3.objects(BUCKET).items():
        folders[key.rpartition("/")[0]].append(len(body))
    total = sum(sum(sizes) for sizes in folders.values())
    stage.say(f"s3://{BUCKET}: {len(folders)} days, {total / 1e6:.1f} MB of Parquet")
    lines = [f"{folder}  {len(sizes)} × {sum(sizes) / len(sizes) / 1e3:,.0f} kB" for folder, sizes in folders.items()]
    if len(lines) > 2 * SHOWN_FOLDERS:
        lines[SHOWN_FOLDERS:-SHOWN_FOLDERS] = ["…"]
    stage.tree(lines)


def _ask_archive(stage: Stage, s3: EmbeddedS3, keys: list[str]) -> int:
    """Run a query over these objects, and return how many rows they hold."""
    with tempfile.TemporaryDirectory(prefix="nightshift-demo-") as directory, duckdb.connect() as engine:
        for number, key in enumerate(keys):
            s3.client().download_file(BUCKET, key, f"{directory}/{number}.parquet")
        engine.execute("SET TimeZone = 'Asia/Seoul'")
        found = engine.execute(QUERY.format(files=f"{directory}/*.parquet"))
        names = [str(column[0]) for column in found.description or ()]
        rows = found.fetchall()
    stage.table(names, [[f"{value:,}" if isinstance(value, int) else str(value) for value in row] for row in rows])
    return sum(int(row[1]) for row in rows)


def _archived_keys(url: str) -> list[str]:
    """The objects that make up the archive: the ledger alone says which."""
    with closing(connect(url)) as connection:
        found = connection.run("SELECT object_key FROM nightshift_archive_object WHERE state = 'archived'")
        return [str(key) for (key,) in found]


def _rows(url: str, *tables: str) -> tuple[int, int]:
    """How many rows some tables have together, and a fingerprint of all their values in whatever order."""
    together = " UNION ALL ".join(f"TABLE {table}" for table in tables)
    with closing(connect(url)) as connection:
        [found] = connection.run(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM ({together}) t")
    return int(found[0]), int(found[1])


def main() -> None:
    """Play, and end quietly on Ctrl-C."""
    # The runs' own log lines belong to CloudWatch, not between the acts: also those of the one that is meant to fail.
    logger.setLevel("CRITICAL")
    try:
        play(Stage())
    except KeyboardInterrupt:
        sys.exit("stopped; the servers and their data are gone")


if __name__ == "__main__":
    main()
