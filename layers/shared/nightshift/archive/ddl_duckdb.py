"""Generates a DuckDB view over the committed objects, with one `read_parquet` for each set of columns.

DuckDB can merge the sets itself (`union_by_name`), but chooses a "wider" type, e.g. JSON for text, and then fails on
the values. A column of the path (`dt=…`) silently replaces a column of the same name in the files. If the table has a
column of that name, or the prefixes contain different columns, the view reads the day from the file's name. DuckDB then
opens every file, whatever day a query asks for.

Rows with values in `_nightshift_exact` are read separately, because DuckDB's times have `infinity` and `24:00`. For the
other rows, DuckDB still passes filters to the files. Floats are read as possibly NaN, because the statistics in older
files do not consider NaN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nightshift.archive.ddl_columns import FLOATS, FileSchema
from nightshift.archive.ddl_text import ArchivedTable, comment_text
from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.rows.reserved_names import EXACT

_TYPES = {
    "text": "VARCHAR",
    "int": "INTEGER",
    "binary": "BLOB",
}
"""Kind → DuckDB's name, if it differs from the kind's name in upper case."""

_BESIDE = ("date", "time", "timestamp", "timestamptz")
"""Kinds whose values may be in `_nightshift_exact` in a form that DuckDB reads. A decimal has only NaN there."""


def duckdb_sql(archive: ArchivedTable) -> str:
    """Returns the statement that creates the view. DuckDB runs the statement unchanged."""
    names = ", ".join(quote_identifier(name) for name in [*(c.name for c in archive.columns), archive.day_column])
    return "\n".join(
        [
            *archive.header_lines("DuckDB"),
            *_notes(archive),
            "-- For S3 DuckDB needs INSTALL httpfs; LOAD httpfs; CREATE SECRET (TYPE s3, PROVIDER credential_chain);",
            f"CREATE OR REPLACE VIEW {quote_identifier(archive.table_name)} AS",
            f"SELECT {names} FROM (",
            "\n  UNION ALL BY NAME\n".join(_branch(archive, shape) for shape in archive.shapes),
            ");\n",
        ]
    )


def _branch(archive: ArchivedTable, shape: FileSchema) -> str:
    keys = {
        tuple(part.partition("=")[0] for part in archived.key.split("/") if "=" in part) for archived in shape.objects
    }
    taken = {name.lower() for name in shape.columns} & {name.lower() for names in keys for name in names}
    if taken or len(keys) > 1:
        file = archive.free_name("object_uri")
        options = f"hive_partitioning = false, filename = {quote_literal(file)}"
        day = f"CAST(regexp_extract({quote_identifier(file)}, '/dt=([^/]+)/[^/]+$', 1) AS DATE)"
    else:
        options = "hive_partitioning = true, hive_types = {'dt': DATE}"
        day = '"dt"'
    options += ", can_have_nan = true" if any(kind in FLOATS for kind in shape.columns.values()) else ""
    paths = [_literal_path(archived.uri) for archived in shape.objects]
    kinds = {column.name: column.kind for column in archive.columns}
    named = {name: _cast(quote_identifier(name), kinds[name]) for name in (*shape.columns, EXACT)}
    beside = {name: _beside(name, kinds[name], named[name]) for name, kind in shape.columns.items() if _may_lack(kind)}
    parts = [(named, " WHERE {} IS NULL"), (named | beside, " WHERE {} IS NOT NULL")]
    if not beside or paths != [archived.uri for archived in shape.objects]:
        # If rows are read twice, DuckDB 1.5 interprets a path that a pattern matched as a pattern again.
        parts = [(named | beside, "")]
    selects = (
        f"SELECT {_listed(columns)}, {day} AS {quote_identifier(archive.day_column)} FROM objects"
        + where.format(quote_identifier(EXACT))
        for columns, where in parts
    )
    uris = ",\n".join(f"    {quote_literal(path)}" for path in paths)
    return "\n".join(
        [
            f"  (WITH objects AS NOT MATERIALIZED (FROM read_parquet([\n{uris}\n  ], union_by_name = true, {options})",
            # Without this line the column exists only if one of the files has it.
            f"  UNION ALL BY NAME SELECT NULL::VARCHAR AS {quote_identifier(EXACT)} WHERE false)",
            "  " + "\n  UNION ALL ".join(selects) + ")",
        ]
    )


def _notes(archive: ArchivedTable) -> list[str]:
    """Returns comments on columns with values that DuckDB cannot read."""
    loose = dict.fromkeys(name for shape in archive.shapes for name in shape.loose)
    return [
        f"-- column {comment_text(name)}: objects until November 2026 hold it as Parquet's JSON, which DuckDB refuses"
        " where a value has half a surrogate pair; `nightshift restore` reads them"
        for name in loose
    ]


def _may_lack(kind: str) -> bool:
    """Returns whether a column of this kind may be null in rows whose value is in `_nightshift_exact`."""
    return kind in _BESIDE or kind.startswith("decimal")


def _beside(name: str, kind: str, read: str) -> str:
    """Returns SQL for a column's value. If the column is null, the value comes from `_nightshift_exact`."""
    if kind not in (*_BESIDE, "text"):
        return read
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")  # RFC 6901
    exact = f"{quote_identifier(EXACT)} ->> {quote_literal(pointer)}"
    return f"coalesce({read}, TRY_CAST({exact} AS {_type(kind)}))"


def _cast(column: str, kind: str) -> str:
    return f"CAST({column} AS {_type(kind)})"


def _type(kind: str) -> str:
    return _TYPES.get(kind, kind.upper())


def _listed(chosen: Mapping[str, str]) -> str:
    return ", ".join(f"{read} AS {quote_identifier(name)}" for name, read in chosen.items())


def _literal_path(uri: str) -> str:
    """Returns a path that DuckDB reads literally: the characters `*`, `?` and `[` are in brackets."""
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", uri)
