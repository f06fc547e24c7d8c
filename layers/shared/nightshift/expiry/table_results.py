"""Makes the result of one policy."""

from __future__ import annotations

import time

from sqlalchemy import Connection

from nightshift.errors import NightshiftError
from nightshift.expiry.dry_run import held_rows
from nightshift.expiry.due import count_due, oldest_due
from nightshift.expiry.progress import BatchProgress
from nightshift.expiry.statements import ExpiryStatements
from nightshift.results.common import RunStatus
from nightshift.results.expiry import ExpiredTable


def table_result(
    connection: Connection, statements: ExpiryStatements, progress: BatchProgress, started: float, *, in_time: bool
) -> ExpiredTable:
    """The result, with the oldest row that is still due."""
    cascade = statements.cascade
    oldest = oldest_due(connection, statements.due, cascade.root)
    left = count_due(connection, statements.due, cascade.root) if in_time and oldest else 0
    held, said = held_rows(connection, statements)
    done = RunStatus.OK if progress.expired else RunStatus.NOTHING
    return ExpiredTable(
        table=cascade.root.label,
        status=done if oldest is None else RunStatus.PARTIAL,
        # Rows that were passed over because somebody had them locked are known by being there still.
        **progress.result_facts() | {"busy": max(left - progress.failed, progress.busy)},
        oldest_overdue=oldest,
        held=held,
        seconds=time.monotonic() - started,
        warnings=(*progress.warnings, *said, *statements.due.notes),
    )


def stopped_result(table: str, progress: BatchProgress, started: float, why: str) -> ExpiredTable:
    """Returns the result of a policy whose run was stopped."""
    seconds = time.monotonic() - started
    return ExpiredTable(
        table=table, status=RunStatus.PARTIAL, seconds=seconds, warnings=(why,), **progress.result_facts()
    )


def failed_result(table: str, progress: BatchProgress, started: float, error: NightshiftError) -> ExpiredTable:
    """Returns the result of a policy that failed."""
    return ExpiredTable(
        table=table,
        status=RunStatus.FAILED,
        **progress.result_facts(),
        seconds=time.monotonic() - started,
        error=error.about(table),
    )
