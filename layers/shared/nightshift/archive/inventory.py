"""Reads the ledger for listings, verifications and restores. The module writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, func, select

from nightshift.database.catalog import split_name
from nightshift.database.tables import archive_object, restored_object, table_exists
from nightshift.errors import NightshiftError

ARCHIVED, RESTORED = "archived", "restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedObject:
    """One row of the ledger.

    Attributes:
        table: `schema.table`, the table's label when its rows were archived.
        day: the object's `dt`, YYYY-MM-DD in the policy's time zone.
        rows, bytes, sha256: None in states before `archived`.
        version_id: S3's version ID; None in a bucket without versioning.
        first, last: oldest and latest timestamp in the object, ISO 8601.
        fingerprint: fingerprint of the archived columns, see `rows.columns.fingerprint_rows`.
    """

    bucket: str
    key: str
    table: str
    state: str
    day: str
    rows: int | None
    bytes: int | None
    sha256: str | None
    version_id: str | None
    first: str | None
    last: str | None
    fingerprint: str | None
    run_id: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def list_archived_objects(
    connection: Connection,
    bucket: str,
    *,
    table: str | None = None,
    since: date | None = None,
    until: date | None = None,
    states: Sequence[str] | None = (ARCHIVED,),
) -> list[ArchivedObject]:
    """Returns the objects in the ledger, ordered by table, day and time.

    Args:
        table: label in the ledger (see `resolve_table`); None: every table.
        since, until: first and last day, both included.
        states: None: every state.
    """
    if not table_exists(connection, archive_object):
        return []
    c = archive_object.c
    wanted = select(archive_object).where(c.bucket == bucket).order_by(c.table_name, c.dt, c.min_timestamp, c.id)
    if table is not None:
        wanted = wanted.where(c.table_name == table)
    if since is not None:
        wanted = wanted.where(c.dt >= since.isoformat())
    if until is not None:
        wanted = wanted.where(c.dt <= until.isoformat())
    if states is not None:
        wanted = wanted.where(c.state.in_(states))
    return [
        ArchivedObject(
            bucket=row.bucket,
            key=row.object_key,
            table=row.table_name,
            state=row.state,
            day=row.dt,
            rows=row.row_count,
            bytes=row.byte_count,
            sha256=row.sha256,
            version_id=row.version_id,
            first=row.min_timestamp,
            last=row.max_timestamp,
            fingerprint=row.schema_fingerprint,
            run_id=row.run_id,
        )
        for row in connection.execute(wanted)
    ]


def returned_beside(connection: Connection, label: str, identities: Sequence[str]) -> int:
    """Returns the number of a table's archived objects whose rows were restored into the present table of this name.

    Such objects were restored before the present table got the name.

    Args:
        identities: identities of the present table, see `database.insertable`.
    """
    if not table_exists(connection, restored_object):
        return 0
    r = restored_object.c
    count = (
        select(func.count())
        .select_from(restored_object)
        .join(archive_object, archive_object.c.object_key == r.object_key)
        .where(r.source_table == label, r.target_id.in_(identities), ~r.into_original)
        .where(archive_object.c.state == ARCHIVED)
    )
    return int(connection.execute(count).scalar_one())


def known_tables(connection: Connection, bucket: str) -> list[str]:
    """Returns the labels of all tables with objects in this bucket, sorted."""
    if not table_exists(connection, archive_object):
        return []
    labels = select(archive_object.c.table_name).where(archive_object.c.bucket == bucket).distinct()
    return sorted(connection.execute(labels).scalars())


def resolve_table(written: str, labels: Sequence[str]) -> str | None:
    """Returns the label that a written name means: the exact name, else the name folded to lower case, as in `catalog`.

    The database need not have the table any more. A name without a schema means the table in `public`, or the only
    table of that name. Returns None if no label or several labels match.
    """
    if written in labels:
        return written
    parts = split_name(written)
    if parts is None:
        return None
    exact = tuple(part for part, _ in parts)
    folded = tuple(part if quoted else part.lower() for part, quoted in parts)
    names = {label: tuple(part for part, _ in split_name(label) or ()) for label in labels}
    for candidate in dict.fromkeys((exact, folded)):
        meant = [label for label, name in names.items() if name[-len(candidate) :] == candidate]
        if len(meant) > 1:
            meant = [label for label in meant if names[label] in (candidate, ("public", *candidate))]
        if len(meant) == 1:
            return meant[0]
    return None


SUFFIX = ".parquet"
_DAY = "/dt="


@dataclass(frozen=True, slots=True)
class VerificationScope:
    """A part of the archive.

    Attributes:
        table: the ledger's label; None: every table.
        since, until: first and last day, both included.
    """

    table: str | None = None
    since: date | None = None
    until: date | None = None

    def list_objects(self, connection: Connection, bucket: str) -> list[ArchivedObject]:
        """Returns the ledger's objects in this part of the archive, in every state."""
        return list_archived_objects(
            connection, bucket, table=self.table, since=self.since, until=self.until, states=None
        )

    def covers_key(self, key: str) -> bool:
        """Returns whether the day in an object's key lies between `since` and `until`. Without bounds, any key does."""
        if self.since is None and self.until is None:
            return True
        day = key.rpartition(_DAY)[2].partition("/")[0] if _DAY in key else ""
        after = self.since is None or day >= self.since.isoformat()
        return bool(day) and after and (self.until is None or day <= self.until.isoformat())


def scope_of(
    connection: Connection, bucket: str, table: str | None, since: date | None = None, until: date | None = None
) -> VerificationScope:
    """Returns the part of the archive for a written table name and days.

    Raises:
        NightshiftError: the ledger knows no such table in this bucket.
    """
    if table is None:
        return VerificationScope(None, since, until)
    labels = known_tables(connection, bucket)
    label = resolve_table(table, labels)
    if label is None:
        raise NightshiftError(
            "the archive knows no such table",
            detail=f"{table}; it knows: {', '.join(labels) or 'none'}",
            hint="write it as it was archived, schema included where two schemas have it",
        )
    return VerificationScope(label, since, until)


def object_directories(objects: Iterable[ArchivedObject]) -> list[str]:
    """Returns the directories `…/table=<label>` in the objects' keys. Older objects may have another prefix."""
    return sorted({archived.key.rpartition(_DAY)[0] for archived in objects})
