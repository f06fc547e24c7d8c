"""Finds the schema of nightshift's own tables, which SQLAlchemy's statements and ours name explicitly."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Table

from nightshift.database.catalog import TableName, quote_literal
from nightshift.database.search_path import SCHEMAS


def find_schema_sql(names: Iterable[str], wanted: str | None = None) -> str:
    """SQL for that schema: the first of the role's own search_path that has one of the tables, else the first.

    Args:
        names: of the tables.
        wanted: a schema to look at before these, NIGHTSHIFT_SCHEMA.
    """
    known = ", ".join(map(quote_literal, names))
    places = SCHEMAS if wanted is None else f"(ARRAY[CAST({quote_literal(wanted)} AS name)] || {SCHEMAS})"
    return f"""
SELECT CAST(coalesce(
  (SELECT n.nspname FROM unnest({places}) WITH ORDINALITY s(name, place) JOIN pg_namespace n ON n.nspname = s.name
   JOIN pg_class c ON c.relnamespace = n.oid WHERE c.relname IN ({known}) ORDER BY s.place LIMIT 1),
  ({places})[1]) AS text)
"""


def schema_of(connection: Connection) -> str | None:
    """The schema of our tables, as `Database` has found it; None in SQLite."""
    found: str | None = connection.get_execution_options().get("schema_translate_map", {}).get(None)
    return found


def own_table(table: Table | str, schema: str | None) -> str:
    """One of our tables, quoted for SQL that is not SQLAlchemy's.

    Args:
        schema: `Database.schema`, or `schema_of(connection)`.
    """
    return TableName(schema or "", table if isinstance(table, str) else table.name).sql
