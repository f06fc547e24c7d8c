"""Guards that need only the table, not a `CleanupTarget`, for every job that deletes rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive.holds import Holds
from nightshift.archive.inventory import returned_beside
from nightshift.database.catalog import HeapTable, TableColumn, TableInfo, TableName
from nightshift.database.connect import server_message, sqlstate
from nightshift.database.insertable import partition_family
from nightshift.results.common import GuardRefusal
from nightshift.rows.timestamp_column import Kind, TimestampColumn, epoch_kind

_TWO = "[0-9][0-9]"
_DAY = f"{_TWO}{_TWO}-{_TWO}-{_TWO}"
_PLAIN_TIMES = (_DAY, f"{_DAY}[ T]{_TWO}:{_TWO}", f"{_DAY}[ T]{_TWO}:{_TWO}:{_TWO}")
"""Patterns of times without a time zone in SQLite's text. Text after the pattern may be a time zone."""

_NOT_REPLICABLE = {"55000", "42P10"}
"""SQLSTATEs: a table has no replica identity, or a publication's WHERE or column list needs other columns."""

NUMBERS = {"int2", "int4", "int8", "numeric", "float4", "float8"}
AFFINITIES = {"integer", "numeric", "real", "text", "blob"}
"""All affinities of SQLite: a column of any affinity may hold numbers."""


UTF8_CURE = "move it to a database with ENCODING 'UTF8': pg_dump, and pg_restore, which names what is no UTF-8"
CHILDREN_CURE = (
    "take each out (ALTER TABLE … NO INHERIT …) and give it a policy of its own, or make them partitions of the table"
)
_HIDING_CURES = {
    "rule": "ALTER TABLE … DISABLE RULE …",
    "trigger": "ALTER TABLE … DISABLE TRIGGER …; DROP TRIGGER in SQLite",
    "foreign partition": "ALTER TABLE … DETACH PARTITION … for what is on another server",
    "row-level security": "ALTER ROLE … BYPASSRLS for nightshift's role, or use the table's owner",
}


def hiding_cure(hiding: Sequence[str]) -> str:
    """Returns the remedy for rules, triggers, foreign partitions and row-level security that hide or change rows."""
    return "; ".join(cure for kind, cure in _HIDING_CURES.items() if any(name.startswith(kind) for name in hiding))


def timestamp_kind(column: TableColumn, epoch: str | None, *, postgresql: bool) -> Kind | None:
    """Returns the kind of axis for a timestamp column; None: the column's type cannot be a timestamp."""
    if epoch is not None:
        return epoch_kind(epoch) if column.base_type in (NUMBERS if postgresql else AFFINITIES) else None
    match column.base_type:
        case "timestamptz" | "timestamp" | "date" as kind:
            return kind
        case "text" if not postgresql:
            return "text"
    return None


def check_table_known(written: str, info: TableInfo | None) -> GuardRefusal | None:
    """Refuse a name without a table, a table of nightshift, and a relation that is not an archivable table."""
    if info is None:
        return make_refusal(
            "unknown_table", f"there is no table {written}", "correct `table` in the policy, or the schema"
        )
    if info.name.name.startswith("nightshift_"):
        return make_refusal(
            "unknown_table", f"{written} is one of nightshift's own tables", "take it out of the policies"
        )
    if info.kind not in ("table", "partitioned"):
        hint = (
            "it needs a row identifier: make it a table without WITHOUT ROWID, or rename one of rowid, _rowid_ and oid"
        )
        if info.kind != "table without rowid":
            hint = "name the table behind it; for a foreign table, in a deployment on the server that it is on"
        return make_refusal("unknown_table", f"{written} is a {info.kind}", hint)
    return None


def check_plain_times(
    connection: Connection, axis: TimestampColumn, table: TableName, written: str, before: datetime
) -> GuardRefusal | None:
    """Refuse a SQLite table with text before the cutoff `before` that is not a time without a time zone."""
    if axis.kind != "text":
        return None
    column = axis.epoch_sql
    plain = " OR ".join(f"{column} GLOB '{pattern}'" for pattern in _PLAIN_TIMES)
    plain += f" OR ({column} GLOB '{_PLAIN_TIMES[-1]}.*' AND substr({column}, 21) NOT GLOB '*[^0-9]*')"
    odd = (
        f"SELECT {column} FROM {table.sql} WHERE {column} < {axis.literal_sql(axis.to_epoch(before))}"
        f" AND (typeof({column}) <> 'text' OR NOT ({plain})) LIMIT 1"
    )
    if connection.exec_driver_sql(odd).one_or_none() is None:
        return None
    return make_refusal(
        "wrong_type",
        f"{written}.{axis.column} holds values that are not times like 2025-09-15 09:00:00",
        "store local times without a zone, or numbers with `epoch`",
    )


def check_replicable(connection: Connection, heaps: Sequence[HeapTable], written: str) -> GuardRefusal | None:
    """Refuse a table whose rows a publication of deletions cannot identify (PostgreSQL).

    The server checks replica identities when it prepares a DELETE. EXPLAIN prepares a DELETE without running it.
    """
    if not connection.exec_driver_sql("SELECT count(*) FROM pg_publication WHERE pubdelete").scalar():
        return None
    for heap in heaps:
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(f"EXPLAIN DELETE FROM ONLY {heap.name.sql} WHERE false")
        except DBAPIError as exc:
            if sqlstate(exc) not in _NOT_REPLICABLE:
                raise
            return make_refusal(
                "replica_identity",
                f"{written}: {server_message(exc)}",
                f"give {heap.name.label} a primary key, or ALTER TABLE {heap.name.sql} REPLICA IDENTITY FULL",
            )
    return None


def duplicate_policy_refusal(written: str) -> GuardRefusal:
    """Returns the refusal for a table that another policy of the same run names with another spelling."""
    return make_refusal(
        "repeated", f"{written} has a policy under another spelling too", "keep one of the two policies"
    )


def already_restored_refusal(connection: Connection, name: TableName, written: str) -> GuardRefusal | None:
    """Returns a refusal if a restore has inserted rows of archived objects into the table."""
    count = returned_beside(connection, name.label, partition_family(connection, name))
    if not count:
        return None
    return make_refusal(
        "returned",
        f"rows of {count} archived objects are in {written} again, and would be archived twice",
        f"nightshift restore {name.label} --into-original: the objects leave the archive, the rows stay as they are",
    )


def unknown_holds_refusal(written: str, held: Holds) -> GuardRefusal | None:
    """Returns a refusal if restored rows are held by columns that the table no longer has."""
    if not held.lost:
        return None
    return make_refusal(
        "held",
        f"restored rows of {written} are held by {', '.join(held.lost)}, which tells no days in it any more",
        f"wait until {held.until:%Y-%m-%d %H:%M} UTC, or set another hold: nightshift restore … --hold 0",
    )


def busy_refusal(label: str) -> GuardRefusal:
    """Returns the refusal for a table into which a restore is running."""
    return make_refusal(
        "busy", f"a restore into {label} is in progress", "no need to do anything: the next run takes the table"
    )


def make_refusal(guard: str, message: str, hint: str) -> GuardRefusal:
    """Returns a guard's refusal."""
    return GuardRefusal(guard=guard, message=message, hint=hint)
