"""Records the run history: one row per run with the run's start, end and result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from nightshift.database.tables import archive_object, table_exists
from nightshift.database.tables import run as run_table
from nightshift.run import JobRun

_PRUNED = 1_000
"""Largest number of rows that a run deletes from the history."""
_RUNS = 60
"""Number of results that `has_worked_off` reads, newest first."""


def record_start(connection: Connection, run: JobRun, *, now: datetime) -> int:
    """Record the start of a run in the run history.

    Returns the number of the attempt: 1 for the first recorded run with this job and scheduled time, 2 for the second.
    """
    earlier = select(func.count()).where(run_table.c.job == run.job, run_table.c.as_of == run.as_of)
    attempt = int(connection.execute(earlier).scalar_one()) + 1
    connection.execute(
        insert(run_table).values(
            run_id=run.run_id, job=run.job, as_of=run.as_of, attempt=attempt, status="running", started_at=now
        )
    )
    connection.commit()
    return attempt


def record_end(
    connection: Connection,
    run: JobRun,
    *,
    now: datetime,
    duration_ms: int,
    status: str,
    complete: bool,
    result: dict[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """Write the end and the result of a run into its row."""
    connection.execute(
        update(run_table)
        .where(run_table.c.run_id == run.run_id)
        .values(
            status=status,
            complete=complete,
            finished_at=now,
            duration_ms=duration_ms,
            result=None if result is None else json.dumps(result, ensure_ascii=False),
            error=error,
        )
    )
    connection.commit()


def prune_history(connection: Connection, *, before: datetime) -> int:
    """Delete rows of runs that began before an aware time, commit, and return the number of deleted rows.

    These rows stay: each job's last run; each job's last run with the status `ok`; for each table, the last run that
    proves `has_worked_off`; all runs of `backup`, without their results, because the history tells which objects in S3
    nightshift wrote.
    """
    c, later = run_table.c, run_table.alias("later")
    newest = select(func.max(later.c.started_at)).where(later.c.job == c.job)
    newest_ok = newest.where(later.c.status == "ok").scalar_subquery()
    is_last = c.started_at.in_([newest.scalar_subquery(), func.coalesce(newest_ok, newest.scalar_subquery())])
    # In SQLite the column holds the text that SQLAlchemy writes, in UTC.
    early = c.started_at < before.astimezone(UTC)
    old = select(c.run_id).where(early, c.job != "backup", ~is_last).order_by(c.started_at).limit(_PRUNED)
    old_ids = list(connection.execute(old).scalars())
    kept = _proofs(connection, old_ids, before) if old_ids else set()
    deleted = [run_id for run_id in old_ids if run_id not in kept]
    if deleted:
        connection.execute(delete(run_table).where(c.run_id.in_(deleted)))
    described = or_(c.result.is_not(None), c.error.is_not(None))
    connection.execute(
        update(run_table).where(early, c.job == "backup", ~is_last, described).values(result=None, error=None)
    )
    connection.commit()
    return len(deleted)


def _proofs(connection: Connection, run_ids: Sequence[str], before: datetime) -> set[str]:
    """Returns the runs of `cleanup` among `run_ids` that are the last proof of `has_worked_off` for a table."""
    c = run_table.c
    results = select(c.run_id, c.result).where(c.run_id.in_(run_ids), c.job == "cleanup", c.result.is_not(None))
    proofs: dict[str, str] = {}
    for run_id, result in connection.execute(results.order_by(c.started_at.desc())):
        for label in _worked_off(result):
            proofs.setdefault(label, run_id)
    return {run_id for label, run_id in proofs.items() if not has_worked_off(connection, label, since=before)}


def _worked_off(result: str) -> list[str]:
    """Returns the tables of which a run archived rows and left no due row."""
    tables = json.loads(result).get("tables", ())
    return [table["table"] for table in tables if table["status"] == "ok" and table["archived_rows"]]


def has_worked_off(connection: Connection, table: str, *, since: datetime | None = None) -> bool:
    """Returns whether a run of `cleanup` archived rows of a table and left no due row of the table.

    A run that archived no rows does not count, because its date may lie before the first row.

    Args:
        since: only runs that began at this time or later count.
    """
    if not (table_exists(connection, run_table) and table_exists(connection, archive_object)):
        return False
    ledger = archive_object.c
    archived = select(ledger.run_id).where(ledger.table_name == table, ledger.state.in_(("archived", "restored")))
    results = (
        select(run_table.c.result)
        .where(run_table.c.job == "cleanup", run_table.c.result.is_not(None), run_table.c.run_id.in_(archived))
        .order_by(run_table.c.started_at.desc())
        .limit(_RUNS)
    )
    if since is not None:
        results = results.where(run_table.c.started_at >= since.astimezone(UTC))
    return any(table in _worked_off(result) for (result,) in connection.execute(results))
