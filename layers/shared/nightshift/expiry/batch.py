"""Deletes a batch of expired rows with all dependent rows and enqueues their files, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nightshift.database.catalog import TableName
from nightshift.database.dialect import shape_sql
from nightshift.errors import ArchiveMismatch, TableChanged
from nightshift.expiry.file_names import NoFileNames
from nightshift.expiry.session import UNTOLD, DeletionCounts, DeletionRejected, DeletionSession, UnexpiredDependentError
from nightshift.expiry.statements import ExpiryStatements, Key
from nightshift.progress_events import Listener, ProgressEvent, ProgressStep, ignore_events
from nightshift.rows.timestamp_column import parse_text

LIVING = "a row that has not expired hangs on it"
HELD = "a row that is held after a restore hangs on it"
STRAY = "a foreign key compares otherwise when a row goes: rows that reference rows that stay would go, or be changed"


@dataclass(slots=True)
class ExpiryBatch:
    """Progress of one transaction.

    Attributes:
        taken: number of expired rows that the batch deletes.
        keys, name: key of the expired row, and its name for messages; set only if the batch has one row.
        latest: the time at which the last of the expired rows expired, as a point on the axis.
        deleted: number of deleted rows by table, in the order of deletion.
        is_other: the batch took other expired rows than it first selected, because they must be deleted earlier.
        queued: number of files put into the outbox.
        objects, bytes: number and size of the objects written to the archive.
    """

    listener: Listener = ignore_events
    taken: int = 0
    keys: list[Key] = field(default_factory=list)
    name: str = ""
    latest: int | None = None
    deleted: dict[str, int] = field(default_factory=dict)
    is_other: bool = False
    queued: int = 0
    objects: int = 0
    bytes: int = 0

    def add_deletion(self, table: TableName, counts: DeletionCounts) -> None:
        """Add the rows that a statement deleted to the counts."""
        self.deleted[table.label] = self.deleted.get(table.label, 0) + counts.deleted
        self.queued += counts.queued
        self.objects += counts.objects
        self.bytes += counts.bytes
        self.emit_progress(ProgressStep.DELETED, table, counts.deleted)

    def emit_progress(self, step: ProgressStep, table: TableName, rows: int) -> None:
        self.listener(ProgressEvent(step=step, table=table.label, rows=rows))


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Selection and time limit of a batch.

    Attributes:
        left_out: keys of rows that the batch does not try again.
        floor: the batch selects rows that expired at this point on the axis or later; None for all rows.
        spare: leave out rows on which unexpired rows of the same table depend directly.
    """

    limit: int
    left_out: Sequence[Key]
    floor: int | None
    seconds: float
    spare: bool = False


Closing = Callable[[DeletionSession, ExpiryStatements, ExpiryBatch, BatchOptions], None]
"""Function that adds rows which must be deleted in the same batch, after the dependent rows' keys are collected."""


def delete_expired_batch(
    session: DeletionSession,
    statements: ExpiryStatements,
    batch: ExpiryBatch,
    scope: BatchOptions,
    close: Closing | None = None,
) -> None:
    """Delete expired rows with all their dependent rows, and commit.

    Args:
        batch: updated at each step, so after a failure it shows which rows the transaction had taken.

    Raises:
        LockContention, DeletionRejected: the batch could not be deleted; a smaller batch may succeed.
        TableChanged: a table has changed since the cascade was looked up.
        ArchiveMismatch: the database deleted fewer rows than the batch had taken.
    """
    root = statements.cascade.root
    with session.transaction(scope.seconds, single=scope.limit == 1):
        create_key_tables(session, statements)
        batch.taken = session.run(
            statements.select_expired_sql(scope.limit, scope.left_out, scope.floor, spare=scope.spare)
        )
        if not batch.taken:
            return
        batch.emit_progress(ProgressStep.TAKEN, root, batch.taken)
        ((latest,),) = session.keys(statements.latest_sql())
        batch.latest = parse_text(latest) if statements.due.axis.kind == "text" else int(latest)
        if scope.limit == 1:
            batch.keys = session.keys(statements.taken_keys_sql())
            names = ", ".join(f"({', '.join(map(str, key))})" for key in session.keys(statements.row_names_sql()))
            batch.name = f"{root.label} ({', '.join(statements.named_by)}) = {names}"
        collect_dependent_keys(session, statements)
        if close is not None:
            close(session, statements, batch, scope)
        before = _left_counts(session, statements)
        _check_free(session, statements)
        if scope.limit == 1:
            _check_files(session, statements)
        for group in reversed(statements.cascade.deletion_groups):
            _delete(session, statements, group, batch)
        for table, had, has in zip(statements.left, before, _left_counts(session, statements), strict=True):
            batch.add_deletion(table, DeletionCounts(has - had))
        order = [table.label for group in reversed(statements.cascade.deletion_groups) for table in group]
        batch.deleted = {label: batch.deleted[label] for label in order if label in batch.deleted}
        if batch.deleted[root.label] < batch.taken:
            raise ArchiveMismatch(
                "the database did not delete all rows that it was told to",
                detail=f"{root.label}: {batch.taken} taken, {batch.deleted[root.label]} deleted",
                hint="look for triggers and rules on the table; nothing of this transaction was kept",
            )
        statements.watch.check_unchanged(session.number)
        _check_shapes(session, statements)
        batch.emit_progress(ProgressStep.COMMITTING, root, batch.taken)
        session.commit()
    batch.emit_progress(ProgressStep.COMMITTED, root, batch.taken)


def _left_counts(session: DeletionSession, statements: ExpiryStatements) -> list[int]:
    """Returns the rows deleted so far by ON DELETE CASCADE from each table of `statements.left`, in that order."""
    counts = statements.left_counts()
    return [int(count) for count in session.keys(counts)[0]] if counts else []


def _check_free(session: DeletionSession, statements: ExpiryStatements) -> None:
    """Raise `UnexpiredDependentError` if the batch would delete a row that must stay."""
    if count_unexpired_dependents(session, statements):
        raise UnexpiredDependentError("rows that have not expired hang on expired ones", detail=LIVING)
    if any(session.number(statement) for statement in statements.kept_back()):
        raise UnexpiredDependentError("rows that are held hang on expired ones", detail=HELD)
    if strays_beside(session, statements):
        raise UnexpiredDependentError(
            "rows hang on expired ones by one comparison, and on others by another", detail=STRAY
        )


def count_unexpired_dependents(session: DeletionSession, statements: ExpiryStatements) -> int:
    """Returns the number of the root's rows that would be deleted although they have not expired."""
    living = statements.count_unexpired_sql()
    return session.number(living) if living else 0


def strays_beside(session: DeletionSession, statements: ExpiryStatements) -> int:
    """Returns the number of rows that the database would change or delete although they depend on rows that stay."""
    return sum(session.number(statement) for statement in statements.strays_sql())


def create_key_tables(session: DeletionSession, statements: ExpiryStatements) -> None:
    """Create the key tables without rows."""
    for table in filter(statements.is_inner, statements.cascade.nodes):
        for statement in statements.create_tables(table):
            session.run(statement)


def collect_dependent_keys(session: DeletionSession, statements: ExpiryStatements, *, lock: bool = True) -> None:
    """Fill the key tables with the keys of all rows on which other rows depend: parents before children.

    Tables that reference each other in a circle are filled in rounds, until a round finds no new row.
    """
    cascade = statements.cascade
    for group in cascade.deletion_groups:
        inner = [table for table in group if statements.is_inner(table)]
        for table in inner:
            for edge in cascade.parent_edges(table):
                if edge.parent not in group:
                    session.run(statements.collect_keys_sql(edge, lock=lock))
        within = [edge for table in inner for edge in cascade.parent_edges(table) if edge.parent in group]
        rounds = 0
        while within and sum(session.run(statements.collect_keys_sql(edge, rounds, lock=lock)) for edge in within):
            rounds += 1
        if statements.postgresql:
            # Without statistics of the key table, the planner could choose to read large tables completely.
            for table in inner:
                session.run(f"ANALYZE {statements.key_table(table)}")


def _delete(
    session: DeletionSession, statements: ExpiryStatements, group: tuple[TableName, ...], batch: ExpiryBatch
) -> None:
    deletions = [deletion for table in group for deletion in statements.delete_statements(table)]
    # A table without dependents needs one statement per reference; the tables of a circle are deleted together.
    for part in [deletions] if len(group) > 1 else [[deletion] for deletion in deletions]:
        for deletion, counts in zip(part, session.delete(part), strict=True):
            batch.add_deletion(deletion.node.name, counts)


def _check_files(session: DeletionSession, statements: ExpiryStatements) -> None:
    """Raise `DeletionRejected` if a file of the batch's single expired row cannot be identified.

    In a batch of several rows, the insertion into the outbox fails instead, without naming the reason.
    """
    for node in statements.cascade.nodes.values():
        for files in node.files:
            unnamed = (
                f"SELECT value, row_bucket FROM ({statements.files_sql(node, files)}) f WHERE bucket IS NULL LIMIT 1"
            )
            for value, bucket in session.keys(unnamed):
                named = files.reading.read_value(value, bucket)
                why = named.why if isinstance(named, NoFileNames) else UNTOLD
                raise DeletionRejected("files of rows cannot be told", detail=f"{node.name.label}.{files.key} {why}")


def _check_shapes(session: DeletionSession, statements: ExpiryStatements) -> None:
    """Raise `TableChanged` if a table has changed since the look-up: a new foreign key could delete uncounted rows.

    The transaction has deleted from every table, so no other session can alter a table before the commit.
    """
    for node in statements.cascade.nodes.values():
        for heap in node.info.heaps:
            if session.number(shape_sql(heap.name)) == heap.shape:
                continue
            raise TableChanged(
                "a table was altered while its rows were deleted",
                detail=f"{heap.name.label}: its columns, keys, triggers or rules are not what they were",
                hint="nothing of this transaction was deleted; the next run takes the table as it is then",
            )
