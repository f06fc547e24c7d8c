"""Transfers owners and grants after all other objects are restored, for a role that is no superuser.

pg_restore sets each object's owner when it creates the object. On a managed server setting the owner fails: the
restoring role is not a member of the owner, or the owner has no right to create objects in the schema yet. Since
PostgreSQL 15 `public` is closed, and grants are last in an archive. The restoring role therefore owns all objects until
they are compared, and then transfers them. During the transfer the new owners have USAGE and CREATE on the schemas.
Grants are made as the new owner (SET ROLE), and schemas are transferred last. Objects that the server refuses to
transfer are not changed, and are reported in one sentence per role.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.backup.contents import OWNERSHIP, split_sql
from nightshift.backup.schema import SchemaRestore, schema_sql
from nightshift.backup.target_environment import (
    GRANTOR,
    NAMES_SHOWN,
    STATEMENT,
    TargetEnvironment,
    member_hint,
    unquoted_name,
)
from nightshift.database.catalog import quote_identifier
from nightshift.database.connect import server_refusal, sqlstate
from nightshift.errors import join_names

_ABSENT = {"42P01", "42883", "42704", "3F000", "42703"}
"""SQLSTATEs of objects that do not exist. They were not restored, and are reported elsewhere."""
_MAY_CREATE = "SELECT has_schema_privilege(CAST(:role AS name), CAST(:schema AS text), '{privilege}')"


@dataclass(frozen=True, slots=True)
class _Gift:
    """Owner and grant statements of one entry.

    Attributes:
        owner: owner of the object; empty: the object has no owner.
        ownership: the statement that transfers the object to its owner.
        grants: pairs of a grantor (None: the owner) and a grant statement.
    """

    name: str
    kind: str
    schema: str
    owner: str
    ownership: str | None = None
    grants: tuple[tuple[str | None, str], ...] = ()


@dataclass(slots=True)
class _Refused:
    names: list[str] = field(default_factory=list)
    words: str = ""


def transfer_ownership(schema: SchemaRestore, around: TargetEnvironment) -> tuple[str, ...]:
    """Transfer restored objects to their owners, and restore their grants. Returns one sentence per refused role.

    Raises:
        PgToolError: the archive could not be read in time.
        DatabaseUnavailable, DBAPIError: the connection to the server was lost.
    """
    left_out = schema.lacking.entry_ids
    sql = schema_sql(schema.client, schema.archive, seconds=schema.seconds_left, without=left_out).decode()
    gifts = [gift for gift in _gifts(sql) if gift.grants or gift.owner != around.role]
    with schema.database.connect(autocommit=True) as connection:
        giver = _Giver(connection, around)
        schemas = [gift for gift in gifts if gift.kind == "SCHEMA" or gift.name.startswith("SCHEMA ")]
        others = [gift for gift in gifts if gift not in schemas]
        lent = giver.lend(others)
        for gift in sorted(others, key=lambda each: bool(each.grants)):
            giver.give(gift)
        for statement in lent:
            connection.exec_driver_sql(statement)
        for gift in sorted(schemas, key=lambda each: bool(each.grants)):
            giver.give(gift)
    return tuple(giver.sentences())


class _Giver:
    def __init__(self, connection: Connection, around: TargetEnvironment) -> None:
        self._connection = connection
        self._around = around
        self._refused: dict[str, _Refused] = {}

    def lend(self, gifts: list[_Gift]) -> list[str]:
        """Grant USAGE and CREATE on the schemas to the new owners. Returns the statements that revoke them."""
        undone = []
        givers = {
            (gift.schema, role) for gift in gifts for role in (gift.owner, *(grantor for grantor, _ in gift.grants))
        }
        for schema, owner in sorted((schema, role) for schema, role in givers if role in self._around.ours):
            for privilege in ("USAGE", "CREATE") if schema != "-" else ():
                with suppress(DBAPIError):
                    known = text(_MAY_CREATE.format(privilege=privilege))
                    if self._connection.execute(known, {"role": owner, "schema": schema}).scalar():
                        continue
                    what, whom = f"{privilege} ON SCHEMA {quote_identifier(schema)}", quote_identifier(owner)
                    self._connection.exec_driver_sql(f"GRANT {what} TO {whom}")
                    undone.append(f"REVOKE {what} FROM {whom}")
        return undone

    def give(self, gift: _Gift) -> None:
        """Transfer an object to its owner, and execute its grants as its owner or grantor."""
        if gift.owner and gift.owner not in self._around.ours:
            self._note(gift, "")
        elif gift.ownership and self._refusal(gift.ownership) is not None:
            # A sequence was transferred with its table. Only its new owner may repeat the statement.
            words = self._refusal(gift.ownership, as_role=gift.owner)
            if words:
                self._note(gift, words)
        for grantor, statement in gift.grants:
            as_role = next((role for role in (grantor, gift.owner) if role in self._around.ours), None)
            if words := self._refusal(statement, as_role=as_role):
                self._note(gift, words)

    def sentences(self) -> Iterator[str]:
        """Yields a sentence for each role, with the objects that could not be transferred to the role."""
        for role, refused in sorted(self._refused.items()):
            words = f" ({refused.words})" if refused.words else ""
            cure = "" if role in self._around.ours else f"; to give them: {member_hint(self._around, role)}"
            yield f"not given to role {role}{words}: {join_names(refused.names, NAMES_SHOWN)}{cure}"

    def _note(self, gift: _Gift, words: str) -> None:
        refused = self._refused.setdefault(gift.owner or self._around.role, _Refused())
        name = f"grants on {gift.name}" if gift.grants else f"{gift.kind.lower()} {gift.name}"
        refused.words = refused.words or words
        if name not in refused.names:
            refused.names.append(name)

    def _refusal(self, statement: str, *, as_role: str | None = None) -> str | None:
        """Run a statement. Returns None on success, the server's message, or "" if the object does not exist."""
        try:
            if as_role is not None:
                self._connection.exec_driver_sql(f"SET ROLE {quote_identifier(as_role)}")
            self._connection.exec_driver_sql(statement)
        except DBAPIError as exc:
            words = server_refusal(exc)
            return "" if sqlstate(exc) in _ABSENT else words
        finally:
            if as_role is not None:
                self._connection.exec_driver_sql("RESET ROLE")
        return None


def _gifts(sql: str) -> Iterator[_Gift]:
    """Yields the owner and grant statements of an archive's SQL, in its order."""
    for name, kind, schema, owner, statements in split_sql(sql):
        if kind in ("ACL", "DEFAULT ACL"):
            yield _Gift(name, kind, schema, "" if owner == "-" else owner, grants=tuple(_grants(statements)))
        elif (match := OWNERSHIP.search(statements)) is not None:
            yield _Gift(name, kind, schema, owner, ownership=match[1])


def _grants(body: str) -> Iterator[tuple[str | None, str]]:
    """Yields each grant statement with its grantor; None: the owner is the grantor."""
    grantor = None
    for statement in map(str.strip, STATEMENT.findall(body)):
        if (match := GRANTOR.match(statement)) is not None:
            grantor = unquoted_name(match[1])
        elif statement.startswith("RESET SESSION AUTHORIZATION"):
            grantor = None
        elif statement.startswith(("GRANT ", "REVOKE ", "ALTER DEFAULT PRIVILEGES ")):
            yield grantor, statement
