"""Refuses a run that would take an abnormal share of a table, unless the operator forces it.

Rows are counted, in the snapshot in which the table was described. The planner's statistics are not enough: after an
UPDATE of all rows, a TRUNCATE and a load, or a mass deletion they are of another table. A count ends where its answer
is certain: at the number of due rows from which the limit applies at all, and at the number of rows of which the due
ones are no more than the limit. So a nightly run reads its due rows once more (by the index, where there is one), and
a few times as many of the others; the whole table is counted only where more than the limit is due.
"""

from __future__ import annotations

import math

from sqlalchemy import Connection

from nightshift.archive.guards import DEFAULT_MAX_SHARE, USUAL_SHARE_FROM_ROWS, DueVolume, check_due_volume
from nightshift.archive.statistics import count_up_to
from nightshift.archive.target import CleanupTarget
from nightshift.database.history import has_worked_off
from nightshift.results.common import GuardRefusal


def check_volume(connection: Connection, target: CleanupTarget, limit: float | None) -> GuardRefusal | None:
    """Refuse a run that would take more than its share.

    Args:
        connection: in the transaction, and the snapshot, in which the table was described.
        limit: share of the table; None: nobody set one.
    """
    label = target.info.name.label
    first_time = limit is None and not has_worked_off(connection, "cleanup", label)
    if first_time:
        return None
    if target.is_postgresql:
        # Compiling these short statements takes longer than it saves.
        connection.exec_driver_sql("SELECT set_config('jit', 'off', true)")
    if (
        limit is None
        and count_up_to(connection, target, USUAL_SHARE_FROM_ROWS, target.due_condition) < USUAL_SHARE_FROM_ROWS
    ):
        return None
    due = count_up_to(connection, target, None, target.due_condition)
    enough = math.ceil(due / (limit or DEFAULT_MAX_SHARE)) + 1
    total = count_up_to(connection, target, enough) if due else 0
    return check_due_volume(label, DueVolume(due, total, limit, first_time))
