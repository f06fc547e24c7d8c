"""Builds the result of one policy, for a run or a dry run. A dry run counts rows, without locks or changes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sqlalchemy import Connection

from nightshift.errors import NightshiftError
from nightshift.expiry.batch import (
    STRAY,
    collect_dependent_keys,
    count_unexpired_dependents,
    create_key_tables,
    strays_beside,
)
from nightshift.expiry.due import count_due, count_held, oldest_due
from nightshift.expiry.file_columns import FileColumns
from nightshift.expiry.graph import CascadeGraph, CascadeTable
from nightshift.expiry.progress import BatchProgress
from nightshift.expiry.session import DeletionSession
from nightshift.expiry.statements import ExpiryStatements
from nightshift.results.common import RunStatus
from nightshift.results.expiry import ExpiredTable

LEFT = "{} rows that have not expired hang on expired ones: these will be left, with all that hangs on them"


HELD = "rows of restored days, and rows on which such rows hang, are left alone until {}"


def table_result(
    connection: Connection, statements: ExpiryStatements, progress: BatchProgress, started: float, *, in_time: bool
) -> ExpiredTable:
    """Returns the result of a policy's run, with the expiry time of the oldest row that is still due."""
    cascade = statements.cascade
    oldest = oldest_due(connection, statements.due, cascade.root)
    left = count_due(connection, statements.due, cascade.root) if in_time and oldest else 0
    held, holds = held_rows(connection, statements)
    done = RunStatus.OK if progress.expired else RunStatus.NOTHING
    return ExpiredTable(
        table=cascade.root.label,
        status=done if oldest is None else RunStatus.PARTIAL,
        # Rows that were skipped because another session had locked them are still due.
        **progress.result_facts() | {"busy": max(left - progress.failed, progress.busy)},
        oldest_overdue=oldest,
        held=held,
        seconds=time.monotonic() - started,
        warnings=(*progress.warnings, *holds, *statements.due.notes),
    )


def ended_result(
    table: str, progress: BatchProgress, started: float, *, warning: str = "", error: NightshiftError | None = None
) -> ExpiredTable:
    """Returns the result of a policy whose run failed, or stopped for the reason in `warning`."""
    return ExpiredTable(
        table=table,
        status=RunStatus.FAILED if error else RunStatus.PARTIAL,
        **progress.result_facts(),
        seconds=time.monotonic() - started,
        warnings=(warning,) if warning else (),
        error=error.about(table) if error else None,
    )


def held_rows(connection: Connection, statements: ExpiryStatements) -> tuple[int, tuple[str, ...]]:
    """Returns the number of expired rows that must stay because of holds, and the notes about the holds."""
    due, holds = statements.due, [statements.due.held, *statements.held.values()]
    until = max((held.until for held in holds if held.until is not None), default=None)
    if until is None:
        return 0, ()
    count = count_held(connection, due, statements.cascade.root)
    return count, (HELD.format(f"{until.astimezone(due.axis.zone):%Y-%m-%d %H:%M}"),)


def preview_expiry(
    connection: Connection, session: DeletionSession, statements: ExpiryStatements, seconds: float
) -> tuple[ExpiredTable, int]:
    """Count the expired rows and all their dependent rows.

    Args:
        seconds: time limit.

    Returns:
        the result, and the number of files that would be put into the outbox.
    """
    started, cascade = time.monotonic(), statements.cascade
    rows: dict[str, int] = {}
    files, unnamed = 0, list[str]()
    with session.transaction(seconds, single=False):
        create_key_tables(session, statements)
        expired = session.run(statements.select_expired_sql(None))
        collect_dependent_keys(session, statements, lock=False)
        living, strays = count_unexpired_dependents(session, statements), strays_beside(session, statements)
        for group in reversed(cascade.deletion_groups):
            for table in group:
                count = f"SELECT count(*) FROM {table.sql} AS d WHERE ({statements.deleted_condition(table)})"
                rows[table.label] = session.number(count)
                for columns in cascade.nodes[table].files:
                    files += session.number(f"{count} AND {columns.named_files}")
                    unnamed += _unnamed_files(session, statements, cascade.nodes[table], columns)
        oldest = oldest_due(connection, statements.due, cascade.root)
        held, holds = held_rows(connection, statements)
    result = ExpiredTable(
        table=cascade.root.label,
        status=RunStatus.DRY_RUN,
        expired=expired,
        deleted_rows=rows,
        oldest_overdue=oldest,
        held=held,
        seconds=time.monotonic() - started,
        warnings=(
            *cascade.unindexed_edges,
            *_triggers(cascade),
            *statements.due.notes,
            *holds,
            *([LEFT.format(living)] if living else []),
            *([STRAY] if strays else []),
            *unnamed,
        ),
    )
    return result, files


def _triggers(cascade: CascadeGraph) -> list[str]:
    """Returns a note for each table with triggers that run when its rows are deleted."""
    return [
        f"{node.name.label}: {', '.join(node.info.triggers)} will run as rows are deleted; a dry run cannot try it"
        for node in cascade.nodes.values()
        if node.info.triggers
    ]


def _unnamed_files(
    session: DeletionSession, statements: ExpiryStatements, node: CascadeTable, files: FileColumns
) -> Iterator[str]:
    """Yields a warning if the files of some rows cannot be identified; these rows will stay."""
    named = statements.files_sql(node, files)
    if count := session.number(f"SELECT count(*) FROM ({named}) f WHERE bucket IS NULL"):
        yield f"{node.name.label}.{files.key}: {count} values name no file that may be deleted: what they hang on stays"
