"""Creates a database for one rehearsal, and drops it however the rehearsal ends.

It holds a copy of everything, so only its owner may connect to it, from its first moment: it is created closed, and
opened once the public's privileges are revoked. A rehearsal that was killed leaves its database behind; the next one
drops it. The server knows which databases these are: a running rehearsal has a connection to its database from
beginning to end, and DROP DATABASE without FORCE refuses a database that has any.

DROP DATABASE … WITH (FORCE) refuses a role that is no superuser where it meets an autovacuum worker, which belongs to
one; DROP DATABASE alone ends such workers itself and waits up to 5 s for others (PostgreSQL, `procarray.c`:
`TerminateOtherDBBackends`, `CountOtherDBBackends`). So both are tried in turn. A database that cannot be dropped is a
warning: the proof remains valid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightshift.backup.scratch_role import ScratchLogin, drop_leftover_roles
from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.database.connect import Database, server_message, sqlstate
from nightshift.errors import DatabaseUnavailable, NightshiftError

PREFIX = "nightshift_rehearsal_"
_NAME = f"^{PREFIX}[0-9a-f]{{32}}$"
"""Regular expression of the names that are given here: whatever else begins so is somebody's own."""

_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 1.0, 2.0, 2.0)
_WAYS = (" WITH (FORCE)", "")

RESERVE_S = 10.0
"""Seconds of the run's time that are kept for dropping it."""

_DENIED = "42501"

# Columns of pg_database that some versions have not are asked for through JSON.
_LOCALE = """
SELECT pg_encoding_to_char(d.encoding) AS encoding, d.datcollate, d.datctype,
       to_jsonb(d) ->> 'datlocprovider' AS provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
       to_jsonb(d) ->> 'daticurules' AS rules
FROM pg_database d WHERE d.datname = current_database()
"""

_LEFTOVERS = """
SELECT d.datname, pg_get_userbyid(d.datdba) AS owner FROM pg_database d
WHERE d.datname ~ :name AND pg_has_role(d.datdba, 'USAGE')
  AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL) -- not autovacuum
ORDER BY 1
"""


Prepare = Callable[[Database], None]
Warn = Callable[[str], None]
"""Takes a sentence for the operator."""


def _as_it_is(_database: Database) -> None:
    """The preparation of those who need none."""


@contextmanager
def scratch_database(
    server: Database,
    run_id: str,
    *,
    warn: Warn,
    encoding: str | None = None,
    login: ScratchLogin | None = None,
    prepare: Prepare = _as_it_is,
) -> Iterator[Database]:
    """A new, empty database on the server, with the encoding and collation of the one that `server` is connected to.

    Args:
        warn: told where it could not be dropped.
        encoding: the one to have; where that is another, the collation is C, which goes with each.
        login: who owns it, and connects to it; None: the role of `server`.
        prepare: called with the database as the role of `server` sees it, before anybody else does.

    Raises:
        NightshiftError: it cannot be made, or the login is refused.
    """
    name = PREFIX + run_id
    ours = replace(server.target, database=name)
    target = ours if login is None else replace(ours, user=login.user, password=lambda: login.password)
    database = Database(target, deadline=server.deadline - RESERVE_S)
    try:
        _create(server, name, login, encoding)
        with closing(Database(ours, deadline=database.deadline)) as empty:
            prepare(empty)
        with _in_use(database, login):
            yield database
    finally:
        database.close()
        if (words := _drop(server, name)) is not None:
            warn(
                f"the rehearsal's database {name}, a copy of everything, could not be dropped: {words}; the next"
                " rehearsal tries again"
            )


def drop_stale_databases(server: Database) -> tuple[str, ...]:
    """Drops databases of rehearsals that were killed; returns the names."""
    dropped: dict[str, str] = {}
    with server.connect(autocommit=True) as connection:
        for name, owner in list(connection.execute(text(_LEFTOVERS), {"name": _NAME})):
            with suppress(DBAPIError):  # somebody has connected meanwhile, or dropped it
                connection.exec_driver_sql(f"DROP DATABASE {quote_identifier(name)}")
                dropped[name] = owner
        drop_leftover_roles(connection, frozenset(dropped.values()))
    return tuple(dropped)


@contextmanager
def _in_use(database: Database, login: ScratchLogin | None) -> Iterator[None]:
    """Have a connection there, by which others see that it is in use."""
    with ExitStack() as held:
        try:
            held.enter_context(database.connect(autocommit=True))
        except DatabaseUnavailable as exc:
            if login is None:
                raise
            raise NightshiftError(
                "the rehearsal's role cannot log in",
                detail=exc.detail,
                hint="pg_hba.conf has to let roles nightshift_scratch_… in by password, and no pooler may stand in"
                " between; or set REHEARSE_DATABASE_URL to another server",
            ) from exc
        yield


def _create(server: Database, name: str, login: ScratchLogin | None, encoding: str | None) -> None:
    with server.connect(autocommit=True) as connection:
        like = connection.execute(text(_LOCALE)).one()
        options = _locale(like, encoding)
        options += ["ALLOW_CONNECTIONS false", *([f"OWNER {quote_identifier(login.user)}"] if login else [])]
        database = f"DATABASE {quote_identifier(name)}"
        try:
            connection.exec_driver_sql(f"CREATE {database} TEMPLATE template0 {' '.join(options)}")
            connection.exec_driver_sql(f"REVOKE ALL ON {database} FROM PUBLIC")
            connection.exec_driver_sql(f"ALTER {database} ALLOW_CONNECTIONS true")
        except DBAPIError as exc:
            hint = "ALTER ROLE … CREATEDB for nightshift's role, or set REHEARSE_DATABASE_URL to another server"
            raise NightshiftError(
                "a database for the rehearsal could not be made",
                detail=server_message(exc),
                hint=hint if sqlstate(exc) == _DENIED else None,
            ) from exc


def _locale(like: Any, encoding: str | None) -> list[str]:
    """Options for CREATE DATABASE: the encoding and collation of a row of `_LOCALE`, or another encoding."""
    if encoding not in (None, like.encoding):
        return [f"ENCODING {quote_literal(str(encoding))}", "LC_COLLATE 'C' LC_CTYPE 'C'"]
    options = [
        f"ENCODING {quote_literal(like.encoding)}",
        f"LC_COLLATE {quote_literal(like.datcollate)} LC_CTYPE {quote_literal(like.datctype)}",
    ]
    if like.provider == "i":
        options.append(f"LOCALE_PROVIDER icu ICU_LOCALE {quote_literal(like.locale)}")
        options += [f"ICU_RULES {quote_literal(like.rules)}"] if like.rules else []
    elif like.provider == "b":
        options.append(f"LOCALE_PROVIDER builtin BUILTIN_LOCALE {quote_literal(like.locale)}")
    return options


def _drop(server: Database, name: str) -> str | None:
    """Drop it; the last refusal's words where it stays."""
    words = None
    for pause in (*_PAUSES_S, None):
        for way in _WAYS:
            try:
                with server.connect(autocommit=True) as connection:
                    connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quote_identifier(name)}{way}")
                return None
            except (DBAPIError, DatabaseUnavailable) as exc:
                words = exc.detail or exc.message if isinstance(exc, DatabaseUnavailable) else server_message(exc)
        if pause is not None:
            time.sleep(pause)
    return words
