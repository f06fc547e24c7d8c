"""Event keys of `restore_backup` and `rehearse`, the options of a restore, and its findings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, StrictBool

if TYPE_CHECKING:
    from nightshift.database.connect import Database

NEWEST = "newest"

ScratchDatabaseFactory = Callable[[], AbstractContextManager["Database"]]
"""Creates one more empty database, and drops it at the end of the context."""


class RestoreBackupRequest(BaseModel):
    """The event's keys of `restore_backup`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backup: str = Field(min_length=1, max_length=200)
    """Name of the backup, e.g. `backup_2025_10_21_0000`; or `newest`: the newest good backup."""
    table: str | None = Field(None, min_length=1, max_length=255)
    """Restore only this table: `schema.table`."""
    owners: StrictBool = True
    """Restore owners and grants as well, if their roles exist."""
    into_existing: StrictBool = False
    """The database need not be empty. The restore is refused if the database has an object of the backup."""


class RehearseRequest(BaseModel):
    """The event's keys of `rehearse`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backup: str | None = Field(None, min_length=1, max_length=200)
    """Name of the backup; None: the newest good backup."""


RestoreListener = Callable[[str, int], None]
"""Called by a worker's thread when rows are committed, with the table's label and the number of rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """Options of a restore.

    Attributes:
        workers: number of connections that load rows or build indexes at once.
        owners: restore owners and grants as well, if their roles exist.
        client: directory with pg_dump and pg_restore; None: `find_pg_tools` searches them.
        into_existing: the database need not be empty, but must have no object of the backup.
        another: creates a second database in a rehearsal, to compare definitions (`schema_diff`); else None.
    """

    workers: int = 2
    owners: bool = True
    client: str | None = None
    dry_run: bool = False
    into_existing: bool = False
    listener: RestoreListener = lambda _label, _rows: None
    another: ScratchDatabaseFactory | None = None


@dataclass(slots=True)
class RestoreFindings:
    """Findings of a restore, one sentence each; see the fields of `RestoredBackup`."""

    differences: list[str] = field(default_factory=list)
    environment: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    but_for: list[str] = field(default_factory=list)
