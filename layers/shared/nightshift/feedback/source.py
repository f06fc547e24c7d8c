"""Finds the table and columns of the votes that the settings name, and checks that the votes can be counted.

`database.catalog` explains how names may be written. The table may be a view, because nothing is written to it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from nightshift.archive.epochs import check_unit
from nightshift.archive.table_guards import check_plain_times, timestamp_kind
from nightshift.database import dialect, postgres
from nightshift.database.catalog import TableColumn, TableInfo, TableName, quote_identifier
from nightshift.database.search_path import HANDED_OVER
from nightshift.errors import InvalidSettings
from nightshift.feedback.ratings import RatingValues, make_ratings
from nightshift.guards import GuardRefused, check_readable, column_names, known_column
from nightshift.rows.timestamp_column import TimestampColumn
from nightshift.settings import Settings

LARGE = 256 * 1024 * 1024
"""Size in bytes from which a warning reports that each count reads the whole table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteSource:
    """The votes of one table.

    Attributes:
        rows: SQL for the table or view, to follow FROM; see `votes_sql`.
        axis: timestamp column with the time of the vote.
        ratings: SQL conditions for likes, dislikes and unknown ratings.
        key, group, comment, document: columns, quoted for SQL; None if the settings name no such column.
        identity: hash of the table and of the settings that affect counts; counts with another identity are not used.
    """

    table: TableName
    rows: str
    axis: TimestampColumn
    ratings: RatingValues
    key: str | None
    group: str | None
    comment: str | None
    document: str | None
    identity: str
    warnings: tuple[str, ...] = ()

    def between_condition(self, start: datetime, end: datetime) -> str:
        """Returns the SQL condition that the time lies in `[start, end)`, with literals of the column's type."""
        column, axis = self.axis.epoch_sql, self.axis
        first, last = axis.literal_sql(axis.to_epoch(start)), axis.literal_sql(axis.to_epoch(end))
        return f"{column} >= {first} AND {column} < {last}"

    def votes_sql(self, within: str, *, day: str = "0") -> str:
        """Returns SQL for the rows that count as votes, to follow FROM; it ends with a WHERE condition.

        Without a key column, all rows count. With a key column, only the last rating of each key and day counts, and a
        dislike precedes a like at the same time. Every row with a null key counts.

        Args:
            within: SQL condition on the rows.
            day: SQL expression that distinguishes days, if the rows are of several days.
        """
        if self.key is None:
            return f"{self.rows} WHERE {within}"
        columns = dict.fromkeys(
            [self.ratings.column, self.axis.epoch_sql, self.key, self.group, self.comment, self.document]
        )
        order = f"{self.axis.epoch_sql} DESC, CASE WHEN {self.ratings.dislikes} THEN 0 ELSE 1 END"
        return (
            f"(SELECT {', '.join(name for name in columns if name)}, row_number() OVER"
            f" (PARTITION BY {self.key}, {day} ORDER BY {order}) AS nightshift_place"
            f" FROM {self.rows} WHERE ({within}) AND {self.ratings.given}) rated"
            f" WHERE (nightshift_place = 1 OR {self.key} IS NULL)"
        )


def begin_reading(connection: Connection) -> None:
    """Make the transaction read one snapshot; this must be the first statement of the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        # Compiling these short statements takes longer than running them.
        connection.exec_driver_sql("SELECT set_config('jit', 'off', true)")


def find_source(connection: Connection, settings: Settings, *, until: datetime) -> VoteSource:
    """Look up the source of the votes, in a transaction that `begin_reading` began; `until` ends the counted period.

    Raises:
        GuardRefused: the table or a column does not exist, or the votes cannot be counted.
    """
    info = _table(connection, settings)
    column = _column(info, "FEEDBACK_TIME", settings.feedback_time)
    kind = timestamp_kind(column, settings.feedback_epoch, postgresql=connection.dialect.name == "postgresql")
    if kind is None:
        raise GuardRefused(
            "wrong_type",
            f"the time column {column.name} is {column.type_name or 'of no type'}",
            "FEEDBACK_TIME needs a number with FEEDBACK_EPOCH, or without it timestamptz, timestamp or date",
        )
    axis = TimestampColumn(column.name, kind, ZoneInfo(settings.timezone), column.base_type)
    if refusal := check_unit(connection, axis, info):
        what = refusal.message.replace("the policy says `epoch`", "FEEDBACK_EPOCH is set")
        hint = "let FEEDBACK_EPOCH be the unit of the numbers (s, ms, us or ns); for times that are none, unset it"
        raise GuardRefused(refusal.guard, what.replace("the policy", "FEEDBACK_EPOCH"), hint)
    rating = _column(info, "FEEDBACK_RATING", settings.feedback_rating)
    ratings = make_ratings(connection, rating, settings)
    if refusal := check_plain_times(connection, axis, info.name, settings.feedback_table, until):
        raise GuardRefused(
            refusal.guard, refusal.message, "store local times without a zone; for numbers, set FEEDBACK_EPOCH"
        )
    counted: list[object] = [info.name.label, ratings.likes, ratings.dislikes]
    counted += [axis.column, axis.kind, settings.timezone]
    key = _optional(info, "FEEDBACK_KEY", settings.feedback_key)
    # Without these newer settings, the identity is the same as in earlier versions.
    counted += [key] if key else []
    counted += [{"neutral": sorted(settings.feedback_neutral)}] if settings.feedback_neutral else []
    return VoteSource(
        table=info.name,
        rows=_rows(info),
        axis=axis,
        ratings=ratings,
        key=key,
        group=_optional(info, "FEEDBACK_GROUP", settings.feedback_group),
        comment=_optional(info, "FEEDBACK_COMMENT", settings.feedback_comment),
        document=_optional(info, "FEEDBACK_DOCUMENT", settings.feedback_document),
        identity=hashlib.sha256(json.dumps(counted).encode()).hexdigest(),
        warnings=tuple(_slow(connection, info, column)),
    )


def _rows(info: TableInfo) -> str:
    """Returns SQL for the rows; a view's functions may rely on the role's search_path, see `database.search_path`."""
    if info.kind in ("table", "partitioned") or not info.name.schema:
        return info.name.sql
    return f"(SELECT * FROM {info.name.sql} WHERE {HANDED_OVER}) votes"


def _table(connection: Connection, settings: Settings) -> TableInfo:
    written = settings.feedback_table
    if connection.dialect.name == "sqlite":
        info = dialect.describe_table(connection, written, settings.feedback_time)
    else:
        info = postgres.describe_for_reading(connection, written)
    if info is None or info.name.name.startswith("nightshift_"):
        what = f"there is no table {written}" if info is None else f"{written} is one of nightshift's own tables"
        raise GuardRefused(
            "unknown_table", what, "write FEEDBACK_TABLE as the database has it: a table or view, or schema.name"
        )
    check_readable(info, info.name.label, "rows from nightshift's role, and their votes with them")
    return info


def _column(info: TableInfo, setting: str, written: str) -> TableColumn:
    return known_column(info, written, f"{setting} has to be one of these: {column_names(info)}")


def _optional(info: TableInfo, setting: str, written: str | None) -> str | None:
    return None if written is None else quote_identifier(_column(info, setting, written).name)


def _slow(connection: Connection, info: TableInfo, time: TableColumn) -> list[str]:
    """Returns a warning if every count must read a whole large table."""
    if connection.dialect.name == "postgresql":
        if dialect.is_indexed(connection, info.name, [time.name]):
            return []
        info = dialect.describe_table(connection, info.name.sql, time.name) or info
    if all(heap.indexed for heap in info.heaps) or sum(heap.bytes for heap in info.heaps) < LARGE:
        return []
    return [f"no index begins with {info.name.label}.{time.name}: the whole table is read for each count"]


def disliked_documents(connection: Connection, settings: Settings, start: datetime, end: datetime) -> str:
    """Returns a query for the documents behind answers that were disliked in `[start, end)`.

    Returns:
        SQL in the connection's dialect, without parameters, for `exec_driver_sql` or as a part of another statement.
        The query yields one text column `id`, with each document once and no null.

    Raises:
        InvalidSettings: FEEDBACK_DOCUMENT is not set, or the settings name no usable votes.
    """
    if settings.feedback_document is None:
        raise InvalidSettings(
            "nobody knows which documents were disliked",
            detail="FEEDBACK_DOCUMENT: is not set",
            hint="name the column that says which document is behind an answer, or embed the stale documents",
        )
    zone = ZoneInfo(settings.timezone)
    try:
        source = find_source(connection, settings, until=end)
    except GuardRefused as refused:
        raise refused.as_error() from None
    within = source.between_condition(start.astimezone(zone), end.astimezone(zone))
    return (
        f"SELECT DISTINCT CAST({source.document} AS text) AS id FROM {source.votes_sql(within)}"
        f" AND {source.ratings.dislikes} AND {source.document} IS NOT NULL"
    )
