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
"""Makes one more empty database, and drops it at the end."""


class RestoreBackupRequest(BaseModel):
    """The event's keys of `restore_backup`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backup: str = Field(min_length=1, max_length=200)
    """Its name, e.g. `backup_2025_10_21_0000`; or `newest`: the newest good one."""
    table: str | None = Field(None, min_length=1, max_length=255)
    """This table alone: `schema.table`."""
    owners: StrictBool = True
    """Owners and grants too, where their roles exist."""
    into_existing: StrictBool = False
    """The database need not be empty; refused where it has anything that the backup would make."""


class RehearseRequest(BaseModel):
    """The event's keys of `rehearse`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backup: str | None = Field(None, min_length=1, max_length=200)
    """Its name; none: the newest good one."""


RestoreListener = Callable[[str, int], None]
"""Called by a worker's thread when rows are committed: the table's label, and how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """Options of a restore.

    Attributes:
        workers: connections that move rows, or build indexes, at once.
        owners: owners and grants too; their roles must exist.
        client: directory with pg_dump and pg_restore; None: wherever they are found.
        into_existing: the database need not be empty, if it has nothing of what the backup makes.
        another: a rehearsal's, which asks with it what is PostgreSQL's own doing (`schema_diff`).
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
    """What a restore found, a sentence each; see the fields of `RestoredBackup`."""

    differences: list[str] = field(default_factory=list)
    environment: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    but_for: list[str] = field(default_factory=list)
