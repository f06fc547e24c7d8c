"""Generates SQL with which a query engine reads the archive of a table in S3.

A bucket also holds objects of killed runs, and objects whose rows are in their table again. Only the ledger records
which objects are committed. The SQL therefore names each committed object, and must be printed again after a cleanup or
a restore. Rejected: a table over the whole location, as other tools create it, because such a table counts rows twice.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from sqlalchemy.exc import DBAPIError

from nightshift.archive.ddl_columns import merge_columns, shapes_of
from nightshift.archive.ddl_duckdb import duckdb_sql
from nightshift.archive.ddl_hive import athena_sql, spark_sql
from nightshift.archive.ddl_text import ArchivedTable
from nightshift.archive.inventory import ARCHIVED, scope_of
from nightshift.database.connect import Database, refused_statement
from nightshift.errors import NightshiftError
from nightshift.store import ObjectStore

SqlEngine = Literal["athena", "duckdb", "spark"]


def create_table_sql(
    database: Database,
    store: ObjectStore,
    prefix: str,
    *,
    table: str,
    engine: SqlEngine,
    since: date | None = None,
    until: date | None = None,
) -> str:
    """Returns the SQL for a table's committed objects.

    Args:
        prefix: ARCHIVE_PREFIX, for messages only. The ledger records where the objects are.
        table: name of the table, with or without its schema.
        since, until: first and last day, both included.

    Raises:
        NightshiftError: the ledger knows no such table, no object is archived, or the engine cannot read the table.
        StoreError: S3 did not return a file of each set of columns.
    """
    try:
        with database.connect() as connection:
            scope = scope_of(connection, store.bucket, table, since, until)
            objects = [
                archived for archived in scope.list_objects(connection, store.bucket) if archived.state == ARCHIVED
            ]
    except DBAPIError as exc:
        raise refused_statement(exc) from exc
    if scope.table is None or not objects:
        raise NightshiftError(
            "nothing of this table is archived in these days",
            detail=f"{scope.table}, {since or 'the beginning'} to {until or 'today'}",
            hint="`archives` lists what there is",
        )
    shapes = shapes_of(store, objects)
    archive = ArchivedTable(scope.table, objects, shapes, merge_columns(shapes))
    if engine == "duckdb":
        return duckdb_sql(archive)
    return athena_sql(archive, prefix) if engine == "athena" else spark_sql(archive, prefix)
