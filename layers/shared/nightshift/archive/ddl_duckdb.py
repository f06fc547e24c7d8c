"""A DuckDB view over the committed objects, one `read_parquet` for each set of columns.

DuckDB could join the sets itself (`union_by_name`), but takes the first type it meets that is "wider", JSON for text
among them, and fails on the values. And a column of the path silently replaces a column of that name in the files:
where the table has one, or prefixes differ in theirs, the day is read off the file's name instead, at the price that
every file is opened whatever day is asked for.
"""

from __future__ import annotations

import re

from nightshift.archive.ddl_columns import Shape
from nightshift.archive.ddl_text import Archive
from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.rows.marks import EXACT

_TYPES = {
    "text": "VARCHAR",
    "int": "INTEGER",
    "binary": "BLOB",
}
"""Kinds that DuckDB calls otherwise."""


def duckdb_sql(archive: Archive) -> str:
    """The statement; it runs as it is."""
    names = ", ".join(quote_identifier(name) for name in [*(c.name for c in archive.columns), archive.day])
    return "\n".join(
        [
            *archive.head("DuckDB"),
            "-- For S3 DuckDB needs INSTALL httpfs; LOAD httpfs; CREATE SECRET (TYPE s3, PROVIDER credential_chain);",
            f"CREATE OR REPLACE VIEW {quote_identifier(archive.name)} AS",
            f"SELECT {names} FROM (",
            "\n  UNION ALL BY NAME\n".join(_branch(archive, shape) for shape in archive.shapes),
            ");\n",
        ]
    )


def _branch(archive: Archive, shape: Shape) -> str:
    keys = {tuple(part.partition("=")[0] for part in one.key.split("/") if "=" in part) for one in shape.objects}
    taken = {name.lower() for name in shape.columns} & {name.lower() for names in keys for name in names}
    if taken or len(keys) > 1:
        file = archive.free_name("object_uri")
        options = f"hive_partitioning = false, filename = {quote_literal(file)}"
        day = f"CAST(regexp_extract({quote_identifier(file)}, '/dt=([^/]+)/[^/]+$', 1) AS DATE)"
    else:
        options = "hive_partitioning = true, hive_types = {'dt': DATE}"
        day = '"dt"'
    kinds = {column.name: column.kind for column in archive.columns}
    chosen = [_cast(name, kinds[name]) for name in (*shape.columns, EXACT)]
    uris = ",\n".join(f"    {quote_literal(_literal_path(one.uri))}" for one in shape.objects)
    return "\n".join(
        [
            f"  SELECT {', '.join(chosen)}, {day} AS {quote_identifier(archive.day)} FROM (",
            f"  FROM read_parquet([\n{uris}\n  ], union_by_name = true, {options})",
            # Without it the column would be there only if one of the files has it.
            f"  UNION ALL BY NAME SELECT NULL::VARCHAR AS {quote_identifier(EXACT)} WHERE false)",
        ]
    )


def _cast(name: str, kind: str) -> str:
    column = quote_identifier(name)
    return f"CAST({column} AS {_TYPES.get(kind, kind.upper())}) AS {column}"


def _literal_path(uri: str) -> str:
    """A path that DuckDB takes to the letter: a glob's characters stand in brackets."""
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", uri)
