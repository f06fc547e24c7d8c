"""Selects a part of the archive: a table as people write it, and a span of days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from nightshift.archive.inventory import ArchivedObject, known_tables, list_archived_objects, resolve_table
from nightshift.errors import NightshiftError

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
        """The ledger's rows of this part, whatever their state."""
        return list_archived_objects(
            connection, bucket, table=self.table, since=self.since, until=self.until, states=None
        )

    def covers_key(self, key: str) -> bool:
        """Returns whether an object's key names a day of this part; without bounds, any key does."""
        if self.since is None and self.until is None:
            return True
        day = key.rpartition(_DAY)[2].partition("/")[0] if _DAY in key else ""
        after = self.since is None or day >= self.since.isoformat()
        return bool(day) and after and (self.until is None or day <= self.until.isoformat())


def scope_of(
    connection: Connection, bucket: str, table: str | None, since: date | None = None, until: date | None = None
) -> VerificationScope:
    """Find the table that a written name means.

    Raises:
        NightshiftError: the ledger knows no such table in this bucket.
    """
    if table is None:
        return VerificationScope(None, since, until)
    labels = known_tables(connection, bucket)
    label = table if table in labels else resolve_table(table, labels)
    if label is None:
        raise NightshiftError(
            "the archive knows no such table",
            detail=f"{table}; it knows: {', '.join(labels) or 'none'}",
            hint="write it as it was archived, schema included where two schemas have it",
        )
    return VerificationScope(label, since, until)


def object_directories(objects: Iterable[ArchivedObject]) -> list[str]:
    """The `…/table=<label>` under which objects lie, read off their keys: the prefix may have been another one once."""
    return sorted({one.key.rpartition(_DAY)[0] for one in objects})
