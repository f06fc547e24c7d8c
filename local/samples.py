"""Data for `make invoke`: one function a kind, which the specs of the jobs name.

Each fills the servers that are started for the call, and returns further environment variables of the function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from local.s3 import EmbeddedS3

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
class SampleServers:
    """The servers that a sample is written to.

    Attributes:
        url: of the database.
        moment: the time that the call stands for; some of the rows are due then.
        directory: for files.
        stack: ends with the call, and all that is entered here with it.
        create_database: creates a further database of the given name, and returns its URL.
    """

    url: str
    s3: EmbeddedS3
    moment: datetime
    directory: Path
    stack: ExitStack
    create_database: Callable[[str], str]


def conversations(servers: SampleServers) -> Mapping[str, str]:
    """Write conversations, half of them due."""
    from local.chatlog import create_conversation_log

    create_conversation_log(servers.url, CONVERSATIONS, days=DAYS, end=servers.moment)
    return {}


def conversations_and_empty_database(servers: SampleServers) -> Mapping[str, str]:
    """Write conversations, and create an empty database to restore their backup into."""
    return {**conversations(servers), "RESTORE_DATABASE_URL": servers.create_database("restored")}


def expired_jobs(servers: SampleServers) -> Mapping[str, str]:
    """Write expired and living jobs with their files, and a policy that expires them."""
    from local.job_data import Jobs, all_file_keys, put_files
    from local.job_rows import create_jobs
    from local.jobs import job_schema

    jobs = Jobs(EXPIRED, LIVING, servers.moment, FILES_BUCKET)
    create_jobs(servers.url, job_schema(cascades=False), jobs)
    servers.s3.create_bucket(FILES_BUCKET)
    put_files(servers.s3.client(), FILES_BUCKET, all_file_keys([*jobs.gone, *jobs.kept]))
    return _policy(servers, EXPIRY)


def votes(servers: SampleServers) -> Mapping[str, str]:
    """Write the votes of weeks that end with a good day, and start an event bus on this machine."""
    return _votes(servers, GOOD)


def documents(servers: SampleServers) -> Mapping[str, str]:
    """Write the votes of weeks that end with a bad day, and their documents; start a Bedrock on this machine."""
    from local.bedrock import BedrockServer
    from local.documents import POLICY, create_documents

    create_documents(servers.url, DOCUMENTS, end=servers.moment)
    bedrock = servers.stack.enter_context(BedrockServer())
    return {**_policy(servers, POLICY), **bedrock.env, **_votes(servers, BAD)}


def _votes(servers: SampleServers, last: tuple[int, int]) -> Mapping[str, str]:
    """Write votes; the last day is the day before the moment, in Seoul."""
    from local.event_bus import EventBusServer
    from local.feedback_data import SETTINGS, create_votes

    today = servers.moment.astimezone(ZoneInfo("Asia/Seoul")).date()
    before = {today - timedelta(days=ago): (80 + 7 * ago % 23, 9 + 5 * ago % 11) for ago in range(2, VOTED_DAYS + 1)}
    ids = [str(number) for number in range(1, DOCUMENTS + 1)]
    create_votes(servers.url, {**before, today - timedelta(days=1): last}, documents=ids)
    return {**SETTINGS, **servers.stack.enter_context(EventBusServer()).env}


def _policy(servers: SampleServers, text: str) -> Mapping[str, str]:
    path = servers.directory / "policies.toml"
    path.write_text(text, encoding="utf-8")
    return {"NIGHTSHIFT_CONFIG": str(path)}
