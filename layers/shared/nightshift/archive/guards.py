"""Guards: each guard checks one condition, and refuses a table before a row is read or deleted.

A guard returns a `GuardRefusal` (problem and remedy) or None. Guards use the catalog and cheap queries, and run in the
order of `first_refusal`. After the first refusal the run skips the table, and continues with the other tables.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from nightshift.archive.run_state import MOST_REFUSED, MOST_REFUSED_ALONE
from nightshift.archive.table_guards import (
    CHILDREN_CURE,
    UTF8_CURE,
    already_restored_refusal,
    check_plain_times,
    check_replicable,
    hiding_cure,
    make_refusal,
    timestamp_kind,
    unknown_holds_refusal,
)
from nightshift.archive.target import CleanupTarget
from nightshift.database import references
from nightshift.database.catalog import OnDelete, TableInfo, quote_identifier, split_name
from nightshift.policy.retention import RetentionPolicy
from nightshift.results.common import GuardRefusal
from nightshift.rows.reserved_names import EXACT

EXPIRY_TAKES_TREES = "archive the table by an [[expiry]] entry with archive = true, which takes such rows together"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardContext:
    """A table, and the other facts that its guards need."""

    target: CleanupTarget
    connection: Connection
    leaving: Mapping[str, str] = field(default_factory=dict)
    """In a dry run: label of a table → condition of the rows that earlier policies would delete."""
    later: Collection[str] = ()
    """Tables of the later policies of this run, with the names that the policies use."""
    notes: list[str] = field(default_factory=list)
    """Notes for the result of a dry run. Guards append notes."""


def check_timestamp_column(policy: RetentionPolicy, info: TableInfo, *, postgresql: bool) -> GuardRefusal | None:
    """Refuse a table whose timestamp column does not exist, or has a type that a policy cannot use."""
    column = info.column(policy.timestamp)
    if column is None:
        names = ", ".join(c.name for c in info.columns[:20])
        return make_refusal(
            "unknown_column", f"{policy.table} has no column {policy.timestamp}", f"its columns: {names}"
        )
    if timestamp_kind(column, policy.epoch, postgresql=postgresql) is not None:
        return None
    what = f"{policy.table}.{column.name} is {column.type_name or 'of no type'}"
    if policy.epoch is not None and timestamp_kind(column, None, postgresql=postgresql) is not None:
        return make_refusal(
            "wrong_type",
            f"{what}, and the policy says it holds numbers (epoch)",
            "remove `epoch` from the policy: the column holds times",
        )
    if timestamp_kind(column, "s", postgresql=postgresql) is not None:
        return make_refusal(
            "wrong_type", f"{what}: seconds or milliseconds?", 'set `epoch` in the policy: "s", "ms", "us" or "ns"'
        )
    return make_refusal("wrong_type", what, "a policy needs timestamptz, timestamp, date, or a number with `epoch`")


def check_encoding(target: CleanupTarget) -> GuardRefusal | None:
    """Refuse a table in a database with encoding SQL_ASCII, because text in Parquet must be valid UTF-8."""
    if target.info.text_encoding_ok:
        return None
    return make_refusal("encoding", "the database's encoding is SQL_ASCII: its text may not be valid UTF-8", UTF8_CURE)


def check_reserved_column_names(target: CleanupTarget) -> GuardRefusal | None:
    """Refuse a table that has a column `_nightshift_exact`, because nightshift may add this column to a file."""
    if target.info.column(EXACT) is None:
        return None
    return make_refusal(
        "reserved_name",
        f"{target.policy.table} has a column {EXACT}, a name that nightshift uses",
        "rename the column",
    )


def check_hidden_rows(target: CleanupTarget) -> GuardRefusal | None:
    """Refuse a table if a rule, a trigger, row-level security or inheritance can keep rows from a DELETE."""
    if target.info.hiding:
        what = ", ".join(target.info.hiding)
        return make_refusal(
            "hidden_rows",
            f"{target.policy.table}: {what} can keep rows from a DELETE",
            hiding_cure(target.info.hiding),
        )
    if target.info.has_children:
        return make_refusal("hidden_rows", f"other tables inherit from {target.policy.table}", CHILDREN_CURE)
    return None


def check_privileges(target: CleanupTarget) -> GuardRefusal | None:
    """Refuse a table unless nightshift's role may read the table, and read and delete in each of its heaps."""
    closed = [heap.name for heap in target.info.heaps if not heap.may_delete]
    name = target.info.name
    if not closed and target.info.may_read:
        return None
    if not closed:
        return make_refusal(
            "privilege",
            f"nightshift's role may not read {name.label}",
            f"GRANT USAGE ON SCHEMA {quote_identifier(name.schema)}, and SELECT ON {name.sql}, TO nightshift's role",
        )
    return make_refusal(
        "privilege",
        f"nightshift's role may not read and delete in {', '.join(name.label for name in closed[:5])}",
        f"GRANT SELECT, DELETE ON {closed[0].sql}, and USAGE on its schema, TO nightshift's role",
    )


def check_cascades(target: CleanupTarget) -> GuardRefusal | None:
    """Refuse a table that a foreign key with ON DELETE CASCADE references, because it deletes unarchived rows.

    The table is refused even if no row references a due row now, because one could be inserted before the deletion.
    """
    for key in target.info.referenced_by:
        if key.on_delete is OnDelete.CASCADE:
            return make_refusal(
                "cascade",
                f"deleting from {target.policy.table} would delete rows of {key.table} that nobody archived"
                f" ({key.name})",
                EXPIRY_TAKES_TREES
                if key.table_sql == target.info.name.sql
                else f"archive {key.table} by a policy of its own and make the foreign key ON DELETE RESTRICT",
            )
    return None


def check_references(context: GuardContext) -> GuardRefusal | None:
    """Refuse a table if rows that stay hold more references to due rows than a run can leave out one by one."""
    target = context.target
    for key in target.info.referenced_by:
        if key.on_delete not in (OnDelete.NO_ACTION, OnDelete.RESTRICT):
            continue
        itself = key.table_sql == target.info.name.sql
        most = 0 if itself else MOST_REFUSED if target.is_postgresql else MOST_REFUSED_ALONE
        referencing = references.overdue_references(
            context.connection,
            target.info.name,
            key,
            target.due_condition,
            leaving=context.leaving.get(key.table),
            most=most + 1,
        )
        if referencing > most:
            return make_refusal(
                "cascade",
                f"rows of {key.table} still reference due rows of {target.policy.table} ({key.name})",
                EXPIRY_TAKES_TREES
                if itself
                else f"put {key.table} first in the policies, with a retention that is not longer",
            )
        if referencing:
            context.notes.append(
                f"due rows that {referencing:,} rows of {key.table} reference will be left ({key.name})"
            )
    return None


def check_dissolved_references(context: GuardContext) -> GuardRefusal | None:
    """Refuse a table if deleting its due rows would change a reference in due rows that are not archived yet.

    ON DELETE SET NULL and SET DEFAULT change the referencing rows. When a chunk is deleted, due rows of the next chunk
    and of the next policy are still in their tables, and would be archived without the reference.
    """
    target = context.target
    for key in target.info.referenced_by:
        if key.on_delete not in (OnDelete.SET_NULL, OnDelete.SET_DEFAULT):
            continue
        itself = key.table_sql == target.info.name.sql
        if not itself and not any(_may_mean(written, key.table) for written in context.later):
            continue
        # If the key's table is the target, only due rows matter. For another table, its own policy decides later which
        # rows are due.
        leaving = target.not_due_condition if itself else None
        if references.overdue_references(
            context.connection, target.info.name, key, target.due_condition, leaving=leaving, most=1
        ):
            return make_refusal(
                "dissolves",
                f"rows of {key.table} would be archived without their {', '.join(key.columns)}:"
                f" they reference due rows of {target.policy.table} ({key.name}, ON DELETE {key.on_delete})",
                EXPIRY_TAKES_TREES if itself else f"put {key.table} first in the policies",
            )
    return None


def _may_mean(written: str, label: str) -> bool:
    """Returns whether a table's name in a policy may mean the table `label`. Case and a missing schema are ignored."""
    policy, table = ([part.lower() for part, _ in split_name(name) or ()] for name in (written, label))
    shared = min(len(policy), len(table))
    return shared > 0 and policy[-shared:] == table[-shared:]


def first_refusal(context: GuardContext) -> GuardRefusal | None:
    """Run every guard, and return the first refusal; None: no guard refuses.

    The guards also check that the table still has the columns of the holds on restored rows. They refuse a table whose
    rows are still archived, because a restore inserted the rows before the table replaced the original.
    """
    target, connection = context.target, context.connection
    info, written = target.info, target.policy.table
    refusal = (
        check_encoding(target)
        or check_reserved_column_names(target)
        or check_hidden_rows(target)
        or check_privileges(target)
        or check_cascades(target)
        or already_restored_refusal(connection, info.name, written)
        or (check_replicable(connection, info.heaps, written) if target.is_postgresql else None)
    )
    if refusal is None and info.triggers:
        # Triggers that run on a DELETE are no reason to refuse, and cannot be tried without deleting.
        context.notes.append(f"{', '.join(info.triggers)} will run as rows are deleted; a dry run cannot try it")
    return (
        refusal
        or unknown_holds_refusal(written, target.held)
        or check_references(context)
        or check_dissolved_references(context)
        or check_plain_times(connection, target.axis, info.name, written, target.cutoff)
    )
