"""Event keys of `restore_backup` and `rehearse`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, StrictBool

NEWEST = "newest"


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
