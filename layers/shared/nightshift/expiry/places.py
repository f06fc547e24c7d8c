"""Lists the places in which rows name files: the columns of all policies, in any table, and the archive's ledger."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from sqlalchemy import Connection

from nightshift.database import dialect, postgres
from nightshift.database.catalog import TableColumn, TableName
from nightshift.database.own_tables import schema_of
from nightshift.database.tables import archive_object, table_exists
from nightshift.expiry.file_names import FileNameReading, reach_of
from nightshift.expiry.graph import FileColumns, FileReference
from nightshift.policy.expiry import ExpiryPolicy, FilesPolicy
from nightshift.settings import Settings


def is_text(column: TableColumn, *, postgresql: bool) -> bool:
    """Returns whether a column can name files; SQLite's hold any value. `citext` comes with its schema's name."""
    return not postgresql or column.base_type.rpartition(".")[2] in ("text", "varchar", "bpchar", "citext")


def file_columns(entry: FilesPolicy, key: str, column: str | None, settings: Settings) -> FileColumns:
    reading = FileNameReading(reach_of(settings, entry.named_buckets), entry.strip, entry.prefix)
    return FileColumns(key, entry.bucket or settings.expire_files_bucket, column, reading, entry.check)


def archived_place(connection: Connection) -> list[FileReference]:
    """The ledger of the archive, whose rows name objects too; wherever they lie, they are no expired row's files."""
    if not table_exists(connection, archive_object):
        return []
    # By its bare name, as every table of ours.
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
    """Every place in which rows name files, by any policy; places that do not exist name none.

    Apart from the cascades: a policy that is refused must not cost another table's rows their files.

    Returns:
        the places, and the reason why one cannot be read: files that its rows name could not be distinguished from
        others.
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
            # Misspelt, most likely: its own policy is refused, but other tables' rows may name the same files.
            hidden.append(f"{info.name.label} has no column of text called {' or '.join(names)}")
            continue
        indexed = dialect.is_indexed(connection, info.name, [key.name])
        indexed = indexed and not key.base_type.endswith(".citext")  # its index knows no case, and a key does
        files = file_columns(entry, key.name, more[0].name if more and more[0] else None, settings)
        places.append(FileReference(info.name, files, indexed, info.rows))
    return places, hidden
