"""Resolves the databases that backups are restored to: others than the one that the service uses."""

from __future__ import annotations

from pydantic import SecretStr

from nightshift import secrets
from nightshift.database.connect import Database
from nightshift.database.url import DatabaseTarget, parse_database_url
from nightshift.errors import InvalidSettings
from nightshift.settings import Settings


def restore_target(settings: Settings) -> DatabaseTarget:
    """RESTORE_DATABASE_URL, or what the secret behind RESTORE_DATABASE_SECRET_ARN holds.

    Raises:
        InvalidSettings: it is not set, or cannot be used.
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
    target = _parsed("REHEARSE_DATABASE_URL", url, settings)
    return Database(target, deadline=database.deadline)


def _parsed(name: str, url: SecretStr, settings: Settings) -> DatabaseTarget:
    try:
        return parse_database_url(url.get_secret_value(), connect_timeout=settings.database_connect_timeout)
    except InvalidSettings as exc:
        detail = (exc.detail or "").replace("DATABASE_URL", name)
        raise InvalidSettings(f"{name} is not usable", detail=detail, hint=exc.hint) from None
