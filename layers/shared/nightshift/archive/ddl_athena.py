"""Generates an Athena table over the location of a table's objects, and a view of the committed ones.

Both are needed: a table reads all that lies in its location, the orphans of crashed runs and restored objects
among it. Days are projected, so that no partition has to be registered (Athena user guide, "partition projection").
`"$path"` is the one hidden column that Athena allows in a view.

Hive has neither `uuid` nor `time`. Trino's Parquet reader gives the former as 16 bytes, of which the view makes text
(Athena keeps no other than Hive's types for a view), the latter as microseconds since midnight. Moments are in UTC.
"""

from __future__ import annotations

from nightshift.archive.ddl_columns import FLOATS, UnionColumn
from nightshift.archive.ddl_text import ArchivedTable, escape_backslashes, file_name, join_items, quote_backticks
from nightshift.archive.verify_scope import SUFFIX
from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.errors import NightshiftError

MAX_QUERY_BYTES = 262_144
"""Of one statement; not adjustable (Athena service quotas)."""

_TYPES = {"text": "string", "json": "string", "uuid": "binary", "time": "bigint", "timestamptz": "timestamp"}
"""Kinds that Hive's DDL calls otherwise."""


def athena_sql(archive: ArchivedTable, prefix: str) -> str:
    """Three statements; Athena takes one at a time.

    Raises:
        NightshiftError: the objects lie in several places, or are too many for one statement.
    """
    statements = [
        f"DROP TABLE IF EXISTS {quote_backticks(_table(archive))}",
        _create_table(archive, archive.s3_location(prefix)),
        _create_view(archive),
    ]
    longest = max(len(statement.encode()) for statement in statements)
    if longest > MAX_QUERY_BYTES:
        raise NightshiftError(
            "the statement is longer than Athena takes",
            detail=f"{longest} bytes for {len(archive.objects)} objects; Athena's limit is {MAX_QUERY_BYTES}",
            hint="narrow by --since and --until, and join several such views by UNION ALL",
        )
    head = [
        *archive.header_lines("Athena"),
        *archive.unreadable_lines("Athena"),
        "-- Run the statements one by one. The table is external: dropping it deletes no object.",
        *_notes(archive),
        *archive.other_format_lines(),
    ]
    return "\n".join([*head, ";\n\n".join(statements) + ";\n"])


def _notes(archive: ArchivedTable) -> list[str]:
    kinds = {column.kind for column in archive.columns}
    notes = {
        "uuid": "-- uuid: binary in the table, text in the view.",
        "time": "-- time: microseconds since midnight.",
        "timestamptz": "-- timestamptz: in UTC, without its zone.",
    }
    return [note for kind, note in notes.items() if kind in kinds]


def _table(archive: ArchivedTable) -> str:
    return f"{archive.plain_name}_objects"


def _create_table(archive: ArchivedTable, location: str) -> str:
    columns = [f"{quote_backticks(column.name)} {_TYPES.get(column.kind, column.kind)}" for column in archive.columns]
    day = archive.day_column
    first, last = archive.objects[0].day, archive.objects[-1].day
    properties = {
        "projection.enabled": "true",
        f"projection.{day}.type": "date",
        f"projection.{day}.format": "yyyy-MM-dd",
        f"projection.{day}.range": f"{first},{last}",
        f"projection.{day}.interval": "1",
        f"projection.{day}.interval.unit": "DAYS",
        "storage.location.template": f"{location}dt=${{{day}}}/",
    }
    return "\n".join(
        [
            f"CREATE EXTERNAL TABLE {quote_backticks(_table(archive))} (",
            join_items(columns),
            ")",
            f"PARTITIONED BY ({quote_backticks(day)} date)",
            "STORED AS PARQUET",
            f"LOCATION {escape_backslashes(location)}",
            "TBLPROPERTIES (",
            join_items(
                [f"{escape_backslashes(key)} = {escape_backslashes(value)}" for key, value in properties.items()]
            ),
            ")",
        ]
    )


def _create_view(archive: ArchivedTable) -> str:
    chosen = [_chosen(column) for column in archive.columns] + [quote_identifier(archive.day_column)]
    # Names without what all of them share: more objects fit into one statement.
    stems = [quote_literal(file_name(one).removesuffix(SUFFIX)) for one in archive.objects]
    return "\n".join(
        [
            f"CREATE OR REPLACE VIEW {quote_identifier(archive.plain_name)} AS",
            "SELECT",
            join_items(chosen),
            f"FROM {quote_identifier(_table(archive))}",
            "WHERE regexp_extract(\"$path\", '([^/]+)\\.parquet$', 1) IN (",
            join_items(stems, ""),
            ")",
        ]
    )


def _chosen(column: UnionColumn) -> str:
    name = quote_identifier(column.name)
    if column.kind in FLOATS:
        # Statistics of older objects say nothing of NaN: a filter on the column itself would pass it over.
        kind = "real" if column.kind == "float" else "double"
        return f"if(is_nan({name}), CAST(nan() AS {kind}), {name}) AS {name}"
    return f"CAST(CAST({name} AS uuid) AS varchar) AS {name}" if column.kind == "uuid" else name
