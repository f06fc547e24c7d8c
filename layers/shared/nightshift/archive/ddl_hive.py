"""Generates a table over the location of a table's objects, and a view of the committed objects, for Athena and Spark.

The view is needed, because the table reads every object in its location, also objects of crashed runs and restored
objects. A `uuid` is read as 16 bytes, which the view converts to text. A `time` is read as microseconds since midnight.

Athena: partition projection computes the days, so no partition is registered (Athena user guide, "partition
projection"). `"$path"` is the only hidden column that Athena allows in a view. Athena's views have Hive's types only.
A `timestamptz` is in UTC.

Spark: the columns are declared, because Spark does not infer a Parquet `uuid`. `_metadata.file_name` is a hidden column
of Spark 3.3 and later. `TIMESTAMP_NTZ` needs Spark 3.4.
"""

from __future__ import annotations

from nightshift.archive.ddl_columns import FLOATS, UnionColumn
from nightshift.archive.ddl_text import ArchivedTable, escape_backslashes, file_name, join_items, quote_backticks
from nightshift.archive.inventory import SUFFIX
from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.errors import NightshiftError

MAX_QUERY_BYTES = 262_144
"""Maximum length of one statement; not adjustable (Athena service quotas)."""

_ATHENA_TYPES = {"text": "string", "json": "string", "uuid": "binary", "time": "bigint", "timestamptz": "timestamp"}
"""Kind → name of the type in Hive's DDL, if the names differ."""


def athena_sql(archive: ArchivedTable, prefix: str) -> str:
    """Returns three statements for Athena, which runs one statement at a time.

    Raises:
        NightshiftError: the objects are in several directories, or are too many for one statement.
    """
    statements = [
        f"DROP TABLE IF EXISTS {quote_backticks(_athena_table(archive))}",
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


def _athena_table(archive: ArchivedTable) -> str:
    return f"{archive.plain_name}_objects"


def _create_table(archive: ArchivedTable, location: str) -> str:
    columns = [
        f"{quote_backticks(column.name)} {_ATHENA_TYPES.get(column.kind, column.kind)}" for column in archive.columns
    ]
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
            f"CREATE EXTERNAL TABLE {quote_backticks(_athena_table(archive))} (",
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
    chosen = [_athena_column(column) for column in archive.columns] + [quote_identifier(archive.day_column)]
    # File names without the common suffix: more objects fit into one statement.
    stems = [quote_literal(file_name(archived).removesuffix(SUFFIX)) for archived in archive.objects]
    return "\n".join(
        [
            f"CREATE OR REPLACE VIEW {quote_identifier(archive.plain_name)} AS",
            "SELECT",
            join_items(chosen),
            f"FROM {quote_identifier(_athena_table(archive))}",
            "WHERE regexp_extract(\"$path\", '([^/]+)\\.parquet$', 1) IN (",
            join_items(stems, ""),
            ")",
        ]
    )


def _athena_column(column: UnionColumn) -> str:
    name = quote_identifier(column.name)
    if column.kind in FLOATS:
        # The statistics of older objects do not consider NaN: a filter on the column itself would miss NaN values.
        kind = "real" if column.kind == "float" else "double"
        return f"if(is_nan({name}), CAST(nan() AS {kind}), {name}) AS {name}"
    return f"CAST(CAST({name} AS uuid) AS varchar) AS {name}" if column.kind == "uuid" else name


_SPARK_TYPES = {
    "text": "STRING",
    "json": "STRING",
    "uuid": "BINARY",
    "time": "BIGINT",
    "timestamp": "TIMESTAMP_NTZ",
    "timestamptz": "TIMESTAMP",
}
"""Kind → Spark's name of the type, if it differs from the kind's name in upper case."""

_OWN = ("dt", "_metadata")
"""Names of columns that Spark reserves for itself."""


def spark_sql(archive: ArchivedTable, prefix: str) -> str:
    """Returns four statements for Spark.

    Raises:
        NightshiftError: the objects are in several directories, or a column has a name that Spark reserves.
    """
    taken = [column.name for column in archive.columns if column.name.lower() in _OWN]
    if taken:
        raise NightshiftError(
            "a column has a name that Spark needs for itself",
            detail=f"{', '.join(taken)}: Spark reads the day from directories dt=…, and the file from _metadata",
            hint="use --engine duckdb or --engine athena",
        )
    table, view = quote_backticks(f"{archive.plain_name}_objects"), quote_backticks(archive.plain_name)
    columns = [
        f"{quote_backticks(column.name)} {_SPARK_TYPES.get(column.kind, column.kind.upper())}"
        for column in archive.columns
    ]
    chosen = [_spark_column(column) for column in archive.columns]
    names = [escape_backslashes(file_name(archived)) for archived in archive.objects]
    return "\n".join(
        [
            *archive.header_lines("Spark"),
            *archive.unreadable_lines("Spark"),
            *archive.other_format_lines(),
            "-- Outside EMR write s3a:// for s3://. The table is external: dropping it deletes no object.",
            f"DROP TABLE IF EXISTS {table};",
            "",
            f"CREATE TABLE {table} (",
            join_items([*columns, "`dt` DATE"]),
            ")",
            "USING PARQUET",
            "PARTITIONED BY (`dt`)",
            f"LOCATION {escape_backslashes(archive.s3_location(prefix))};",
            "",
            f"MSCK REPAIR TABLE {table};",
            "",
            f"CREATE OR REPLACE VIEW {view} AS",
            "SELECT",
            join_items([*chosen, "`dt`"]),
            f"FROM {table}",
            "WHERE _metadata.file_name IN (",
            join_items(names),
            ");\n",
        ]
    )


def _spark_column(column: UnionColumn) -> str:
    name = quote_backticks(column.name)
    if column.kind in FLOATS:
        # The statistics of older objects do not consider NaN: a filter on the column itself would miss NaN values.
        return f"CASE WHEN isnan({name}) THEN CAST('NaN' AS {column.kind.upper()}) ELSE {name} END AS {name}"
    if column.kind != "uuid":
        return name
    groups = "'(.{8})(.{4})(.{4})(.{4})(.{12})', '$1-$2-$3-$4-$5'"
    return f"regexp_replace(lower(hex({name})), {groups}) AS {name}"
