"""The `feedback` job: counts the votes of the day before, decides on re-embedding, and draws a chart of 30 days.

If the chart cannot be drawn, the run adds a warning, and does not fail.
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
    """Counts the votes, decides, sends the event that starts re-embedding if so decided, and draws the chart.

    Raises:
        BusError: the event that starts re-embedding was not sent. `result` has the report with the chart.
        NightshiftError: the database refused a statement.
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
    except Exception as exc:  # Pillow may raise any exception, and the chart must not fail the run
        logger.warning("the chart could not be drawn", exc_info=exc)
        return replace(result, warnings=(*result.warnings, f"the chart could not be drawn: {type(exc).__name__}"))
    chart = MessageAttachment(filename=f"feedback_{result.start:%Y-%m-%d}.png", content=drawn)
    return replace(result, attachments=(chart,))
