"""A deployment of the template that runs: the functions' own environment as SAM resolves it, on servers of the test's.

What a night and a bad day ask of AWS happens for real: an orphan and its sweep, an answer that gets lost, dry runs, a
restore into each kind of table, from damaged and missing objects, with and without versions; jobs that expire, archived
before, with files of several versions and of keys that only their own URL can carry; votes that start re-embedding,
which takes two rounds. Backups are in `midnights.py`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from local.bedrock import BedrockServer
from local.event_bus import EventBusServer
from local.s3 import EmbeddedS3
from nightshift.database.connect import Database
from nightshift.progress_events import ProgressStep
from nightshift.results.reembed import ReembedResult
from nightshift.run import JobRun
from nightshift.run_services import RunServices
from tests.support import s3_faults as faults
from tests.support.child import JobChild, Work
from tests.support.house import AS_OF, House
from tests.support.login import LoginRecorder
from tests.support.logs_server import LogsServer
from tests.template.cloudformation import PSEUDO, Stack
from tests.template.iam import Call
from tests.template.recorder import Recorder, bus_arn, login

TABLE = "conversation_log"
POLICIES = f"""\
[[retention]]
table = "{TABLE}"
keep_days = 30

[[expiry]]
table = "job"
archive = true

[[expiry.files]]
table = "job_file"
key = "s3_key"

[[embedding]]
table = "document"
text = "content"
into = "document_embedding"
"""
VOTES = """
CREATE TABLE vote (id int PRIMARY KEY, rating text, created_at timestamptz NOT NULL);
CREATE TABLE document (id int PRIMARY KEY, content text NOT NULL);
INSERT INTO vote SELECT i, CASE WHEN i <= 41 THEN 'bad' ELSE 'good' END, timestamptz '2025-10-14 12:00+09'
    FROM generate_series(1, 100) i;
INSERT INTO document SELECT i, 'document ' || i FROM generate_series(1, 3) i
"""
VOTES_ARE_IN = {"FeedbackTable": "vote", "FeedbackRating": "rating", "FeedbackLikes": "good", "FeedbackDislikes": "bad"}
"""Parameters that say so."""
ASKED: Mapping[str, dict[str, Any]] = {"restore": {"table": TABLE}, "restore_backup": {"backup": "newest"}}
"""Job → what its event has to ask for."""
NEW_NIGHT = "2026-01-01T15:00:00Z"
"""Of which there is no backup yet."""
SECONDS = 8.0
"""That a hurried run has: enough for what it can do."""
JOBS = """
CREATE TABLE job (id int PRIMARY KEY, note text, expires_at timestamptz NOT NULL);
CREATE TABLE job_file (id int PRIMARY KEY, job_id int NOT NULL REFERENCES job, s3_key text NOT NULL)
"""


@dataclass
class Deployed:
    """A stack, and what its functions have asked of AWS.

    Attributes:
        parameters: what the stack was deployed with.
        house: the database behind it, and the bucket that stands for ArchiveBucket.
        backups: the bucket that stands for BackupBucket.
        recorder: in front of what plays S3 and the rest of AWS; those of bus, model and logs are on their own.
        calls: by job.
    """

    stack: Stack
    parameters: Mapping[str, str]
    house: House
    backups: str
    recorder: Recorder
    bus: EventBusServer
    bus_recorder: Recorder
    bedrock: BedrockServer
    bedrock_recorder: Recorder
    logs: LogsServer
    logs_recorder: Recorder
    calls: dict[str, set[Call]] = field(default_factory=dict)

    @property
    def s3(self) -> EmbeddedS3:
        return self.house.s3

    @property
    def known(self) -> Mapping[str, str]:
        """Tokens of the stack, as this deployment has them."""
        bus = PSEUDO["AWS::StackName"]
        return {
            "<ArchiveBucket.Arn>": f"arn:aws:s3:::{self.house.bucket}",
            "<ArchiveBucket>": self.house.bucket,
            "<BackupBucket.Arn>": f"arn:aws:s3:::{self.backups}",
            "<BackupBucket>": self.backups,
            "<EventBus.Arn>": bus_arn(bus),
            "<EventBus>": bus,
        }

    def function(self, job: str) -> dict[str, Any]:
        """The properties of a job's function."""
        (found,) = (f for _, f in self.stack.of_type("AWS::Lambda::Function") if f["Handler"].startswith(f"{job}."))
        return found

    def run(
        self,
        job: str,
        env: Mapping[str, str] | None = None,
        *,
        kill_at: ProgressStep | None = None,
        work: Work | None = None,
        **event: Any,
    ) -> JobChild:
        """One run to its end, in a process of its own; its calls are kept."""
        variables = {name: str(value) for name, value in self.function(job)["Environment"]["Variables"].items()}
        variables = {name: self.known.get(value, value) for name, value in variables.items()}
        here = {
            **self.s3.env,
            "AWS_ENDPOINT_URL": self.recorder.endpoint,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.bedrock_recorder.endpoint,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": self.logs_recorder.endpoint,
            "AWS_ENDPOINT_URL_EVENTBRIDGE": self.bus_recorder.endpoint,
            "POWERTOOLS_METRICS_DISABLED": "true",
        }
        child = JobChild(
            {**variables, **here, **(env or {})},
            event if "detail-type" in event else {"scheduled_time": AS_OF, **event},
            job=job,
            kill_at=kill_at,
            work=work,
        )
        child.wait()
        for recorder in (self.recorder, self.bus_recorder, self.bedrock_recorder, self.logs_recorder):
            self.calls.setdefault(job, set()).update(recorder.take())
        return child

    def answer(self, job: str, **event: Any) -> dict[str, Any]:
        """A run that must answer."""
        child = self.run(job, **event)
        assert child.answer is not None, child.log
        return child.answer

    def insert(self, first: int) -> None:
        """Five days with a row each, all due."""
        day = "timestamptz '2025-08-01 12:00+09' + i * interval '1 day'"
        self.house.sql(f"INSERT INTO {TABLE} SELECT i, 'row ' || i, {day} FROM generate_series({first}, {first + 4}) i")

    def nights(self) -> None:
        """cleanup: killed over an orphan; swept, with an answer lost on the way; looked at; without versions."""
        self.house.sql(f"CREATE TABLE {TABLE} (id int PRIMARY KEY, note text, created_at timestamptz NOT NULL)")
        self.insert(1)
        assert self.run("cleanup", kill_at=ProgressStep.UPLOADED).process.exitcode == -signal.SIGKILL
        assert self.answer("cleanup", dry_run=True)["status"] == "dry_run"
        lost = self.recorder.inject(faults.store_then_disconnect(), method="PUT", target=self.house.bucket)
        swept = self.answer("cleanup")
        assert (swept["status"], lost.fired) == ("ok", 1)
        assert swept["orphans_removed"] >= 1
        self._versions("Suspended")
        self.insert(6)
        assert self.answer("cleanup")["status"] == "ok"
        self._versions("Enabled")

    def bad_days(self) -> None:
        """restore: looked at; into a table of its own; of damaged and missing objects; back into the original."""
        assert self.answer("restore", table=TABLE, dry_run=True)["status"] == "dry_run"
        assert self.answer("restore", table=TABLE)["restored_rows"] == 10
        versioned, bare = (
            [e for e in self.house.ledger() if bool(e["version_id"]) is has and e["state"] == "archived"]
            for has in (True, False)
        )
        client, bucket = self.s3.client(), self.house.bucket
        for entry in (versioned[0], bare[0]):
            version = {"VersionId": entry["version_id"]} if entry["version_id"] else {}
            client.delete_object(Bucket=bucket, Key=entry["object_key"], **version)
        client.put_object(Bucket=bucket, Key=bare[1]["object_key"], Body=b"not what was archived")
        partial = self.answer("restore", table=TABLE, into="second")
        assert sorted(one["damage"] for one in partial["damaged"]) == ["missing", "missing", "wrong size"]
        assert self.answer("restore", table=TABLE, into_original=True)["restored_rows"] == 7

    def file_key(self, job: int) -> str:
        """Where a job's file lies; of versions apart, the eighth one's only a URL can carry, not S3's XML."""
        odd = job == 8 and "ExpireFileVersions" not in self.parameters
        return f"{self.parameters.get('ExpireFilesPrefix', '')}{job}{chr(1) if odd else ''}.pdf"

    def submit(self, first: int) -> None:
        """Five jobs that have expired, each with a file that was written twice."""
        for job in range(first, first + 5):
            expired = f"timestamptz '{AS_OF}' - interval '{job} minutes'"
            self.house.sql(f"INSERT INTO job VALUES ({job}, 'job {job}', {expired})")
            key = self.file_key(job)
            self.house.sql(f"INSERT INTO job_file VALUES ({job}, {job}, E'{key.replace(chr(1), chr(92) + 'x01')}')")
            for body in (b"draft", b"final"):
                self.s3.client().put_object(Bucket=self.parameters["ExpireFilesBucket"], Key=key, Body=body)

    def hours(self) -> None:
        """expire_jobs: killed over an orphan; looked at; answers lost on the way; files of one version or several."""
        files = self.parameters["ExpireFilesBucket"]
        self.house.sql(JOBS)
        self.submit(1)
        assert self.run("expire_jobs", kill_at=ProgressStep.UPLOADED).process.exitcode == -signal.SIGKILL
        assert self.answer("expire_jobs", dry_run=True)["status"] == "dry_run"
        lost = self.recorder.inject(faults.store_then_disconnect(), method="POST", target=files)
        lost_put = self.recorder.inject(faults.store_then_disconnect(), method="PUT", target=self.house.bucket)
        answer = self.answer("expire_jobs")
        assert (answer["status"], answer["files"]["deleted"], lost.fired, lost_put.fired) == ("ok", 5, 1, 1)
        self.submit(6)
        assert self.answer("expire_jobs")["files"]["deleted"] == 5
        assert self.s3.keys(files) == []
        if "ExpireFileVersions" in self.parameters:
            assert "Versions" not in self.s3.client().list_object_versions(Bucket=files)

    def mornings(self) -> None:
        """feedback: looked at; 41 of 100 dislike. reembed, by its event: cut off by the clock; gone on with."""
        self.house.sql(VOTES)
        assert self.answer("feedback", dry_run=True)["state"] == "retraining"
        assert self.bus.events == []
        assert self.answer("feedback")["started"] is True
        (exceeded,) = self.bus.events
        assert self.answer("reembed", dry_run=True)["status"] == "dry_run"
        self.bedrock.poison("document 2", "ThrottlingException")
        child = self.run("reembed", {"EMBEDDING_BATCH": "1", "EMBEDDING_WORKERS": "1"}, work=hurried, **exceeded)
        assert child.answer is not None, child.log
        assert child.answer["continues"] is True, child.answer
        self.bedrock.heal()
        _, unfinished = self.bus.events
        assert self.answer("reembed", **unfinished)["complete"] is True
        assert self.bedrock.embedded == {"document 1": 1, "document 2": 1, "document 3": 1}

    def logins(self, resource_id: str, replica: str) -> None:
        """Each job shows its token to a server that keeps it; a backup to a standby as well."""
        for job in self.calls:
            with LoginRecorder() as server:
                url = f"postgresql://nightshift@127.0.0.1:{server.port}/app"
                child = self.run(job, {"DATABASE_URL": url}, **ASKED.get(job, {}))
                assert child.error is not None, child.log
                self.calls[job].update(login(token, resource_id) for token in server.passwords)
        self.house.sql("CREATE ROLE nightshift LOGIN SUPERUSER")
        try:
            with LoginRecorder() as server:
                env = {"DATABASE_URL": self.house.url.replace("postgres@", "nightshift@")}
                env["BACKUP_REPLICA_HOST"] = f"127.0.0.1:{server.port}"
                child = self.run("backup", env, scheduled_time=NEW_NIGHT)
                assert child.error is not None and server.passwords, child.log
                self.calls["backup"].update(login(token, replica) for token in server.passwords)
        finally:
            self.house.sql("DROP OWNED BY nightshift; DROP ROLE nightshift")

    def _versions(self, status: Any) -> None:
        self.s3.client().put_bucket_versioning(Bucket=self.house.bucket, VersioningConfiguration={"Status": status})


def hurried(run: JobRun, services: RunServices) -> ReembedResult:
    """`reembed` with little time."""
    from reembed.job import reembed

    deadline = time.monotonic() + SECONDS
    with closing(Database(services.database.target, deadline=deadline)) as database:
        return reembed(replace(run, deadline=deadline), replace(services, database=database))
