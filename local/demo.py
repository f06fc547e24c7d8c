"""`make demo`: one night from end to end on this machine, with a real PostgreSQL, an S3 and a Slack on loopback.

A chat log of 200,000 rows is cleaned up by the same handler frame that Lambda runs, twice; then the Slack message,
the archive and a query over it are shown. Nothing is left behind, also after Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import duckdb
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cleanup.job import cleanup
from local.chatlog import TABLE, connect, create_conversation_log
from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import CHANNEL, SlackServer
from nightshift.archive.events import ChunkEvent, Step
from nightshift.runtime import logger, run_job
from nightshift.wiring import Wiring

ROWS = 200_000
DAYS = 60
AS_OF = datetime(2025, 10, 15, tzinfo=UTC)
"""The night that the demo plays: 09:00 in Seoul."""
BUCKET = "nightshift-demo"

SHOWN_FOLDERS = 4
"""How many of the archive's folders are shown from each end."""

QUERY = """
SELECT strftime(created_at, '%G-W%V') AS week, count(*) AS messages, count(DISTINCT user_id) AS users,
       count(*) FILTER (feedback = 'like') AS liked, count(*) FILTER (feedback = 'dislike') AS disliked
FROM read_parquet('{files}') GROUP BY week ORDER BY week
"""


class Stage:
    """Where the demo is shown: a terminal, or plain lines in a pipe."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)

    def act(self, title: str) -> None:
        self.console.print(f"\n[bold]{title}[/]")

    def say(self, line: str) -> None:
        self.console.print(f"  {line}", soft_wrap=True)

    def frame(self, title: str, text: str) -> None:
        if self.console.is_terminal:
            self.console.print(Panel(escape(text), title=title, expand=False))
        else:
            self.console.out(title, text, sep="\n", highlight=False)

    def tree(self, lines: Sequence[str]) -> None:
        for number, line in enumerate(lines, 1):
            self.say(("└── " if number == len(lines) else "├── ") + escape(line))

    def table(self, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        table = Table(box=SIMPLE_HEAD if self.console.is_terminal else None, padding=(0, 2))
        for number, name in enumerate(names):
            table.add_column(name, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    @contextmanager
    def progress(self) -> Iterator[Callable[[ChunkEvent], None]]:
        """A listener for the archive engine that shows how far it is."""
        if not self.console.is_terminal:
            yield _Counter(self.say)
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task("archiving", total=None)

            def listen(event: ChunkEvent) -> None:
                if event.step is Step.PLANNED:
                    bar.update(task, total=event.rows)
                elif event.step is Step.COMMITTED:
                    bar.advance(task, event.rows)

            yield listen
            bar.update(task, total=bar.tasks[0].completed)  # what was planned was an estimate


class _Counter:
    """The listener where no bar can be drawn: one line for each committed chunk."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rows = 0
        self._lock = threading.Lock()

    def __call__(self, event: ChunkEvent) -> None:
        if event.step is Step.COMMITTED:
            with self._lock:
                self._rows += event.rows
                self._say(f"committed {event.rows:,} rows, {self._rows:,} so far")


def play(stage: Stage) -> None:
    """The whole demo."""
    stage.act("PostgreSQL, S3 and Slack on 127.0.0.1")
    with EmbeddedPostgres(settings=DISPOSABLE) as postgres, EmbeddedS3() as s3, SlackServer() as slack:
        s3.create_bucket(BUCKET, versioned=True)
        stage.say(f"{postgres.url}  {s3.endpoint}  {slack.url}")
        stage.act(f"A service has written {ROWS:,} messages into {TABLE} over {DAYS} days")
        create_conversation_log(postgres.url, ROWS, days=DAYS, end=AS_OF)
        before = _count(postgres.url)
        os.environ.update(_environment(postgres, s3, slack))

        stage.act("09:00 in Seoul: cleanup runs")
        _run(stage)
        _show_slack(stage, slack)
        told = len(slack.messages), len(slack.files)
        stage.act("The archive")
        _show_archive(stage, s3)
        stage.act("The same event is delivered again")
        _run(stage)
        _show_slack(stage, slack, since=told)
        stage.act("The archive answers questions where it lies")
        archived = _ask_archive(stage, s3, _archived_keys(postgres.url))
        left = _count(postgres.url)
    verdict = "=" if before == left + archived else "IS NOT"
    stage.act(f"{before:,} rows before {verdict} {left:,} rows left + {archived:,} rows archived")
    if before != left + archived:
        raise SystemExit(1)


def _environment(postgres: EmbeddedPostgres, s3: EmbeddedS3, slack: SlackServer) -> dict[str, str]:
    return {
        **s3.env,
        "DATABASE_URL": postgres.url,
        "ARCHIVE_BUCKET": BUCKET,
        "SLACK_BOT_TOKEN": "xoxb-demo",
        "SLACK_CHANNEL": CHANNEL,
        "SLACK_API_URL": slack.url,
    }


def _run(stage: Stage) -> None:
    with stage.progress() as listener:
        wiring = Wiring.from_env(os.environ, listener=listener)
        answer: dict[str, Any] = run_job(
            "cleanup", {"scheduled_time": AS_OF.isoformat()}, None, lambda: wiring, cleanup
        )
    [table] = answer["tables"]
    stage.say(
        f"{answer['status']}: {table['archived_rows']:,} rows into {table['objects']} objects,"
        f" {table['bytes'] / 1e6:.1f} MB, in {answer['duration_ms'] / 1000:.1f} s"
    )


def _show_slack(stage: Stage, slack: SlackServer, since: tuple[int, int] = (0, 0)) -> None:
    """What came to the channel after so many messages and files."""
    for message in slack.messages[since[0] :]:
        stage.frame(f"#{CHANNEL}", message.seen)
    for file in slack.files[since[1] :]:
        stage.say(f"attached: {file.filename}, {len(file.content):,} bytes")


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


def _count(url: str) -> int:
    with closing(connect(url)) as connection:
        return int(connection.run(f"SELECT count(*) FROM {TABLE}")[0][0])


def main() -> None:
    """Play, and end quietly on Ctrl-C."""
    logger.setLevel("WARNING")  # the run's own log lines belong to CloudWatch, not between the acts
    try:
        play(Stage())
    except KeyboardInterrupt:
        sys.exit("stopped; the servers and their data are gone")


if __name__ == "__main__":
    main()
