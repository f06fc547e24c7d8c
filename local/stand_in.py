"""Servers on this machine for one call of one job, where the caller names none, with something in them for it to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from local.s3 import EmbeddedS3

BUCKET = "nightshift-demo"
FILES_BUCKET = "nightshift-demo-files"
CONVERSATIONS = 5_000
DAYS = 60
VOTED_DAYS = 35
GOOD, BAD = (87, 13), (59, 41)
"""Likes and dislikes of the day that is looked at: for the report, and for what it can lead to."""
DOCUMENTS = 300
EXPIRED, LIVING = 50, 20
EXPIRY = """\
[[expiry]]
table = "job"

[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket_column = "bucket"
buckets = ["nightshift-demo-files"]
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job finds things.

    Attributes:
        url: of the database.
        moment: the time that the call stands for.
        directory: for files.
        servers: whatever is entered here ends with the call.
        another: makes one more database, by its name, and tells its URL.
    """

    url: str
    s3: EmbeddedS3
    moment: datetime
    directory: Path
    servers: ExitStack
    another: Callable[[str], str]


Fill = Callable[[Place], Mapping[str, str]]
"""Puts something into a place; returns further variables."""


@contextmanager
def stand_in(job: str, moment: datetime) -> Iterator[Mapping[str, str]]:
    """Start them, and say so on stderr.

    Args:
        moment: the time that the call stands for; some of the rows are due then.

    Yields:
        the variables by which the job finds them.
    """
    from local.postgres import DISPOSABLE, EmbeddedPostgres

    fill, rows = _FILLS.get(job, (_conversations, f"{CONVERSATIONS} rows of conversation_log"))
    print(f"a PostgreSQL with {rows} and an S3 are started on this machine, for this call only", file=sys.stderr)
    with ExitStack() as servers:
        postgres = servers.enter_context(EmbeddedPostgres(settings=DISPOSABLE))
        s3 = servers.enter_context(EmbeddedS3())
        directory = Path(servers.enter_context(TemporaryDirectory()))
        url = postgres.create_database("demo")
        s3.create_bucket(BUCKET)
        found = fill(Place(url, s3, moment, directory, servers, postgres.create_database))
        yield {**s3.env, "DATABASE_URL": url, "ARCHIVE_BUCKET": BUCKET, **found}


def _conversations(place: Place) -> Mapping[str, str]:
    from local.chatlog import create_conversation_log

    create_conversation_log(place.url, CONVERSATIONS, days=DAYS, end=place.moment)
    return {}


def _nothing_yet(place: Place) -> Mapping[str, str]:
    """Conversations, and an empty database that their backup can be restored into."""
    return {**_conversations(place), "RESTORE_DATABASE_URL": place.another("restored")}


def _jobs(place: Place) -> Mapping[str, str]:
    """Jobs with their files, and the policy that says when they end."""
    from local.job_data import Jobs, all_file_keys, put_files
    from local.job_rows import create_jobs
    from local.jobs import job_schema

    jobs = Jobs(EXPIRED, LIVING, place.moment, FILES_BUCKET)
    create_jobs(place.url, job_schema(cascades=False), jobs)
    place.s3.create_bucket(FILES_BUCKET)
    put_files(place.s3.client(), FILES_BUCKET, all_file_keys([*jobs.gone, *jobs.kept]))
    return _policy(place, EXPIRY)


def _votes(place: Place) -> Mapping[str, str]:
    """A good day's votes, and a bus on this machine: whatever is decided, nobody else hears of it."""
    return _voted(place, GOOD)


def _documents(place: Place) -> Mapping[str, str]:
    """A bad day's votes, the documents behind them, and a Bedrock on this machine."""
    from local.bedrock import BedrockServer
    from local.documents import POLICY, create_documents

    create_documents(place.url, DOCUMENTS, end=place.moment)
    bedrock = place.servers.enter_context(BedrockServer())
    return {**_policy(place, POLICY), **bedrock.env, **_voted(place, BAD)}


def _voted(place: Place, last: tuple[int, int]) -> Mapping[str, str]:
    """Votes of some weeks that end with the day before the moment's, in Seoul, and a bus."""
    from local.event_bus import EventBusServer
    from local.feedback_data import SETTINGS, create_votes

    today = place.moment.astimezone(ZoneInfo("Asia/Seoul")).date()
    before = {today - timedelta(days=ago): (80 + 7 * ago % 23, 9 + 5 * ago % 11) for ago in range(2, VOTED_DAYS + 1)}
    ids = [str(number) for number in range(1, DOCUMENTS + 1)]
    create_votes(place.url, {**before, today - timedelta(days=1): last}, documents=ids)
    return {**SETTINGS, **place.servers.enter_context(EventBusServer()).env}


def _policy(place: Place, text: str) -> Mapping[str, str]:
    path = place.directory / "policies.toml"
    path.write_text(text, encoding="utf-8")
    return {"NIGHTSHIFT_CONFIG": str(path)}


_FILLS: Mapping[str, tuple[Fill, str]] = {
    "expire_jobs": (_jobs, f"{EXPIRED} expired and {LIVING} living jobs"),
    "feedback": (_votes, f"{VOTED_DAYS} days of votes"),
    "reembed": (_documents, f"{DOCUMENTS} documents and votes on them, a Bedrock"),
    "restore_backup": (_nothing_yet, f"{CONVERSATIONS} rows of conversation_log, an empty database"),
}
"""What a job finds where it is not conversations, and what to call it."""
