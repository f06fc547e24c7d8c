"""Generates a Spark table over the location of a table's objects, and a view of the committed ones.

The columns are declared because Spark cannot infer them: it refuses to infer a Parquet `uuid`, but reads one that is
declared as 16 bytes, of which the view makes text. `time` is read as microseconds since midnight, which every version
can. `_metadata.file_name` is Spark's hidden column (3.3 and later); `TIMESTAMP_NTZ` needs 3.4.
"""

from __future__ import annotations

from nightshift.archive.ddl_columns import FLOATS, UnionColumn
from nightshift.archive.ddl_text import ArchivedTable, escape_backslashes, file_name, join_items, quote_backticks
from nightshift.errors import NightshiftError

_TYPES = {
    "text": "STRING",
    "json": "STRING",
    "uuid": "BINARY",
    "time": "BIGINT",
    "timestamp": "TIMESTAMP_NTZ",
    "timestamptz": "TIMESTAMP",
}
"""Kinds that Spark calls otherwise."""

_OWN = ("dt", "_metadata")
"""Names that would hide Spark's own."""


def spark_sql(archive: ArchivedTable, prefix: str) -> str:
    """Four statements.

    Raises:
        NightshiftError: the objects lie in several places, or a column's name is one that Spark needs.
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
        f"{quote_backticks(column.name)} {_TYPES.get(column.kind, column.kind.upper())}" for column in archive.columns
    ]
    chosen = [_chosen(column) for column in archive.columns]
    names = [escape_backslashes(file_name(one)) for one in archive.objects]
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


def _chosen(column: UnionColumn) -> str:
    name = quote_backticks(column.name)
    if column.kind in FLOATS:
        # Statistics of older objects say nothing of NaN: a filter on the column itself would pass it over.
        return f"CASE WHEN isnan({name}) THEN CAST('NaN' AS {column.kind.upper()}) ELSE {name} END AS {name}"
    if column.kind != "uuid":
        return name
    groups = "'(.{8})(.{4})(.{4})(.{4})(.{12})', '$1-$2-$3-$4-$5'"
    return f"regexp_replace(lower(hex({name})), {groups}) AS {name}"
