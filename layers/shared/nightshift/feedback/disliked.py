"""Finds the documents behind disliked answers, for code that embeds them again."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from nightshift.errors import InvalidSettings
from nightshift.feedback.source import find_source
from nightshift.guards import GuardRefused
from nightshift.settings import Settings


def disliked_documents(connection: Connection, settings: Settings, start: datetime, end: datetime) -> str:
    """A query for the documents that answers disliked in `[start, end)` rest on.

    Args:
        connection: to the database that has the votes; PostgreSQL or SQLite.
        start, end: aware.

    Returns:
        SQL in the connection's dialect, names and values quoted, to be run as it is (`exec_driver_sql`) or as a part of
        another statement: one text column `id`, each document once, none null.

    Raises:
        InvalidSettings: FEEDBACK_DOCUMENT is not set, or the votes cannot be found as the settings say.
    """
    if settings.feedback_document is None:
        raise InvalidSettings(
            "nobody knows which documents were disliked",
            detail="FEEDBACK_DOCUMENT: is not set",
            hint="name the column that says which document is behind an answer, or embed the stale documents",
        )
    zone = ZoneInfo(settings.timezone)
    try:
        source = find_source(connection, settings, until=end)
    except GuardRefused as refused:
        raise refused.as_error() from None
    within = source.between_condition(start.astimezone(zone), end.astimezone(zone))
    return (
        f"SELECT DISTINCT CAST({source.document} AS text) AS id FROM {source.votes_sql(within)}"
        f" AND {source.ratings.dislikes} AND {source.document} IS NOT NULL"
    )
