"""Identifiers, types and timestamps as SQL text."""

from __future__ import annotations

from datetime import UTC, datetime

from nightshift.database.catalog import quote_identifier


def quoted_name(identifier: str) -> str:
    """An identifier, quoted for SQL with bind parameters."""
    return quote_identifier(identifier).replace(":", r"\:")


def type_sql(type_name: str) -> str:
    """A type's name as the database prints it, for SQL with bind parameters."""
    return type_name.replace(":", r"\:")


def format_timestamp(moment: datetime) -> str:
    """A moment as SQLAlchemy's `DateTime` writes it in SQLite; PostgreSQL reads it in a session whose zone is UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
