"""Defines our own tables in the user's database. Each is named `nightshift_…` and made on the first real run."""

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
"""The ledger: one row an object. Readers trust it alone: only `archived` objects are part of the archive.

States: `pending` (intended, perhaps written), `archived` (committed together with the deletion of its rows),
`sweeping` (an orphan whose object is being removed),
`swept` (removed), `foreign` (the key held somebody else's object; never removed), `restored` (its rows are in the table
again, and no part of the archive any more; the object stays where it is).
`min_timestamp` and `max_timestamp` are ISO 8601 in the policy's zone, as text: they may lie before year 1.
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
"""Record of restored objects: one row an object and target, written in the transaction that inserts the object's rows.

`target_id` is the table itself, whatever it is called later: PostgreSQL's OID; SQLite has none, there it is the name.
`existing_count` rows were left out because the target had their keys already. Until `hold_until` no run deletes the
object's rows, by the axis of `timestamp_column`; it is set only where they went back into the original table. Without a
`timestamp_column` all rows of the table are held.
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
"""The outbox of `expire_jobs`: files in S3 whose rows are gone, up to a thousand of one bucket a row. It is written in
the transaction that deletes the rows that named the files, and leaves when S3 says that they are gone.

`object_keys` is a JSON array of as many keys as `files` says. `last_error` is S3's code for the last of `attempts`
tries; nothing is tried again before `next_try`.
"""
event.listen(
    file_deletion,
    "after_create",
    # The server would spend longer on compressing the keys than on everything else that it does with them.
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
"""Source and model of each document's embedding. A row is written in the transaction that writes its vector.

`place` says where the vectors are, e.g. `public.document.embedding`. `text_hash` is the SHA-256 of the text, `version`
its `updated_at` at the time, as text. States: `embedded`, `empty` (there is no text, and no vector), `refused` (by the
model, for the reason in `error`: set aside until the text changes). `round` names the run, or the series of them, that
looked at the document last; `force` embeds what its own round has not.
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
"""Models of a place: the one whose vectors readers find, and the one being prepared beside it in a stage of its own.

No `model`: there were vectors before we came, of whatever model. `next_type` is the stage's type of vector.
"""

embedding_decision = Table(
    "nightshift_embedding_decision",
    metadata,
    Column("decision", Text, primary_key=True),
    Column("run_id", String(32), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
)
"""Decisions of `feedback` that `reembed` has finished: a second delivery of one does nothing."""

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
"""Decisions of `feedback`: one row a window, written once, with the votes and the rules that it was decided on.

`source` tells the same table's votes apart where they are counted in different ways. `unknown` ratings are no setting's
values; they and the seven days before, `week_…`, are null in decisions of earlier versions. `event`
is the detail of the event that starts re-embedding, as JSON; null where the window starts nothing. Until
`event_sent_at` is set, it is owed.
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
"""Votes of past days, as they were last counted: nothing is counted again for the week's mean and the chart, and they
outlive the rows that `cleanup` takes."""

backup_table = Table(
    "nightshift_backup",
    metadata,
    Column("table_name", Text, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("snapshot_time", DateTime(timezone=True), nullable=False),
    Column("entry", Text, nullable=False),
)
"""The backup that one run could not finish: the tables that are in S3 already. Empty between finished ones.

`entry` is the table's entry in the manifest to come, as JSON; `snapshot_time` the moment that its rows are of.
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
"""The run history: `running`, then one of `results.Status` or `failed`. `result` is the answer, as JSON."""


def table_exists(connection: Connection, table: Table | str) -> bool:
    """Returns whether one of our tables exists; SQLAlchemy's inspector costs ten times as much on its first call."""
    facts = {"name": table if isinstance(table, str) else table.name}
    if connection.dialect.name == "sqlite":
        statement = text("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = :name")
    else:
        of_schema = "SELECT oid FROM pg_namespace WHERE nspname = :schema"
        statement = text(f"SELECT count(*) FROM pg_class WHERE relname = :name AND relnamespace = ({of_schema})")
        facts["schema"] = schema_of(connection) or ""
    return bool(connection.execute(statement, facts).scalar())


def revoke_grants(connection: Connection, names: Collection[str]) -> None:
    """Revoke default grants to others from new tables of ours: these are meant for the application's tables."""
    for fault in find_faults(connection, metadata.tables.values()):
        if fault.is_grant and fault.relname in names:
            connection.exec_driver_sql(fault.remedy)
