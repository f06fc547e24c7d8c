"""The `feedback` job: counts yesterday's votes, decides on them, and draws a chart of the last thirty days.

A chart that cannot be drawn is a warning: the run is for the numbers, and their consequences.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from nightshift.errors import NightshiftError
from nightshift.feedback.evaluation import FeedbackContext, evaluate_feedback
from nightshift.results.common import MessageAttachment
from nightshift.results.feedback import FeedbackResult
from nightshift.run import JobRun
from nightshift.run_services import RunServices
from nightshift.settings import Settings

logger = logging.getLogger(__name__)


def feedback(run: JobRun, services: RunServices) -> FeedbackResult:
    """Count, decide, start re-embedding where that was decided, and draw.

    Raises:
        BusError: re-embedding was decided on, and the event was not sent; `result` holds the report, with its chart.
        NightshiftError: the database refused.
    """
    settings = services.settings
    ports = FeedbackContext(
        settings=settings, database=services.database, bus=lambda: services.wiring.bus, now=services.now
    )
    try:
        return _with_chart(evaluate_feedback(run, ports), settings)
    except NightshiftError as exc:
        if isinstance(exc.result, FeedbackResult):
            exc.result = _with_chart(exc.result, settings)
        raise


def _with_chart(result: FeedbackResult, settings: Settings) -> FeedbackResult:
    if not settings.feedback_chart or not any(day.votes.total for day in result.days):
        return result
    try:
        from nightshift.charts.feedback import feedback_chart

        drawn = feedback_chart(result.days, threshold=result.threshold, language=settings.report_language)
    except Exception as exc:  # the library has many ways to fail, and none of them is the run's
        logger.warning("the chart could not be drawn", exc_info=exc)
        return replace(result, warnings=(*result.warnings, f"the chart could not be drawn: {type(exc).__name__}"))
    chart = MessageAttachment(filename=f"feedback_{result.start:%Y-%m-%d}.png", content=drawn)
    return replace(result, attachments=(chart,))
