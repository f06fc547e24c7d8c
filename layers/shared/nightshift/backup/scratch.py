"""Creates a database and a role for one rehearsal, and drops them however the rehearsal ends.

The database holds a copy of all rows, so only its owner may ever connect to it. It is created without the right to
connect, and opened after PUBLIC's privileges are revoked. A killed rehearsal leaves its database, and the next
rehearsal drops the database. A running rehearsal keeps a connection to its database, and DROP DATABASE without FORCE
refuses a database with connections, so the database of a running rehearsal is never dropped.

DROP DATABASE … WITH (FORCE) refuses a role that is no superuser where it meets an autovacuum worker, which belongs to
one; DROP DATABASE alone ends such workers itself and waits up to 5 s for others (PostgreSQL, `procarray.c`:
`TerminateOtherDBBackends`, `CountOtherDBBackends`). So both are tried in turn. A database that cannot be dropped is a
warning: the proof remains valid.

A restore runs code of everybody who could create a table in the saved database: functions in checks, indexes,
generated columns and views. With the rights of nightshift's role the code could change the role's password. SET ROLE
would not prevent the change, because the code can run RESET ROLE. A rehearsal therefore logs in as a separate role,
which owns the scratch databases and has no other rights. The role's password is valid for one run, and never in the
server's log: only the SCRAM verifier is sent. A killed rehearsal leaves its role, and the next rehearsal drops it.

If the role cannot be created, the rehearsal is refused, unless it runs on another server, or as a role without rights
on this server, or REHEARSE_WITH_OWN_RIGHTS is set.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightshift.backup.database_settings import creation_options, properties_of
from nightshift.backup.target_environment import MEMBERSHIP_OPTIONS
from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.database.connect import INSUFFICIENT_PRIVILEGE, Database, server_message, sqlstate
from nightshift.errors import DatabaseUnavailable, NightshiftError
from nightshift.results.common import GuardRefusal

DATABASE_PREFIX, ROLE_PREFIX = "nightshift_rehearsal_", "nightshift_scratch_"
_NAME = "^{prefix}[0-9a-f]{{32}}$"
"""Regular expression of the names of scratch databases and roles. Other names with the prefix are not nightshift's."""

_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 1.0, 2.0, 2.0)
_WAYS = (" WITH (FORCE)", "")

RESERVE_S = 10.0
"""Seconds of the run's time that are kept for dropping the database."""
_LONGEST_S, _MARGIN_S = 86_400.0, 600.0
"""Of a role's password: how long it is valid at the most, and beyond the run's time."""

_STALE_DATABASES = """
SELECT d.datname, pg_get_userbyid(d.datdba) AS owner FROM pg_database d
WHERE d.datname ~ :name AND pg_has_role(d.datdba, 'USAGE')
  AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL) -- not autovacuum
ORDER BY 1
"""

_STALE_ROLES = """
SELECT rolname FROM pg_roles r
WHERE rolname ~ :name AND (rolvaliduntil < now() OR rolname = ANY (CAST(:known AS text[])))
  AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.usename = r.rolname)
  AND NOT EXISTS (SELECT 1 FROM pg_database d WHERE d.datdba = r.oid)
"""

_WHO = """
SELECT r.rolname, r.rolsuper, r.rolsuper OR r.rolcreaterole AS may_create_roles,
       r.rolsuper OR r.rolcreatedb AS createdb,
       NOT (r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls
            OR EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid)) AS powerless,
       pg_postmaster_start_time() AS started, CAST(current_setting('server_version_num') AS int) AS version
FROM pg_roles r WHERE r.rolname = current_user
"""

Warn = Callable[[str], None]
"""Takes a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class ScratchLogin:
    """A role and its password."""

    user: str
    password: str = field(repr=False)


@contextmanager
def scratch_database(
    server: Database,
    run_id: str,
    *,
    warn: Warn,
    encoding: str | None = None,
    login: ScratchLogin | None = None,
    prepare: Callable[[Database], None] | None = None,
) -> Iterator[Database]:
    """Yields a new, empty database with the encoding and collation of `server`'s database. Drops it at the end.

    Args:
        encoding: the database's encoding. If it differs from `server`'s encoding, the collation is C.
        login: owner of the database, who connects to it; None: the role of `server`.
        prepare: called with the database, connected as the role of `server`, before the login connects.

    Raises:
        NightshiftError: the database cannot be created, or the login is refused.
    """
    name = DATABASE_PREFIX + run_id
    ours = replace(server.target, database=name)
    target = ours if login is None else replace(ours, user=login.user, password=lambda: login.password)
    database = Database(target, deadline=server.deadline - RESERVE_S)
    try:
        _create_database(server, name, login, encoding)
        if prepare is not None:
            with closing(Database(ours, deadline=database.deadline)) as empty:
                prepare(empty)
        with ExitStack() as held:
            # A connection there, by which others see that it is in use.
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
            yield database
    finally:
        database.close()
        if (words := _drop_database(server, name)) is not None:
            warn(
                f"the rehearsal's database {name}, a copy of everything, could not be dropped: {words}; the next"
                " rehearsal tries again"
            )


def drop_stale_databases(server: Database) -> tuple[str, ...]:
    """Drops databases and roles of rehearsals that were killed; returns the databases' names."""
    dropped: dict[str, str] = {}
    with server.connect(autocommit=True) as connection:
        wanted = {"name": _NAME.format(prefix=DATABASE_PREFIX)}
        for name, owner in list(connection.execute(text(_STALE_DATABASES), wanted)):
            with suppress(DBAPIError):  # somebody has connected meanwhile, or dropped it
                connection.exec_driver_sql(f"DROP DATABASE {quote_identifier(name)}")
                dropped[name] = owner
        known = {"name": _NAME.format(prefix=ROLE_PREFIX), "known": sorted(set(dropped.values()))}
        for name in list(connection.execute(text(_STALE_ROLES), known).scalars()):
            with suppress(DBAPIError):  # not ours to drop
                connection.exec_driver_sql(f"DROP ROLE {quote_identifier(name)}")
    return tuple(dropped)


def _create_database(server: Database, name: str, login: ScratchLogin | None, encoding: str | None) -> None:
    with server.connect(autocommit=True) as connection:
        like = properties_of(connection)
        locale = f"ENCODING {quote_literal(str(encoding))} LC_COLLATE 'C' LC_CTYPE 'C'"
        locale = creation_options(like) if encoding in (None, like.encoding) else locale
        owner = f" OWNER {quote_identifier(login.user)}" if login else ""
        database = f"DATABASE {quote_identifier(name)}"
        try:
            connection.exec_driver_sql(f"CREATE {database} TEMPLATE template0 {locale} ALLOW_CONNECTIONS false{owner}")
            connection.exec_driver_sql(f"REVOKE ALL ON {database} FROM PUBLIC")
            connection.exec_driver_sql(f"ALTER {database} ALLOW_CONNECTIONS true")
        except DBAPIError as exc:
            hint = "ALTER ROLE … CREATEDB for nightshift's role, or set REHEARSE_DATABASE_URL to another server"
            raise NightshiftError(
                "a database for the rehearsal could not be made",
                detail=server_message(exc),
                hint=hint if sqlstate(exc) == INSUFFICIENT_PRIVILEGE else None,
            ) from exc


def _drop_database(server: Database, name: str) -> str | None:
    """Drop a database. Returns None, or the server's last message if the database could not be dropped."""
    words = None
    for pause in (*_PAUSES_S, None):
        for way in _WAYS:
            words = _refused(server, f"DROP DATABASE IF EXISTS {quote_identifier(name)}{way}")
            if words is None:
                return None
        if pause is not None:
            time.sleep(pause)
    return words


def _refused(server: Database, statement: str) -> str | None:
    """Run a statement. Returns None, or the message if the statement was refused."""
    try:
        with server.connect(autocommit=True) as connection:
            connection.exec_driver_sql(statement)
    except DatabaseUnavailable as exc:
        return exc.detail or exc.message
    except DBAPIError as exc:
        return server_message(exc)
    return None


def needs_role(server: Database, production: Database, *, accepted: bool) -> bool | GuardRefusal:
    """Returns whether a rehearsal on `server` needs a role of its own; a refusal if it does, and none can be created.

    REHEARSE_WITH_OWN_RIGHTS (`accepted`) does without.
    """
    if accepted:
        return False
    with server.connect() as connection:
        here = connection.execute(text(_WHO)).one()
    with production.connect() as connection:
        there = connection.execute(text(_WHO)).one()
    if here.started != there.started or (here.rolname != there.rolname and here.powerless):
        return False
    if here.may_create_roles:
        return True
    role = quote_identifier(here.rolname)
    missing = "CREATEROLE" if here.createdb else "CREATEROLE CREATEDB"
    return GuardRefusal(
        guard="own_rights",
        message=f"code in the backup would run with the rights of {here.rolname} on the server that it protects",
        hint=f"ALTER ROLE {role} {missing}, for a role without rights to be made for each rehearsal; or set"
        " REHEARSE_DATABASE_URL to another server, or to a role of this one made by CREATE ROLE … LOGIN CREATEDB;"
        " REHEARSE_WITH_OWN_RIGHTS=on accepts it",
    )


@contextmanager
def scratch_role(server: Database, run_id: str, *, connections: int, warn: Warn) -> Iterator[ScratchLogin]:
    """Yields the login of a new role without rights and with a connection limit. Drops the role at the end.

    Raises:
        NightshiftError: the role cannot be created.
    """
    login = ScratchLogin(ROLE_PREFIX + run_id, secrets.token_urlsafe(32))
    try:
        _create_role(server, login, connections)
        yield login
    finally:
        if (words := _refused(server, f"DROP ROLE IF EXISTS {quote_identifier(login.user)}")) is not None:
            warn(f"the rehearsal's role {login.user} could not be dropped: {words}; the next rehearsal tries again")


def _create_role(server: Database, login: ScratchLogin, connections: int) -> None:
    role = quote_identifier(login.user)
    seconds = min(server.deadline - time.monotonic(), _LONGEST_S) + _MARGIN_S
    with server.connect(autocommit=True) as connection:
        me = connection.execute(text(_WHO)).one()
        until = connection.execute(text(f"SELECT CAST(now() + interval '{seconds:.0f} s' AS text)")).scalar()
        try:
            connection.exec_driver_sql(
                f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
                f" CONNECTION LIMIT {connections} VALID UNTIL {quote_literal(str(until))}"
                f" PASSWORD {quote_literal(_verifier(login.password))}"
            )
            if not me.rolsuper:  # to give it a database, and to drop that again
                options = " WITH INHERIT TRUE, SET TRUE" if me.version >= MEMBERSHIP_OPTIONS else ""
                connection.exec_driver_sql(f"GRANT {role} TO {quote_identifier(me.rolname)}{options}")
        except DBAPIError as exc:
            hint = "nightshift's role has to be allowed to make roles with a password, or set REHEARSE_DATABASE_URL"
            raise NightshiftError(
                "a role for the rehearsal could not be made",
                detail=server_message(exc),
                hint=f"{hint} to another server" if sqlstate(exc) == INSUFFICIENT_PRIVILEGE else None,
            ) from exc


def _verifier(password: str, iterations: int = 4096) -> str:
    """Returns the SCRAM verifier of a password (RFC 5803), so that the password itself is not sent."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    served = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, served64 = (base64.b64encode(part).decode() for part in (salt, stored, served))
    return f"SCRAM-SHA-256${iterations}:{salt64}${stored64}:{served64}"
