"""Selects the database to read rows from: a standby, or the primary. Nightshift's own tables stay on the primary.

A standby is read-only, and nightshift has to write its history and lock. So DATABASE_URL stays the primary's,
and BACKUP_REPLICA_HOST names the standby, which has the same roles and passwords. Snapshots can be exported there
(PostgreSQL manual, "Snapshot Synchronization Functions"). The backup has the transactions that the standby had replayed
by then.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightshift import secrets
from nightshift.database.connect import Database
from nightshift.errors import InvalidSettings
from nightshift.settings import Settings

_SYSTEM = "SELECT CAST(system_identifier AS text) FROM pg_control_system()"


def backup_source(settings: Settings, database: Database) -> Database:
    """Returns the database to read rows from: the standby of BACKUP_REPLICA_HOST, else the database itself.

    Raises:
        InvalidSettings: the host is none of this database's standbys.
        DatabaseUnavailable: it, or the primary, cannot be reached.
    """
    if settings.backup_replica_host is None or not database.is_postgresql:
        return database
    host, _, port = settings.backup_replica_host.partition(":")
    target = replace(database.target, host=host, port=int(port) if port else database.target.port)
    if settings.database_iam_auth:
        target = replace(target, password=lambda: secrets.rds_token(target.host, target.port, target.user or ""))
    source = Database(target, deadline=database.deadline)
    ours, theirs = _system(database), _system(source)
    if ours is not None and theirs is not None and ours != theirs:
        raise InvalidSettings(
            "BACKUP_REPLICA_HOST is no replica of DATABASE_URL's server",
            detail=f"{settings.backup_replica_host}: system identifier {theirs}, the primary's is {ours}",
            hint="name a standby of the same cluster; nothing was written",
        )
    return source


def _system(database: Database) -> str | None:
    """Returns the system identifier, which a primary shares with its standbys; None if the role may not read it."""
    with database.connect() as connection, suppress(DBAPIError):
        return str(connection.execute(text(_SYSTEM)).scalar())
    return None
