"""Creates the role that a rehearsal logs in as: it owns the scratch databases, and has no rights elsewhere.

A restore runs code of everybody who could create a table in the saved database: functions in checks, indexes,
generated columns and views. With our rights it could change our password. SET ROLE would not stop it, because the code
can RESET it; a login of its own does. Its password is for this run alone, and the server's log never has it: only the
SCRAM verifier is sent. A rehearsal that was killed leaves its role behind; the next one drops it.

If no such role can be created the rehearsal is refused, unless it takes place on another server, under a role without
rights on this one, or REHEARSE_WITH_OWN_RIGHTS accepts it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.database.connect import Database, server_message, sqlstate
from nightshift.errors import DatabaseUnavailable, NightshiftError
from nightshift.results.common import GuardRefusal

PREFIX = "nightshift_scratch_"
_NAME = f"^{PREFIX}[0-9a-f]{{32}}$"
_MEMBERSHIP_OPTIONS = 160_000
"""The first version in which a membership says whether privileges are inherited, and whether SET ROLE is allowed."""
INSUFFICIENT_PRIVILEGE = "42501"
_LONGEST_S, _MARGIN_S = 86_400.0, 600.0

_WHO = """
SELECT r.rolname, r.rolsuper, r.rolsuper OR r.rolcreaterole AS may_create_roles,
       r.rolsuper OR r.rolcreatedb AS createdb,
       NOT (r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls
            OR EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid)) AS powerless,
       pg_postmaster_start_time() AS started, CAST(current_setting('server_version_num') AS int) AS version
FROM pg_roles r WHERE r.rolname = current_user
"""

_LEFTOVERS = """
SELECT rolname FROM pg_roles r
WHERE rolname ~ :name AND (rolvaliduntil < now() OR rolname = ANY (CAST(:known AS text[])))
  AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.usename = r.rolname)
  AND NOT EXISTS (SELECT 1 FROM pg_database d WHERE d.datdba = r.oid)
"""


@dataclass(frozen=True, slots=True)
class ScratchLogin:
    """A role and its password."""

    user: str
    password: str = field(repr=False)


def needs_role(server: Database, production: Database, *, accepted: bool) -> bool | GuardRefusal:
    """Returns whether a rehearsal on `server` needs a role of its own; a refusal if it does, and none can be created.

    Args:
        production: the database whose backups these are.
        accepted: REHEARSE_WITH_OWN_RIGHTS.
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
def scratch_role(
    server: Database, run_id: str, *, connections: int, warn: Callable[[str], None]
) -> Iterator[ScratchLogin]:
    """A role without rights, for as long as the context lasts.

    Args:
        connections: how many it may have at once.
        warn: told where it could not be dropped.

    Raises:
        NightshiftError: it cannot be made.
    """
    login = ScratchLogin(PREFIX + run_id, secrets.token_urlsafe(32))
    try:
        _create(server, login, connections)
        yield login
    finally:
        if (words := _drop(server, login.user)) is not None:
            warn(f"the rehearsal's role {login.user} could not be dropped: {words}; the next rehearsal tries again")


def drop_leftover_roles(connection: Connection, known: frozenset[str]) -> None:
    """Drop roles of rehearsals that were killed: those whose time is over, and those that are known to be left."""
    for name in list(connection.execute(text(_LEFTOVERS), {"name": _NAME, "known": sorted(known)}).scalars()):
        with suppress(DBAPIError):  # not ours to drop
            connection.exec_driver_sql(f"DROP ROLE {quote_identifier(name)}")


def _create(server: Database, login: ScratchLogin, connections: int) -> None:
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
                options = " WITH INHERIT TRUE, SET TRUE" if me.version >= _MEMBERSHIP_OPTIONS else ""
                connection.exec_driver_sql(f"GRANT {role} TO {quote_identifier(me.rolname)}{options}")
        except DBAPIError as exc:
            hint = "nightshift's role has to be allowed to make roles with a password, or set REHEARSE_DATABASE_URL"
            raise NightshiftError(
                "a role for the rehearsal could not be made",
                detail=server_message(exc),
                hint=f"{hint} to another server" if sqlstate(exc) == INSUFFICIENT_PRIVILEGE else None,
            ) from exc


def _drop(server: Database, name: str) -> str | None:
    """Drop it; the refusal's words where it stays."""
    try:
        with server.connect(autocommit=True) as connection:
            connection.exec_driver_sql(f"DROP ROLE IF EXISTS {quote_identifier(name)}")
    except (DBAPIError, DatabaseUnavailable) as exc:
        return exc.detail or exc.message if isinstance(exc, DatabaseUnavailable) else server_message(exc)
    return None


def _verifier(password: str, iterations: int = 4096) -> str:
    """A password as the server keeps it (RFC 5803), so that it need not be sent."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    served = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, served64 = (base64.b64encode(part).decode() for part in (salt, stored, served))
    return f"SCRAM-SHA-256${iterations}:{salt64}${stored64}:{served64}"
