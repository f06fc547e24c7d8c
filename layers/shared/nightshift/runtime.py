"""Runs a job once: `run_job()`, and `JobHandler` for Lambda.

A run has these steps: parse the event, read the settings, take the lock of the job, record the start, run the job,
record the result, write metrics, report on Slack, return the answer.

A failure is recorded, reported on Slack with a hint, and *raised again*, so that Lambda's retries, queues and alarms
work. If Slack cannot be reached, the run writes a warning and a metric, and does not fail.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from nightshift import secrets
from nightshift.database import history
from nightshift.database.connect import Database, to_user_error
from nightshift.database.lock import run_lock
from nightshift.database.own_tables import schema_of
from nightshift.database.schema_move import check_place, settle_schema
from nightshift.database.upgrades import check_own_tables, check_readable, ensure_tables
from nightshift.database.url import parse_database_url
from nightshift.errors import InvalidSettings, NightshiftError, NotifyError
from nightshift.job_spec import JobSpec, load_object, load_spec
from nightshift.metrics import emit_metrics
from nightshift.notifications import notify
from nightshift.results.common import JobResult, RunRefused
from nightshift.run import JobRun, LambdaContext, interrupt_on_sigterm, parse_event
from nightshift.run_services import RunServices, RunWiring
from nightshift.settings import Settings

REPORT_SECONDS = 15.0
REPORT_SHARE = 0.1
"""Time at the end of a run that is reserved for the record and the report: 15 s, or a tenth of a short run."""

logger = Logger(service="nightshift", stream=sys.stderr)

Work = Callable[[JobRun, RunServices], JobResult]


class JobHandler:
    """The function that Lambda calls for one job.

    The constructor loads the job's code. The first call builds the wiring, and later calls use the same wiring.
    """

    def __init__(self, job: str) -> None:
        self._job = job
        self.wiring: RunWiring | None = None
        load_object(load_spec(job).work)

    def __call__(self, event: object, context: LambdaContext | None) -> dict[str, Any]:
        if self.wiring is None:
            self.wiring = RunWiring(os.environ)
        return run_job(self._job, event, context, self.wiring)


def run_job(
    job: str, event: object, context: LambdaContext | None, wiring: RunWiring, *, work: Work | None = None
) -> dict[str, Any]:
    """Runs a job once.

    Args:
        job: the name of a folder under `functions/`.
        event, context: the arguments of Lambda's handler. `context` is None for a local run.
        work: the function to run; None: the function in the job's spec.

    Returns:
        The answer, with `job`, `status`, `as_of`, `complete`, `duration_ms`, `run_id`, and the facts of the job's
        result.

    Raises:
        Exception: every exception of the job, after the exception was recorded and reported.
    """
    started = time.monotonic()
    run = JobRun(job=job, as_of=wiring.now())
    spec = load_spec(job)
    try:
        request = load_object(spec.request) if spec.request else None
        run = parse_event(job, event, context, now=run.as_of, request=request)
        logger.info("run started", extra={"job": job, "as_of": run.as_of.isoformat(), "dry_run": run.dry_run})
        run, result = _run_connected(run, wiring, work or load_object(spec.work), started, spec)
    except Exception as exc:
        error = _explained(exc)
        _report_failure(run, wiring, error, started, context)
        if error is exc:
            raise
        raise error from exc
    duration = _ms(started)
    answer = to_response(run, result, duration)
    logger.info("run ended", extra={"answer": answer})
    if not run.dry_run:
        emit_metrics(wiring.environ, job, as_of=run.as_of, result=result, error=None)
    _notify(wiring, run, duration, context, result=result)
    return answer


def _run_connected(
    run: JobRun, wiring: RunWiring, work: Work, started: float, spec: JobSpec
) -> tuple[JobRun, JobResult]:
    """Runs the job with its database. A dry run takes no lock, and is not recorded."""
    with closing(open_database(wiring.settings, run)) as database:
        services = RunServices(wiring, database)
        if run.dry_run:
            with database.connect() as connection:
                check_readable(connection)
            return run, work(run, services)
        if spec.needs_archive:
            _ = services.archive_bucket  # a missing bucket is an error before the lock and the record
        return _run_recorded(run, services, work, started)


def _run_recorded(run: JobRun, services: RunServices, work: Work, started: float) -> tuple[JobRun, JobResult]:
    """Runs the job under its lock, and records the start and the end. Without the lock, returns `RunRefused`."""
    with run_lock(services.database, run.job) as held:
        if not held:
            return run, RunRefused(reason="another run of this job is in progress")
        services.database.check_writable()
        if not settle_schema(services.database, run.job):
            logger.warning("own tables stay where they are: another job is running", extra={"job": run.job})
        with services.database.connect() as connection:
            ensure_tables(connection)
            now = services.now()
            run = replace(run, attempt=history.record_start(connection, run, now=now))
            history.prune_history(connection, before=now - timedelta(days=services.settings.history_keep_days))
        with interrupt_on_sigterm(), _recorded_end(run, services, started) as record:
            result = work(run, services)
            record(result)
        return run, result


@contextmanager
def _recorded_end(run: JobRun, services: RunServices, started: float) -> Iterator[Callable[[JobResult], None]]:
    """Records the run's end in the history, also if the run fails. Provides the function that records the result."""
    ended: dict[str, Any] = {}

    def record(result: JobResult) -> None:
        answer = to_response(run, result, _ms(started))
        ended.update(status=result.status.value, complete=result.complete, result=answer)

    try:
        yield record
    except BaseException as exc:
        ended.update(status="failed", complete=False, error=str(exc)[:4000] or type(exc).__name__)
        done = getattr(exc, "result", None)
        if done is not None:
            ended["result"] = to_response(run, done, _ms(started))
        with suppress(NightshiftError, SQLAlchemyError):
            _write_end(run, services, started, ended)
        raise
    _write_end(run, services, started, ended)


def _write_end(run: JobRun, services: RunServices, started: float, ended: dict[str, Any]) -> None:
    with services.database.connect() as connection:
        history.record_end(connection, run, now=services.now(), duration_ms=_ms(started), **ended)


def open_database(settings: Settings, run: JobRun) -> Database:
    """Returns the deployment's database for one run. The function does not connect yet.

    Raises:
        InvalidSettings: the database's URL is invalid.
        SecretUnavailable: the secret with the URL cannot be read.
    """
    url = secrets.database_url(settings).get_secret_value()
    target = parse_database_url(url, connect_timeout=settings.database_connect_timeout)
    if settings.database_iam_auth and target.kind == "postgresql":
        target = replace(target, password=lambda: secrets.rds_token(target.host, target.port, target.user or ""))
    left = run.remaining()
    deadline = run.deadline - min(REPORT_SECONDS, left * REPORT_SHARE)

    def check(connection: Connection) -> None:
        check_place(connection, schema_of(connection), settings.nightshift_schema)
        check_own_tables(connection)

    database = Database(target, deadline=deadline, check=check)
    database.wanted_schema = settings.nightshift_schema
    return database


def to_response(run: JobRun, result: JobResult, duration_ms: int) -> dict[str, Any]:
    """Returns the handler's answer for a finished run."""
    return {
        "job": run.job,
        "status": result.status.value,
        "as_of": run.as_of.isoformat().replace("+00:00", "Z"),
        "complete": result.complete,
        "duration_ms": duration_ms,
        "run_id": run.run_id,
        **result.to_json(),
    }


def _explained(exc: Exception) -> Exception:
    """Returns the `NightshiftError` that explains a library's exception. Returns other exceptions unchanged."""
    from botocore.exceptions import BotoCoreError, ClientError

    from nightshift.aws_failures import unusable_client

    if isinstance(exc, BotoCoreError | ClientError):
        return unusable_client("AWS", exc)
    error = to_user_error(exc)
    if error is not exc and isinstance(error, NightshiftError):
        error.result = getattr(exc, "result", None)
    return error


def _report_failure(
    run: JobRun, wiring: RunWiring, error: Exception, started: float, context: LambdaContext | None
) -> None:
    """Logs a failed run, writes its metrics, and reports the failure on Slack.

    Invalid settings prevent the report on Slack, but do not replace the error.
    """
    if isinstance(error, NightshiftError):
        logger.error(
            "run failed", extra={"job": run.job, "error": error.message, "detail": error.detail, "hint": error.hint}
        )
    else:
        logger.error("run failed", extra={"job": run.job}, exc_info=error)
    emit_metrics(wiring.environ, run.job, as_of=run.as_of, result=getattr(error, "result", None), error=error)
    with suppress(InvalidSettings):
        _notify(wiring, run, _ms(started), context, result=getattr(error, "result", None), error=error)


def _notify(wiring: RunWiring, run: JobRun, duration_ms: int, context: LambdaContext | None, **ended: Any) -> None:
    """Reports the end of a run on Slack. If the message cannot be sent, writes a warning and a metric."""
    request_id = context.aws_request_id if context else None
    if not notify(wiring.report_settings, run, logger, duration_ms=duration_ms, request_id=request_id, **ended):
        emit_metrics(wiring.environ, run.job, as_of=run.as_of, result=None, error=NotifyError("Slack was not told"))


def _ms(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
