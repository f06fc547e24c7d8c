"""The run history: every run leaves a row that says when it began, how it ended, and what it did."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from nightshift.database.tables import archive_object, is_there
from nightshift.database.tables import run as run_table
from nightshift.run import JobRun

_RUNS = 60
"""Results that are read, newest first, to learn whether a run came to its end."""


def record_start(connection: Connection, run: JobRun, *, now: datetime) -> int:
    """Write the row of a run that begins.

    Returns:
        The attempt: 1 for the first run of this job and `as_of`.
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
    """Complete the row of a run that ended."""
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


def has_worked_off(connection: Connection, job: str, table: str) -> bool:
    """Whether a run of `job` has archived rows of a table, and has left none of them that was due.

    A run that found nothing proves nothing: its date may lie before the first row.

    Args:
        table: its label, see `catalog.TableName`.
    """
    if not (is_there(connection, run_table) and is_there(connection, archive_object)):
        return False
    ledger = archive_object.c
    archived = select(ledger.run_id).where(ledger.table_name == table, ledger.state.in_(("archived", "restored")))
    results = (
        select(run_table.c.result)
        .where(run_table.c.job == job, run_table.c.result.is_not(None), run_table.c.run_id.in_(archived))
        .order_by(run_table.c.started_at.desc())
        .limit(_RUNS)
    )
    for (result,) in connection.execute(results):
        for told in json.loads(result).get("tables", ()):
            if told["table"] == table and told["status"] == "ok" and told["archived_rows"]:
                return True
    return False
