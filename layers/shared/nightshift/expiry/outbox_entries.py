"""Builds the SQL that puts the files that rows name into the outbox."""

from __future__ import annotations

from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.database.own_tables import own_table
from nightshift.database.tables import file_deletion
from nightshift.expiry.file_names_sql import exact_text_sql, odd_sql, tellable_sql, told_sql
from nightshift.expiry.graph import FileColumns

FILES_AN_ENTRY = 1000
"""Files of one entry of the outbox, at most: as many as S3's DeleteObjects takes."""


def reported_files(files: FileColumns, source: str, *, postgresql: bool) -> str:
    """SQL for the files that rows of `source` name: the row's own values as `value` and `said`, the object that they
    name as `bucket` and `object_key`. The bucket is NULL where they name no object that may be deleted."""
    reading = files.reading
    text = exact_text_sql(f"CAST({quote_identifier(files.key)} AS text)", postgresql=postgresql)
    said = exact_text_sql(files.bucket_sql(), postgresql=postgresql)
    values = f"SELECT {text} AS value, {said} AS said FROM {source} WHERE {files.named_files}"
    if postgresql:
        # OFFSET 0, here and below: else a column would be worked out once more for each mention.
        values = f"SELECT w.value, w.said, {odd_sql(reading, 'w.value')} AS odd FROM ({values}) w OFFSET 0"
    bucket, key = told_sql(reading, "v.value", "v.said", postgresql=postgresql, odd="v.odd")
    read = f"SELECT v.value, v.said, {bucket} AS bucket, {key} AS object_key FROM ({values}) v"
    if not postgresql:
        return read
    tellable = tellable_sql(reading, "t.bucket", "t.object_key")
    return f"SELECT value, said, CASE WHEN {tellable} THEN bucket END AS bucket, object_key FROM ({read} OFFSET 0) t"


def enqueue_files(
    files: FileColumns, source: str, run_id: str, next_try: str, *, postgresql: bool, schema: str | None
) -> str:
    """Put the files that rows of `source` name into the outbox: a row of it for each thousand.

    A row whose file cannot be told fails the statement: the outbox takes no NULL for a bucket.

    Args:
        schema: of nightshift's own tables, see `Database.schema`.
    """
    gather = "CAST(json_agg(object_key) AS text)" if postgresql else "json_group_array(object_key)"
    return (
        f"INSERT INTO {own_table(file_deletion, schema)} (bucket, object_keys, files, run_id, next_try)"
        f" SELECT bucket, {gather}, count(*), {quote_literal(run_id)}, {quote_literal(next_try)}"
        f" FROM (SELECT bucket, object_key, (row_number() OVER () - 1) / {FILES_AN_ENTRY} AS part"
        f" FROM ({reported_files(files, source, postgresql=postgresql)}) told) named"
        " GROUP BY bucket, part"
    )
