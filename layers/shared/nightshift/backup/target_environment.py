"""Reads the roles and tablespaces of a server, and edits a pg_dump archive to fit them.

An archive names objects of its own server: owners, roles in grants, policies, default privileges and user mappings, and
tablespaces. If one of them is missing, pg_restore fails object by object: a table for its tablespace, all grants on an
object for one role of them. So the statements are edited before: statements that name a missing role are left out, and
objects of an unusable tablespace are created in the database's own. Each role and each tablespace is one sentence for
the report.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from nightshift.backup.contents import ArchiveEntry, read_entries, rewrite_entries
from nightshift.database.catalog import quote_identifier
from nightshift.errors import join_names

MEMBERSHIP_OPTIONS = 160_000
"""The first version in which a membership says whether privileges are inherited, and whether SET ROLE is allowed."""

_WHO = """
SELECT current_user AS role, rolsuper, CAST(current_setting('server_version_num') AS int) AS version,
       pg_encoding_to_char(encoding) AS encoding
FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()
"""
_ROLES = "SELECT rolname, rolsuper, pg_has_role(oid, '{privilege}') AS ours FROM pg_roles"
_TABLESPACES = """
SELECT spcname FROM pg_tablespace s WHERE has_tablespace_privilege(s.oid, 'CREATE')
  OR s.oid = (SELECT dattablespace FROM pg_database WHERE datname = current_database())
"""

_NAME = r'(?:"(?:[^"]|"")+"|[^\s"\',;()]+)'
STATEMENT = re.compile(r"""(?:[^;"']|"(?:[^"]|"")*"|'(?:[^']|'')*')+;\s*""")
_GRANTEE = re.compile(rf" (?:TO|FROM) ({_NAME})(?: WITH GRANT OPTION)?;\s*\Z")
GRANTOR = re.compile(rf"^SET SESSION AUTHORIZATION ({_NAME});\s*\Z")
_OF_ROLE = re.compile(rf"^ALTER DEFAULT PRIVILEGES FOR ROLE ({_NAME}) ")
_POLICY = re.compile(
    rf"^(CREATE POLICY {_NAME} ON (?:{_NAME}\.)?{_NAME}(?: AS RESTRICTIVE)?(?: FOR [A-Z]+)?) TO "
    rf"({_NAME}(?:, {_NAME})*)(?= USING \(| WITH CHECK \(|;)"
)
_MAPPING = re.compile(rf"^CREATE USER MAPPING (?:IF NOT EXISTS )?FOR ({_NAME}) SERVER ")
_ENCODING = re.compile("SET client_encoding = '(.*)';")
_NO_ROLES = {"PUBLIC", "CURRENT_USER", "CURRENT_ROLE", "SESSION_USER", "USER"}
_OWNED = {
    *("TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "FOREIGN TABLE", "SCHEMA", "STATISTICS"),
    *("FUNCTION", "PROCEDURE", "AGGREGATE", "TYPE", "SHELL TYPE", "DOMAIN", "COLLATION", "CONVERSION", "OPERATOR"),
    *("OPERATOR CLASS", "OPERATOR FAMILY", "TEXT SEARCH DICTIONARY", "TEXT SEARCH CONFIGURATION", "PUBLICATION"),
    *("FOREIGN DATA WRAPPER", "SERVER", "EVENT TRIGGER", "PROCEDURAL LANGUAGE"),
}
"""Kinds of objects with owners of their own; indexes, constraints and the like have their table's."""
NAMES_SHOWN = 10
"""Names in a sentence."""


@dataclass(frozen=True, slots=True)
class TargetEnvironment:
    """Rights and objects that a server offers to the role that restores.

    Attributes:
        ours: roles that the restoring role can become with SET ROLE. Objects can be transferred to these roles.
        superusers: superuser roles. Hints never advise membership in a superuser role.
        tablespaces: tablespaces that the role may use.
        version: the server's major version.
    """

    role: str
    superuser: bool
    roles: frozenset[str]
    ours: frozenset[str]
    superusers: frozenset[str]
    tablespaces: frozenset[str]
    encoding: str
    version: int


def read_environment(connection: Connection) -> TargetEnvironment:
    """Reads the environment of the connected database."""
    me = connection.execute(text(_WHO)).one()
    privilege = "SET" if me.version >= MEMBERSHIP_OPTIONS else "MEMBER"
    roles = list(connection.execute(text(_ROLES.format(privilege=privilege))))
    return TargetEnvironment(
        role=me.role,
        superuser=me.rolsuper,
        roles=frozenset(row.rolname for row in roles),
        ours=frozenset(row.rolname for row in roles if row.ours),
        superusers=frozenset(row.rolname for row in roles if row.rolsuper),
        tablespaces=frozenset(connection.execute(text(_TABLESPACES)).scalars()),
        encoding=me.encoding,
        version=me.version // 10_000,
    )


def encoding_of(entries: Iterable[ArchiveEntry]) -> str | None:
    """Returns the encoding of the database that an archive was taken from; None: the archive does not name it."""
    matches = (_ENCODING.search(entry.statement) for entry in entries if entry.kind == "ENCODING")
    return next((match[1] for match in matches if match), None)


def fit_schema(
    archive: bytes, around: TargetEnvironment, *, owners: bool, without: frozenset[int] = frozenset()
) -> tuple[bytes, frozenset[int], tuple[str, ...]]:
    """Edit an archive, so that it names no role and no tablespace that the server lacks.

    Without `owners`, owners and grants are not edited. Returns the archive, the numbers of the entries that are left
    out (including `without`), and one sentence for each difference.

    Raises:
        ArchiveUnknown: the archive cannot be read.
    """
    fitting = _Fitting(around, owners)
    entries = read_entries(archive)
    edited = {entry.id: entry if entry.id in without else fitting.edited(entry) for entry in entries}
    # Edits change nothing where nothing is missing, and the archive stays as it is, byte for byte.
    fitted = rewrite_entries(archive, lambda entry: edited[entry.id])
    return fitted, without | fitting.without, tuple(fitting.sentences())


class _Fitting:
    """Edits of one archive, and the omissions by role."""

    def __init__(self, around: TargetEnvironment, owners: bool) -> None:
        self._around = around
        self._owners = owners
        self._roles: dict[str, list[str]] = {}
        self._tablespaces: dict[str, list[str]] = {}
        self.without: set[int] = set()

    def edited(self, entry: ArchiveEntry) -> ArchiveEntry:
        """An entry as it can be made here."""
        if entry.tablespace and entry.tablespace not in self._around.tablespaces:
            self._tablespaces.setdefault(entry.tablespace, []).append(entry.name)
            entry = replace(entry, tablespace=None)
        if self._owners and entry.owner and entry.owner not in self._around.roles:
            self._leave(entry.owner, f"the ownership of {entry.name}", told=entry.kind in _OWNED)
            if (entry.kind, entry.tag) == ("SCHEMA", "public"):  # it is there for its owner alone
                self.without.add(entry.id)
            entry = replace(entry, owner=None)
        if entry.kind == "POLICY":
            return self._policy(entry)
        if entry.kind == "USER MAPPING" and (match := _MAPPING.match(entry.statement)) and self._is_gone(match[1]):
            self._leave(unquoted_name(match[1]), entry.name)
            self.without.add(entry.id)
        if self._owners and entry.kind in ("ACL", "DEFAULT ACL"):
            return self._grants(entry)
        return entry

    def sentences(self) -> Iterator[str]:
        """Yields a sentence for each missing role or tablespace, with the objects that were left out or moved."""
        for role, left in sorted(self._roles.items()):
            yield f"role {role} does not exist here; left out: {join_names(left, NAMES_SHOWN)}"
        for tablespace, moved in sorted(self._tablespaces.items()):
            yield (
                f"tablespace {tablespace} does not exist here, or may not be used; in the database's own are:"
                f" {join_names(moved, NAMES_SHOWN)}"
            )

    def _policy(self, entry: ArchiveEntry) -> ArchiveEntry:
        match = _POLICY.match(entry.statement)
        if match is None:
            return entry
        names = re.findall(_NAME, match[2])
        kept = [name for name in names if not self._is_gone(name)]
        for name in names:
            if name not in kept:
                self._leave(unquoted_name(name), entry.name)
        if not kept:
            self.without.add(entry.id)
        if not kept or kept == names:
            return entry
        return replace(entry, statement=f"{match[1]} TO {', '.join(kept)}{entry.statement[match.end() :]}")

    def _grants(self, entry: ArchiveEntry) -> ArchiveEntry:
        statements = STATEMENT.findall(entry.statement)
        kept = [statement for statement in statements if not self._leaves(statement, entry)]
        if not any(_GRANTEE.search(statement) for statement in kept):
            self.without.add(entry.id)
        return entry if kept == statements else replace(entry, statement="".join(kept))

    def _leaves(self, statement: str, entry: ArchiveEntry) -> bool:
        """Returns whether a statement of grants names a missing role, and records that it is left out."""
        matches = [pattern.search(statement) for pattern in (_GRANTEE, GRANTOR, _OF_ROLE)]
        missing = [match[1] for match in matches if match and self._is_gone(match[1])]
        for name in missing:
            what = "default privileges" if entry.kind == "DEFAULT ACL" else f"grants on {entry.tag}"
            self._leave(unquoted_name(name), what)
        return bool(missing)

    def _is_gone(self, name: str) -> bool:
        return name.upper() not in _NO_ROLES and unquoted_name(name) not in self._around.roles

    def _leave(self, role: str, what: str, *, told: bool = True) -> None:
        left = self._roles.setdefault(role, [])
        if told and what not in left:
            left.append(what)


def unquoted_name(name: str) -> str:
    """Returns the catalog's spelling of a name in SQL: without quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def member_hint(around: TargetEnvironment, role: str) -> str:
    """Returns the condition under which objects can be given to a role."""
    if role in around.superusers:
        return "a superuser has to restore"
    return f"GRANT {quote_identifier(role)} TO {quote_identifier(around.role)}"
