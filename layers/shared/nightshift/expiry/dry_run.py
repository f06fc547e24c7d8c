"""Counts the rows that a run would delete for one table; locks, changes and keeps nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sqlalchemy import Connection

from nightshift.expiry.batch import (
    STRAY,
    collect_dependent_keys,
    count_unexpired_dependents,
    create_key_tables,
    strays_beside,
)
from nightshift.expiry.due import count_held, oldest_due
from nightshift.expiry.graph import CascadeGraph, CascadeTable, FileColumns
from nightshift.expiry.session import DeletionSession
from nightshift.expiry.statements import DeleteStatement, ExpiryStatements
from nightshift.results.common import RunStatus
from nightshift.results.expiry import ExpiredTable

LEFT = "{} rows that have not expired hang on expired ones: these will be left, with all that hangs on them"


HELD = "rows of restored days, and rows on which such rows hang, are left alone until {}"


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
    files, untold = 0, list[str]()
    with session.transaction(seconds, single=False):
        create_key_tables(session, statements)
        expired = session.run(statements.select_expired_sql(None))
        collect_dependent_keys(session, statements, lock=False)
        living, strays = count_unexpired_dependents(session, statements), strays_beside(session, statements)
        for group in reversed(cascade.deletion_groups):
            for table in group:
                deletions = statements.delete_statements(table)
                rows[table.label] = session.number(_counting(deletions))
                for named in cascade.nodes[table].files:
                    files += session.number(_counting(deletions, named.named_files))
                    untold += _untold(session, statements, cascade.nodes[table], named)
        oldest = oldest_due(connection, statements.due, cascade.root)
        held, said = held_rows(connection, statements)
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
            *said,
            *([LEFT.format(living)] if living else []),
            *([STRAY] if strays else []),
            *untold,
        ),
    )
    return result, files


def _triggers(cascade: CascadeGraph) -> list[str]:
    """Returns a note for each table on the triggers that run as its rows are deleted."""
    return [
        f"{node.name.label}: {', '.join(node.info.triggers)} will run as rows are deleted; a dry run cannot try it"
        for node in cascade.nodes.values()
        if node.info.triggers
    ]


def _untold(
    session: DeletionSession, statements: ExpiryStatements, node: CascadeTable, files: FileColumns
) -> Iterator[str]:
    """A warning of the rows whose files cannot be identified: they will stay."""
    told = statements.told_of(node, files)
    if count := session.number(f"SELECT count(*) FROM ({told}) told WHERE bucket IS NULL"):
        yield f"{node.name.label}.{files.key}: {count} values name no file that may be deleted: what they hang on stays"


def _counting(deletions: list[DeleteStatement], named: str | None = None) -> str:
    """SQL that counts the rows that are to go; those for which `named` holds, too."""
    condition = " OR ".join(f"({deletion.condition})" for deletion in deletions)
    if named is not None:
        condition = f"({condition}) AND {named}"
    return f"SELECT count(*) FROM {deletions[0].node.name.sql} AS d WHERE {condition}"
