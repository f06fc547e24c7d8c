"""`run_job()`: the frame of every handler.

event → `JobRun` → settings → single-run lock → start recorded → the job → result recorded → metrics → Slack → answer.

A failure is recorded, told on Slack with what the reader can do, and *re-raised*, so that Lambda's retries, queues
and alarms see it. Slack being down is a warning and a metric, never a failed run.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from aws_lambda_powertools import Logger
from sqlalchemy.exc import SQLAlchemyError

from nightshift import secrets
from nightshift.archive.events import Listener, ignore
from nightshift.database import history
from nightshift.database.connect import Database
from nightshift.database.lock import run_lock
from nightshift.database.tables import ensure_tables
from nightshift.database.url import parse_database_url
from nightshift.errors import InvalidSettings, NightshiftError, NotifyError
from nightshift.metrics import emit
from nightshift.reporting import tell
from nightshift.results import JobResult, RunRefused
from nightshift.run import JobRun, LambdaContext, parse_event, stoppable
from nightshift.settings import Settings
from nightshift.store import Store, make_client

REPORT_SECONDS = 15.0
REPORT_SHARE = 0.1
"""What the frame keeps of the run's time for recording and reporting: 15 s, or a tenth of a short run."""

logger = Logger(service="nightshift", stream=sys.stderr)

R = TypeVar("R", bound=JobResult)


@dataclass(frozen=True)
class Wiring:
    """What outlives a run in a warm environment."""

    environ: Mapping[str, str]
    listener: Listener = ignore

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, listener: Listener = ignore) -> Wiring:
        """Nothing is read or connected yet: a setting that is wrong must be a run's error, not an import's."""
        return cls(environ, listener)

    @cached_property
    def settings(self) -> Settings:
        """Raises `InvalidSettings`."""
        return Settings.from_env(self.environ)

    @cached_property
    def report_settings(self) -> Settings:
        """The settings, or where they are unusable just those of the report, so that Slack hears of it.

        Raises `InvalidSettings` where not even these are usable.
        """
        try:
            return self.settings
        except InvalidSettings:
            names = ("TIMEZONE", "REPORT_LANGUAGE")
            return Settings.from_env(
                {name: value for name, value in self.environ.items() if name.startswith("SLACK_") or name in names}
            )

    @cached_property
    def s3_client(self) -> Future[Any]:
        """boto3's client, begun in the background at the first mention and kept while the environment is warm.

        Building it takes longer than anything else before the first row moves (0.1 s and more), and the database is
        being asked meanwhile.
        """
        builder = ThreadPoolExecutor(1, thread_name_prefix="s3-client")
        client = builder.submit(make_client)
        # What is in memory by now stays: full collections need not walk it again (8 % of a large run's time).
        client.add_done_callback(lambda _: gc.freeze())
        builder.shutdown(wait=False)
        return client

    def now(self) -> datetime:
        """The only clock."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class Services:
    """A job's ports: what one run may use."""

    wiring: Wiring
    database: Database

    @property
    def settings(self) -> Settings:
        return self.wiring.settings

    @property
    def listener(self) -> Listener:
        return self.wiring.listener

    def now(self) -> datetime:
        return self.wiring.now()

    @property
    def archive_bucket(self) -> str:
        """The archive's bucket.

        Raises:
            InvalidSettings: ARCHIVE_BUCKET is not set.
        """
        if self.settings.archive_bucket is None:
            raise InvalidSettings(
                "settings are not usable",
                detail="ARCHIVE_BUCKET: is not set",
                hint="name the bucket that the archive goes to; nothing was read or written",
            )
        return self.settings.archive_bucket

    def prepare_archive(self) -> None:
        """Check that there is a bucket, and begin to build the client; raises as `archive_bucket` does."""
        if self.archive_bucket:
            self.wiring.s3_client  # noqa: B018 - the first mention begins it

    def archive_store(self) -> Store:
        """The archive's bucket, ready for use; raises as `archive_bucket` does."""
        settings, bucket = self.settings, self.archive_bucket
        return Store(self.wiring.s3_client.result, bucket, settings.archive_kms_key, settings.archive_proof)

    def fetch_text(self, location: str) -> str:
        """The text behind a path, `s3://bucket/key` or `ssm:/name`.

        Raises:
            InvalidSettings, StoreError, SecretUnavailable: it cannot be read.
        """
        if location.startswith("s3://"):
            bucket, _, key = location.removeprefix("s3://").partition("/")
            return Store(self.wiring.s3_client.result, bucket).get(key).decode("utf-8")
        if location.startswith("ssm:"):
            return secrets.parameter(location.removeprefix("ssm:"))
        try:
            return Path(location).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidSettings(
                "the policy file cannot be read", detail=f"NIGHTSHIFT_CONFIG: {location}: {type(exc).__name__}"
            ) from None


def run_job(
    job: str,
    event: object,
    context: LambdaContext | None,
    wiring: Callable[[], Wiring],
    work: Callable[[JobRun, Services], R],
) -> dict[str, Any]:
    """Run a job once.

    Args:
        job: its name.
        event, context: as Lambda gave them; no context: a local run without a deadline.
        wiring: called once; cached by the handler's module.
        work: the job itself.

    Returns:
        the answer: `job`, `status`, `as_of`, `complete`, `duration_ms`, and the job's own facts.

    Raises:
        whatever the job raised, after it was recorded and reported.
    """
    wires = wiring()
    started = time.monotonic()
    run = JobRun(job=job, as_of=wires.now())
    try:
        run = parse_event(job, event, context, now=run.as_of)
        logger.info("run started", extra={"job": job, "as_of": run.as_of.isoformat(), "dry_run": run.dry_run})
        run, result = _connected(run, wires, work, started)
    except Exception as exc:
        _failed(run, wires, exc, started, context)
        raise
    duration = _ms(started)
    answer = _answer(run, result, duration)
    logger.info("run ended", extra={"answer": answer})
    if not run.dry_run:
        emit(wires.environ, job, result=result, error=None)
    _told(wires, run, duration, context, result=result)
    return answer


def _connected(
    run: JobRun, wires: Wiring, work: Callable[[JobRun, Services], R], started: float
) -> tuple[JobRun, R | RunRefused]:
    """The job with its database; a dry run takes no lock and leaves no record."""
    with closing(_database(wires.settings, run)) as database:
        services = Services(wires, database)
        if run.dry_run:
            return run, work(run, services)
        services.prepare_archive()
        return _recorded(run, services, work, started)


def _recorded(
    run: JobRun, services: Services, work: Callable[[JobRun, Services], R], started: float
) -> tuple[JobRun, R | RunRefused]:
    """The job under its lock, with its start and its end on record."""
    with run_lock(services.database, run.job) as held:
        if not held:
            return run, RunRefused(reason="another run of this job is in progress")
        with services.database.connect() as connection:
            ensure_tables(connection)
            run = replace(run, attempt=history.record_start(connection, run, now=services.now()))
        with stoppable(), _recorded_end(run, services, started) as record:
            result = work(run, services)
            record(result)
        return run, result


@contextmanager
def _recorded_end(run: JobRun, services: Services, started: float) -> Iterator[Callable[[JobResult], None]]:
    """Write the run's end into the history, whichever way it ends."""
    ended: dict[str, Any] = {}

    def record(result: JobResult) -> None:
        answer = _answer(run, result, _ms(started))
        ended.update(status=result.status.value, complete=result.complete, result=answer)

    try:
        yield record
    except BaseException as exc:
        ended.update(status="failed", complete=False, error=str(exc)[:4000] or type(exc).__name__)
        done = getattr(exc, "result", None)
        if done is not None:
            ended["result"] = _answer(run, done, _ms(started))
        with suppress(NightshiftError, SQLAlchemyError):
            _write_end(run, services, started, ended)
        raise
    _write_end(run, services, started, ended)


def _write_end(run: JobRun, services: Services, started: float, ended: dict[str, Any]) -> None:
    with services.database.connect() as connection:
        history.record_end(connection, run, now=services.now(), duration_ms=_ms(started), **ended)


def _database(settings: Settings, run: JobRun) -> Database:
    url = secrets.database_url(settings).get_secret_value()
    target = parse_database_url(url, connect_timeout=settings.database_connect_timeout)
    if settings.database_iam_auth and target.kind == "postgresql":
        target = replace(target, password=lambda: secrets.rds_token(target.host, target.port, target.user or ""))
    left = run.remaining()
    return Database(target, deadline=run.deadline - min(REPORT_SECONDS, left * REPORT_SHARE))


def _answer(run: JobRun, result: JobResult, duration_ms: int) -> dict[str, Any]:
    return {
        "job": run.job,
        "status": result.status.value,
        "as_of": run.as_of.isoformat().replace("+00:00", "Z"),
        "complete": result.complete,
        "duration_ms": duration_ms,
        "run_id": run.run_id,
        **result.to_json(),
    }


def _failed(run: JobRun, wires: Wiring, error: Exception, started: float, context: LambdaContext | None) -> None:
    """Tell of a failure, wherever it happened; telling must not hide it."""
    if isinstance(error, NightshiftError):
        logger.error(
            "run failed", extra={"job": run.job, "error": error.message, "detail": error.detail, "hint": error.hint}
        )
    else:
        logger.error("run failed", extra={"job": run.job}, exc_info=error)
    emit(wires.environ, run.job, result=getattr(error, "result", None), error=error)
    with suppress(InvalidSettings):
        _told(wires, run, _ms(started), context, result=getattr(error, "result", None), error=error)


def _told(wires: Wiring, run: JobRun, duration_ms: int, context: LambdaContext | None, **ended: Any) -> None:
    """Tell Slack how the run ended; a Slack that is down is a warning and a metric."""
    request_id = context.aws_request_id if context else None
    if not tell(wires.report_settings, run, logger, duration_ms=duration_ms, request_id=request_id, **ended):
        emit(wires.environ, run.job, result=None, error=NotifyError("Slack was not told"))


def _ms(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
