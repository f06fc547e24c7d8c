"""Reports a run on Slack: builds the message and sends the message to the channel.

A failure of the report does not change the result of the run, which has already ended.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from aws_lambda_powertools import Logger

from nightshift import secrets
from nightshift.errors import NightshiftError
from nightshift.job_spec import load_spec
from nightshift.results.common import JobResult, RunStatus
from nightshift.run import JobRun
from nightshift.settings import Settings
from nightshift.slack.notifier import make_notifier
from nightshift.slack.renderer import render_result
from nightshift.slack.report import ReportFrame

LAST_SECOND = 1.0
"""Time reserved between the last try to send and the run's deadline, in seconds."""


def notify(
    settings: Settings,
    run: JobRun,
    logger: Logger,
    *,
    duration_ms: int,
    request_id: str | None,
    result: JobResult | None = None,
    error: Exception | None = None,
) -> bool:
    """Sends a run's message with its attachments. The job's `quiet_setting` suppresses messages with nothing to report.

    The result is False if the message could not be sent. The log has the reason.
    """
    nothing = result is not None and error is None and result.status is RunStatus.NOTHING
    quiet = load_spec(run.job).quiet_setting
    if nothing and quiet and getattr(settings, quiet):
        return True
    report = ReportFrame(
        job=run.job,
        as_of=run.as_of,
        dry_run=run.dry_run,
        duration_ms=duration_ms,
        result=result,
        error=error,
        attempt=run.attempt,
        request_id=request_id,
    )
    try:
        notifier = make_notifier(settings, secrets.slack_token(settings), logger)
        message = render_result(report, settings.report_language, ZoneInfo(settings.timezone))
        notifier.send(message, result.attachments if result else (), deadline=run.deadline - LAST_SECOND)
    except Exception as exc:
        logger.warning(
            "Slack was not told", extra={"error": str(exc) if isinstance(exc, NightshiftError) else repr(exc)}
        )
        return False
    return True
