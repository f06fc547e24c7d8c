"""Defines nightshift's tables in the user's database: `nightshift_…`, created by the first run that is no dry run."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.engine import Connection

from nightshift.database.own_tables import find_faults, schema_of

metadata = MetaData()

_Id = BigInteger().with_variant(Integer(), "sqlite")

archive_object = Table(
    "nightshift_archive_object",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("bucket", String(63), nullable=False),
    Column("object_key", String(1024), nullable=False, unique=True),
    Column("table_name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("dt", String(10), nullable=False),
    Column("row_count", BigInteger),
    Column("byte_count", BigInteger),
    Column("sha256", String(64)),
    Column("min_timestamp", Text),
    Column("max_timestamp", Text),
    Column("schema_fingerprint", String(64)),
    Column("version_id", Text),
    Column("run_id", String(32), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("archived_at", DateTime(timezone=True)),
    Index("nightshift_archive_object_table_state", "table_name", "state"),
)
"""The ledger: one row per object in S3. Only objects in the state `archived` are part of the archive.

States: `pending` (the object may or may not exist), `archived` (committed in the transaction that deleted the rows),
`sweeping` (nightshift is removing an orphaned object), `swept` (the object was removed), `foreign` (another program's
object has the key; nightshift never removes it), `restored` (the rows are in the table again and no longer part of the
archive; the object stays in S3).
`min_timestamp` and `max_timestamp` are ISO 8601 text in the policy's zone, because they may lie before year 1.
"""

restored_object = Table(
    "nightshift_restored_object",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("object_key", String(1024), nullable=False),
    Column("source_table", Text, nullable=False),
    Column("target_table", Text, nullable=False),
    Column("target_id", Text, nullable=False),
    Column("into_original", Boolean, nullable=False),
    Column("timestamp_column", Text),
    Column("row_count", BigInteger, nullable=False),
    Column("existing_count", BigInteger, nullable=False),
    Column("hold_until", DateTime(timezone=True)),
    Column("run_id", String(32), nullable=False),
    Column("restored_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("object_key", "target_id"),
)
"""Restored objects: one row per object and target table, written in the transaction that inserts the object's rows.

`target_id` is the target's OID in PostgreSQL, which a renaming does not change, and the target's name in SQLite.
`existing_count` is the number of rows that were not inserted, because the target already had their keys. Until
`hold_until` no run deletes the object's rows. `timestamp_column` is the column by which the hold applies; if it is
null, the hold applies to all rows of the table. `hold_until` is set only for a restore into the original table.
"""

file_deletion = Table(
    "nightshift_file_deletion",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("bucket", Text, nullable=False),
    Column("object_keys", Text, nullable=False),
    Column("files", Integer, nullable=False),
    Column("run_id", String(32), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),
    Column("next_try", DateTime(timezone=True), nullable=False),
)
"""The outbox of `expire_jobs`: one row for up to a thousand files of one bucket that S3 must delete. The transaction
that deletes the rows which named the files inserts the outbox row. The row is deleted once S3 confirms the deletion.

`object_keys` is a JSON array of `files` keys. `last_error` is S3's error code for the last of `attempts` attempts; the
next attempt is not before `next_try`.
"""
event.listen(
    file_deletion,
    "after_create",
    # Compression of the keys would take the server longer than all other work on the row.
    DDL("ALTER TABLE %(fullname)s ALTER COLUMN object_keys SET STORAGE EXTERNAL").execute_if(  # type: ignore[no-untyped-call]
        dialect="postgresql"
    ),
)

embedding = Table(
    "nightshift_embedding",
    metadata,
    Column("place", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("text_hash", String(64), nullable=False),
    Column("version", Text),
    Column("model", Text, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("error", Text),
    Column("attempts", Integer, nullable=False),
    Column("round", Text, nullable=False),
    Column("embedded_at", DateTime(timezone=True), nullable=False),
)
"""Source and model of each document's embedding. The transaction that writes a vector writes the vector's row.

`place` is the column of the vectors, e.g. `public.document.embedding`. `text_hash` is the SHA-256 of the embedded text;
`version` is the document's `updated_at` at that time, as text. States: `embedded`, `empty` (the document has no text
and no vector), `refused` (the model refused the text for the reason in `error`; skipped until the text changes).
`round` names the run, or the series of runs, that examined the document last. `force` embeds every document that its
round has not examined.
"""

embedding_place = Table(
    "nightshift_embedding_place",
    metadata,
    Column("place", Text, primary_key=True),
    Column("model", Text),
    Column("dimension", Integer),
    Column("next_model", Text),
    Column("next_dimension", Integer),
    Column("next_type", Text),
    Column("switched_at", DateTime(timezone=True)),
)
"""Models of a place: `model`, whose vectors readers find, and `next_model`, whose vectors are built in a stage table.

A null `model` means that the place had vectors of an unknown model before nightshift's first run. `next_type` is the
type of the vectors in the stage table.
"""

embedding_decision = Table(
    "nightshift_embedding_decision",
    metadata,
    Column("decision", Text, primary_key=True),
    Column("run_id", String(32), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
)
"""Decisions of `feedback` that `reembed` has finished; a second delivery of a finished decision does nothing."""

feedback_run = Table(
    "nightshift_feedback_run",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("decision", String(32), nullable=False, unique=True),
    Column("source", String(64), nullable=False),
    Column("table_name", Text, nullable=False),
    Column("window_start", DateTime(timezone=True), nullable=False),
    Column("window_end", DateTime(timezone=True), nullable=False),
    Column("zone", Text, nullable=False),
    Column("likes", BigInteger, nullable=False),
    Column("dislikes", BigInteger, nullable=False),
    Column("unknown", BigInteger),
    Column("week_likes", BigInteger),
    Column("week_dislikes", BigInteger),
    Column("low", Float(53)),
    Column("high", Float(53)),
    Column("confidence", Float(53), nullable=False),
    Column("threshold", Float(53), nullable=False),
    Column("min_votes", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(16), nullable=False),
    Column("cooling_until", DateTime(timezone=True)),
    Column("event", Text),
    Column("event_id", Text),
    Column("event_sent_at", DateTime(timezone=True)),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("run_id", String(32), nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("source", "window_start"),
    Index("nightshift_feedback_run_table_window", "table_name", "window_start"),
)
"""Decisions of `feedback`: one row per window, written once, with the votes and the rules of the decision.

`source` distinguishes the different ways in which one table's votes are counted. `unknown` counts ratings that are
neither a like nor a dislike; `week_…` counts the seven days before. These columns are null in decisions of earlier
versions. `event` is the detail, as JSON, of the event that starts re-embedding; it is null if the window starts none.
While `event_sent_at` is null, the event has not been sent.
"""

feedback_day = Table(
    "nightshift_feedback_day",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("likes", BigInteger, nullable=False),
    Column("dislikes", BigInteger, nullable=False),
    Column("counted_as_of", DateTime(timezone=True), nullable=False),
)
"""Votes of past days. The week's mean and the chart read them here, so the votes are not counted again and remain known
after `cleanup` has deleted their rows."""

backup_table = Table(
    "nightshift_backup",
    metadata,
    Column("table_name", Text, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("snapshot_time", DateTime(timezone=True), nullable=False),
    Column("entry", Text, nullable=False),
)
"""Tables of an unfinished backup that are already in S3. The table is empty if no backup is unfinished.

`entry` is the table's entry in the future manifest, as JSON. `snapshot_time` is the time of the table's snapshot.
"""

run = Table(
    "nightshift_run",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("job", String(64), nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("complete", Boolean),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("duration_ms", BigInteger),
    Column("result", Text),
    Column("error", Text),
    Index("nightshift_run_job_as_of", "job", "as_of"),
)
"""The run history. `status` is `running`, then a value of `results.Status` or `failed`; `result` is JSON."""


def table_exists(connection: Connection, table: Table | str) -> bool:
    """Returns whether one of nightshift's tables exists, without SQLAlchemy's inspector, which is ten times slower."""
    facts = {"name": table if isinstance(table, str) else table.name}
    if connection.dialect.name == "sqlite":
        statement = text("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = :name")
    else:
        of_schema = "SELECT oid FROM pg_namespace WHERE nspname = :schema"
        statement = text(f"SELECT count(*) FROM pg_class WHERE relname = :name AND relnamespace = ({of_schema})")
        facts["schema"] = schema_of(connection) or ""
    return bool(connection.execute(statement, facts).scalar())


def revoke_grants(connection: Connection, names: Collection[str]) -> None:
    """Revoke other roles' privileges on nightshift's new tables; default privileges suit the application's tables."""
    for fault in find_faults(connection, metadata.tables.values()):
        if fault.is_grant and fault.relname in names:
            connection.exec_driver_sql(fault.remedy)
