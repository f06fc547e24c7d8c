"""A database for one rehearsal: made, used, dropped on every way out.

It holds a copy of everything, so nobody but its owner may connect to it. A rehearsal that was killed leaves its own
behind; the next one drops it. Which those are, the server tells: a rehearsal that lives has a connection there from
beginning to end, and DROP DATABASE without FORCE leaves a database alone that has any.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.database.connect import Database, reason, sqlstate
from nightshift.errors import NightshiftError

PREFIX = "nightshift_rehearsal_"
_NAME = f"^{PREFIX}[0-9a-f]{{32}}$"
"""Regular expression of the names that are given here: whatever else begins so is somebody's own."""

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
SELECT d.datname FROM pg_database d
WHERE d.datname ~ :name AND pg_has_role(d.datdba, 'USAGE')
  AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datid = d.oid)
ORDER BY 1
"""


@contextmanager
def scratch_database(server: Database, run_id: str) -> Iterator[Database]:
    """A new, empty database on the server, with the encoding and collation of the one that `server` is connected to.

    Raises:
        NightshiftError: it cannot be made; or, where nothing else went wrong, it could not be dropped.
    """
    name = PREFIX + run_id
    target = replace(server.target, database=name)
    database = Database(target, deadline=server.deadline - RESERVE_S)
    try:
        _create(server, name)
        with database.connect(autocommit=True):  # that others see that it is in use
            yield database
        database.close()
    except BaseException:
        database.close()
        with suppress(NightshiftError, DBAPIError, OSError):
            _drop(server, name)
        raise
    _drop(server, name)


def drop_leftovers(server: Database) -> tuple[str, ...]:
    """Drop what rehearsals that were killed have left; returns the names."""
    dropped = []
    with server.connect(autocommit=True) as connection:
        for name in list(connection.execute(text(_LEFTOVERS), {"name": _NAME}).scalars()):
            with suppress(DBAPIError):  # somebody has connected meanwhile, or dropped it
                connection.exec_driver_sql(f"DROP DATABASE {quote_identifier(name)}")
                dropped.append(str(name))
    return tuple(dropped)


def _create(server: Database, name: str) -> None:
    with server.connect(autocommit=True) as connection:
        like = connection.execute(text(_LOCALE)).one()
        options = [
            f"ENCODING {quote_literal(like.encoding)}",
            f"LC_COLLATE {quote_literal(like.datcollate)} LC_CTYPE {quote_literal(like.datctype)}",
        ]
        if like.provider == "i":
            options.append(f"LOCALE_PROVIDER icu ICU_LOCALE {quote_literal(like.locale)}")
            options += [f"ICU_RULES {quote_literal(like.rules)}"] if like.rules else []
        elif like.provider == "b":
            options.append(f"LOCALE_PROVIDER builtin BUILTIN_LOCALE {quote_literal(like.locale)}")
        statement = f"CREATE DATABASE {quote_identifier(name)} TEMPLATE template0 {' '.join(options)}"
        try:
            connection.exec_driver_sql(statement)
            connection.exec_driver_sql(f"REVOKE ALL ON DATABASE {quote_identifier(name)} FROM PUBLIC")
        except DBAPIError as exc:
            hint = "ALTER ROLE … CREATEDB for nightshift's role, or set REHEARSE_DATABASE_URL to another server"
            raise NightshiftError(
                "a database for the rehearsal could not be made",
                detail=reason(exc),
                hint=hint if sqlstate(exc) == _DENIED else None,
            ) from exc


def _drop(server: Database, name: str) -> None:
    try:
        with server.connect(autocommit=True) as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quote_identifier(name)} WITH (FORCE)")
    except DBAPIError as exc:
        raise NightshiftError(
            "the rehearsal's database could not be dropped",
            detail=f"{name}: {reason(exc)}",
            hint="it holds a copy of everything; the next rehearsal tries again, or DROP DATABASE by hand",
        ) from exc
