"""Lists the columns that name files, by any policy and in the archive's ledger, and builds SQL for the files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from sqlalchemy import Connection

from nightshift.database import dialect, postgres
from nightshift.database.catalog import TableColumn, TableName, quote_identifier, quote_literal
from nightshift.database.own_tables import own_table, schema_of
from nightshift.database.tables import archive_object, file_deletion, table_exists
from nightshift.expiry.file_names import FileNameReading, reach_of
from nightshift.expiry.file_names_sql import address_sql, exact_text_sql, object_sql, odd_sql, tellable_sql
from nightshift.policy.expiry import ExpiryPolicy, FilesPolicy
from nightshift.settings import Settings


@dataclass(frozen=True, slots=True)
class FileColumns:
    """The column of a table that names files in S3, and the files' bucket.

    Attributes:
        bucket: bucket of the files; with a `bucket_column`, the bucket of files whose row names no bucket.
        reading: rules for reading the column's values.
        check: look up some of the files in S3 before rows are deleted.
    """

    key: str
    bucket: str | None = None
    bucket_column: str | None = None
    reading: FileNameReading = field(default_factory=FileNameReading)
    check: bool = True

    @property
    def named_files(self) -> str:
        """Returns the SQL condition that a row names a file; it tests the length, independent of the collation."""
        return f"length({quote_identifier(self.key)}) > 0"

    def bucket_sql(self, prefix: str = "") -> str:
        """Returns SQL for the bucket that the row or the policy names; the SQL yields '' if neither names a bucket."""
        default = quote_literal(self.bucket or "")
        if self.bucket_column is None:
            return default
        column = prefix + quote_identifier(self.bucket_column)
        return f"CASE WHEN length({column}) > 0 THEN CAST({column} AS text) ELSE {default} END"


@dataclass(frozen=True, slots=True)
class FileReference:
    """A place in which rows name files: a table and its columns.

    Attributes:
        indexed: an index finds the rows that name a key.
        rows: the planner's row count of the table; negative if the table was never analysed.
    """

    table: TableName
    files: FileColumns
    indexed: bool
    rows: float

    def join_conditions(self, outbox: str, *, addresses: bool, postgresql: bool) -> list[str]:
        """Returns JOIN clauses that find the files of the outbox that rows name, one clause per way to write a key.

        Each clause compares by the column's own operator, for an index, and then byte by byte. In SQLite the text may
        be stored as a blob.

        Args:
            addresses: the column may hold addresses; the last clause then reads every address.
        """
        key, reading = f"f.{quote_identifier(self.files.key)}", self.files.reading
        exact = exact_text_sql(f"CAST({key} AS text)", postgresql=postgresql)
        rest, inside = f"{outbox}.object_key", ""
        if reading.prefix:
            inside = f" AND substr({rest}, 1, {len(reading.prefix)}) = {quote_literal(reading.prefix)}"
            rest = f"substr({rest}, {len(reading.prefix) + 1})"
        same = f"{outbox}.bucket = {exact_text_sql(self.files.bucket_sql('f.'), postgresql=postgresql)}{inside}"
        joins = []
        for way in [rest, *([f"({quote_literal(reading.strip)} || {rest})"] if reading.strip else [])]:
            about = f"{key} = {way}" if postgresql else f"{key} IN ({way}, CAST({way} AS blob))"
            joins.append(f"JOIN {self.table.sql} f ON {about} AND {exact} = {way} AND {same}")
        if addresses:
            same = f"a.object_key = {outbox}.object_key AND a.bucket = {outbox}.bucket"
            joins.append(f"JOIN ({self._addresses(postgresql=postgresql)}) a ON {same}")
        return joins

    def _addresses(self, *, postgresql: bool) -> str:
        """Returns SQL for the files that addresses in the column name."""
        text = exact_text_sql(f"CAST(f.{quote_identifier(self.files.key)} AS text)", postgresql=postgresql)
        bucket = exact_text_sql(self.files.bucket_sql("f."), postgresql=postgresql)
        condition = address_sql(text, postgresql=postgresql)
        rows = f"SELECT {text} AS value, {bucket} AS bucket FROM {self.table.sql} f WHERE {condition}"
        named, object_key = object_sql(self.files.reading, "v.value", "v.bucket", postgresql=postgresql)
        return f"SELECT {named} AS bucket, {object_key} AS object_key FROM ({rows}) v"

    def address_columns(self, *, postgresql: bool) -> str:
        """Returns SQL that tells whether the column holds addresses; the SQL can use an index on the column.

        The SQL selects the range of values that begin with each scheme; in every collation such a range is contiguous.
        """
        key, ranges = f"f.{quote_identifier(self.files.key)}", ""
        if postgresql:
            schemes = (("http", "httq"), ("s3", "s4"), ("arn", "aro"))
            ranges = " OR ".join(f"({key} >= '{low}' AND {key} < '{high}')" for low, high in schemes)
            ranges = f"({ranges}) AND "
        condition = address_sql(exact_text_sql(f"CAST({key} AS text)", postgresql=postgresql), postgresql=postgresql)
        return f"SELECT EXISTS (SELECT 1 FROM {self.table.sql} f WHERE {ranges}{condition})"


def is_text(column: TableColumn, *, postgresql: bool) -> bool:
    """Returns whether a column can name files: a text type (`citext` in any schema); in SQLite, any column."""
    return not postgresql or column.base_type.rpartition(".")[2] in ("text", "varchar", "bpchar", "citext")


def file_columns(entry: FilesPolicy, key: str, column: str | None, settings: Settings) -> FileColumns:
    reading = FileNameReading(reach_of(settings, entry.named_buckets), entry.strip, entry.prefix)
    return FileColumns(key, entry.bucket or settings.expire_files_bucket, column, reading, entry.check)


def archived_place(connection: Connection) -> list[FileReference]:
    """Returns the archive's ledger as a place that names files, so that archived objects are never deleted as files."""
    if not table_exists(connection, archive_object):
        return []
    # The table's own name, without SQLAlchemy's translation of the schema.
    return [
        FileReference(
            TableName(schema_of(connection) or "", archive_object.name),
            FileColumns("object_key", None, "bucket"),
            indexed=True,
            rows=inf,
        )
    ]


def named_places(
    connection: Connection, policies: Iterable[ExpiryPolicy], settings: Settings
) -> tuple[list[FileReference], list[str]]:
    """Returns every existing place in which rows name files, by any policy.

    Refused policies count as well, because rows of their tables may still name files that another policy would delete.

    Returns:
        the places, and a reason for each place that cannot be read. Files that rows name there cannot be told from
        other files.
    """
    postgresql = connection.dialect.name == "postgresql"
    places, hidden = [], []
    for entry in (entry for policy in policies for entry in policy.files):
        info = dialect.describe_table(connection, entry.table)
        if info is not None and (not info.may_read or postgres.ROW_SECURITY in info.hiding):
            hidden.append(f"{info.name.label} may not be read")
            continue
        if info is None:
            continue
        names = [name for name in (entry.key, entry.bucket_column) if name]
        key, *more = (info.column(name) for name in names)
        if key is None or not all(column and is_text(column, postgresql=postgresql) for column in (key, *more)):
            # Probably a misspelt name: this policy is refused, but other tables' rows may name the same files.
            hidden.append(f"{info.name.label} has no column of text called {' or '.join(names)}")
            continue
        indexed = dialect.is_indexed(connection, info.name, [key.name])
        indexed = indexed and not key.base_type.endswith(".citext")  # its index ignores case, but keys do not
        files = file_columns(entry, key.name, more[0].name if more and more[0] else None, settings)
        places.append(FileReference(info.name, files, indexed, info.rows))
    return places, hidden


FILES_AN_ENTRY = 1000
"""Largest number of files of one entry of the outbox: the limit of S3's DeleteObjects."""


def named_files_sql(files: FileColumns, source: str, *, postgresql: bool) -> str:
    """Returns SQL for the files that rows of `source` name: the row's `value` and `row_bucket`, and the object's
    `bucket` and `object_key`. The SQL yields a NULL `bucket` for a value that names no object that may be deleted."""
    reading = files.reading
    text = exact_text_sql(f"CAST({quote_identifier(files.key)} AS text)", postgresql=postgresql)
    row_bucket = exact_text_sql(files.bucket_sql(), postgresql=postgresql)
    values = f"SELECT {text} AS value, {row_bucket} AS row_bucket FROM {source} WHERE {files.named_files}"
    if postgresql:
        # OFFSET 0, here and below, keeps the planner from computing a column again for each use.
        values = f"SELECT w.value, w.row_bucket, {odd_sql(reading, 'w.value')} AS odd FROM ({values}) w OFFSET 0"
    bucket, key = object_sql(reading, "v.value", "v.row_bucket", postgresql=postgresql, odd="v.odd")
    read = f"SELECT v.value, v.row_bucket, {bucket} AS bucket, {key} AS object_key FROM ({values}) v"
    if not postgresql:
        return read
    tellable = tellable_sql(reading, "t.bucket", "t.object_key")
    return (
        f"SELECT value, row_bucket, CASE WHEN {tellable} THEN bucket END AS bucket, object_key FROM ({read} OFFSET 0) t"
    )


def enqueue_files(
    files: FileColumns, source: str, run_id: str, next_try: str, *, postgresql: bool, schema: str | None
) -> str:
    """Returns SQL that puts the files that rows of `source` name into the outbox, one entry per thousand files.

    The statement fails if a file cannot be identified, because the outbox accepts no NULL bucket.
    """
    gather = "CAST(json_agg(object_key) AS text)" if postgresql else "json_group_array(object_key)"
    return (
        f"INSERT INTO {own_table(file_deletion, schema)} (bucket, object_keys, files, run_id, next_try)"
        f" SELECT bucket, {gather}, count(*), {quote_literal(run_id)}, {quote_literal(next_try)}"
        f" FROM (SELECT bucket, object_key, (row_number() OVER () - 1) / {FILES_AN_ENTRY} AS part"
        f" FROM ({named_files_sql(files, source, postgresql=postgresql)}) f) named"
        " GROUP BY bucket, part"
    )
