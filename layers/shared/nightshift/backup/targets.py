"""Resolves the databases and the bucket of backups from the settings.

Backups are restored to other databases than the one that the service uses. They may be read from a standby.

A standby is read-only, and nightshift has to write its history and lock. So DATABASE_URL stays the primary's,
and BACKUP_REPLICA_HOST names the standby, which has the same roles and passwords. Snapshots can be exported there
(PostgreSQL manual, "Snapshot Synchronization Functions"). The backup has the transactions that the standby had replayed
by then.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightshift import secrets
from nightshift.database.connect import Database
from nightshift.database.url import DatabaseTarget, parse_database_url
from nightshift.errors import InvalidSettings
from nightshift.settings import Settings
from nightshift.store import ObjectStore

if TYPE_CHECKING:
    from nightshift.run_services import RunServices

_SYSTEM = "SELECT CAST(system_identifier AS text) FROM pg_control_system()"


def restore_target(settings: Settings) -> DatabaseTarget:
    """Returns the target in RESTORE_DATABASE_URL, or in the secret RESTORE_DATABASE_SECRET_ARN.

    Raises:
        InvalidSettings: the setting is missing, or cannot be used.
        SecretUnavailable: the secret cannot be read.
    """
    url = secrets.restore_database_url(settings)
    if url is None:
        raise InvalidSettings(
            "settings are not usable",
            detail="RESTORE_DATABASE_URL: is not set",
            hint="name the empty database that is to be filled; it is never DATABASE_URL by itself",
        )
    return _parsed("RESTORE_DATABASE_URL", url, settings)


def rehearsal_database(settings: Settings, database: Database) -> Database:
    """The server of REHEARSE_DATABASE_URL or its secret, else the one of `database`; with its deadline.

    Raises:
        InvalidSettings: it cannot be used.
        SecretUnavailable: the secret cannot be read.
    """
    url = secrets.rehearse_database_url(settings)
    if url is None:
        return Database(database.target, deadline=database.deadline)
    return Database(_parsed("REHEARSE_DATABASE_URL", url, settings), deadline=database.deadline)


def _parsed(name: str, url: SecretStr, settings: Settings) -> DatabaseTarget:
    try:
        return parse_database_url(url.get_secret_value(), connect_timeout=settings.database_connect_timeout)
    except InvalidSettings as exc:
        detail = (exc.detail or "").replace("DATABASE_URL", name)
        raise InvalidSettings(f"{name} is not usable", detail=detail, hint=exc.hint) from None


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


def open_backup_store(services: RunServices) -> ObjectStore:
    """Returns the store for the bucket of the backups: BACKUP_BUCKET, else ARCHIVE_BUCKET.

    Raises:
        InvalidSettings: neither setting is set.
    """
    settings = services.settings
    bucket = settings.backup_bucket or settings.archive_bucket
    if bucket is None:
        raise InvalidSettings(
            "settings are not usable",
            detail="BACKUP_BUCKET: is not set, nor is ARCHIVE_BUCKET",
            hint="name the bucket that backups go to; nothing was read or written",
        )
    # In the archive's own bucket the archive's key serves both.
    key = settings.backup_kms_key or (settings.archive_kms_key if bucket == settings.archive_bucket else None)
    return ObjectStore(services.s3_client, bucket, key, settings.archive_proof)
