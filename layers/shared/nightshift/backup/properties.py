"""Reads a database's own properties: owner, grants, comment, limit, encoding, collation, extensions' versions.

`pg_dump --create` saves most of them, with a CREATE DATABASE; but a restore goes into a database that already exists.
Properties that can be changed there are restored last. Encoding and collation cannot be changed; if they differ, that
is reported, with the statement that creates a database like the saved one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.backup.entries import DatabaseGrant, DatabaseProperties, ExtensionVersion
from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.database.connect import Database, server_message, sqlstate

# Columns of pg_database that some versions have not are asked for through JSON.
_PROPERTIES = """
SELECT pg_get_userbyid(d.datdba) AS owner, shobj_description(d.oid, 'pg_database') AS comment,
       d.datconnlimit AS connection_limit, d.datistemplate AS is_template, t.spcname AS tablespace,
       pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
       coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
       to_jsonb(d) ->> 'daticurules' AS rules, to_jsonb(d) ->> 'datcollversion' AS collation_version
FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = current_database()
"""

_GRANTS = """
SELECT CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END AS role, a.privilege_type AS privilege,
       a.is_grantable AS grantable
FROM pg_database d CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
WHERE d.datname = current_database() AND a.grantee <> d.datdba ORDER BY 1 NULLS FIRST, 2, 3
"""

_EXTENSIONS = "SELECT extname AS name, extversion AS version FROM pg_extension ORDER BY 1"

_PROVIDERS = {"i": "icu", "b": "builtin"}


@dataclass(slots=True)
class BroughtProperties:
    """Result of restoring the properties, a sentence each.

    Attributes:
        environment: properties that this server or role cannot restore.
        warnings: properties that are restored, and yet may behave differently.
    """

    environment: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def properties_of(connection: Connection) -> DatabaseProperties:
    """The properties of the database that this is a connection to."""
    found = connection.execute(text(_PROPERTIES)).one()
    return DatabaseProperties(
        **found._mapping,
        grants=tuple(DatabaseGrant(**row._mapping) for row in connection.execute(text(_GRANTS))),
        extensions=tuple(ExtensionVersion(**row._mapping) for row in connection.execute(text(_EXTENSIONS))),
    )


def unlike_properties(saved: DatabaseProperties, found: DatabaseProperties) -> BroughtProperties:
    """Returns the differences from the saved properties that an existing database cannot change."""
    brought = BroughtProperties()
    if saved.locale_words() != found.locale_words():
        brought.environment.append(
            f"the database's collation is {found.locale_words()}, and was {saved.locale_words()}: text may sort and"
            f" compare in another way (CREATE DATABASE … TEMPLATE template0 {creation_options(saved)})"
        )
    elif saved.collation_version != found.collation_version and saved.collation_version:
        brought.warnings.append(
            f"collations are of version {found.collation_version or 'unknown'} here, and were of"
            f" {saved.collation_version}: text may sort in another way"
        )
    versions = {one.name: one.version for one in found.extensions}
    brought.environment += [
        f"the extension {one.name} is of version {versions[one.name]} here, and was of {one.version}"
        for one in saved.extensions
        if versions.get(one.name, one.version) != one.version
    ]
    return brought


def creation_options(saved: DatabaseProperties) -> str:
    """Options of CREATE DATABASE for a database of the same encoding and collation."""
    options = [
        f"ENCODING {quote_literal(saved.encoding)}",
        f"LC_COLLATE {quote_literal(saved.collate)} LC_CTYPE {quote_literal(saved.ctype)}",
    ]
    if saved.provider in _PROVIDERS and saved.locale is not None:
        provider = _PROVIDERS[saved.provider]
        options.append(f"LOCALE_PROVIDER {provider} {provider.upper()}_LOCALE {quote_literal(saved.locale)}")
        options += [f"ICU_RULES {quote_literal(saved.rules)}"] if saved.rules else []
    return " ".join(options)


def bring_properties(
    database: Database, saved: DatabaseProperties, *, owners: bool, untouched: bool
) -> BroughtProperties:
    """Restores the properties of a database, as far as the server and the role allow.

    Args:
        owners: its owner and grants too.
        untouched: compare only what is fixed: a rehearsal's database is nobody else's, however the saved one is
            granted, and one that was in use before belongs to its users.

    Raises:
        DBAPIError: the server was lost.
    """
    with database.connect() as connection:
        found = properties_of(connection)
        name = f"DATABASE {quote_identifier(str(connection.execute(text('SELECT current_database()')).scalar()))}"
        connection.rollback()
        brought = unlike_properties(saved, found)
        if untouched:
            return brought
        if saved.comment not in (None, found.comment):
            _change(connection, "comment", [f"COMMENT ON {name} IS {quote_literal(str(saved.comment))}"], brought)
        if saved.connection_limit != found.connection_limit:
            limit = f"ALTER {name} CONNECTION LIMIT {saved.connection_limit}"
            _change(connection, "connection limit", [limit], brought)
        if saved.is_template and not found.is_template:
            _change(connection, "being a template", [f"ALTER {name} IS_TEMPLATE true"], brought)
        if owners:
            _give(connection, name, saved, brought)
    return brought


def _give(connection: Connection, name: str, saved: DatabaseProperties, brought: BroughtProperties) -> None:
    """The owner, and then the grants: they are made as the owner's."""
    roles = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    owner = properties_of(connection).owner
    if saved.owner not in roles:
        brought.environment.append(f"the database's owner was {saved.owner}: there is no such role")
    elif saved.owner != owner:
        given = f"ALTER {name} OWNER TO {quote_identifier(saved.owner)}"
        _change(connection, f"owner, {saved.owner},", [given], brought)
    found = properties_of(connection)
    connection.rollback()
    if gone := sorted({one.role for one in saved.grants if one.role is not None} - roles):
        brought.environment.append(f"grants on the database to roles that do not exist: {', '.join(gone)}")
    wanted = {one for one in saved.grants if one.role is None or one.role in roles - {found.owner}}
    if wanted == set(found.grants):
        return
    statements = [f"REVOKE ALL ON {name} FROM {role}" for role in sorted({_role(one) for one in found.grants})]
    statements += [
        f"GRANT {one.privilege} ON {name} TO {_role(one)}{' WITH GRANT OPTION' if one.grantable else ''}"
        for one in saved.grants
        if one in wanted
    ]
    _change(connection, "grants", statements, brought, lambda: wanted == set(properties_of(connection).grants))


def _change(
    connection: Connection,
    what: str,
    statements: Sequence[str],
    brought: BroughtProperties,
    is_done: Callable[[], bool] = lambda: True,
) -> None:
    """Runs statements; reports them as left to do if the server refuses one."""
    said = "the role has no right to"
    try:
        for statement in statements:
            connection.exec_driver_sql(statement)
        # To a role that may grant nothing the server says so in a warning.
        if is_done():
            connection.commit()
            return
    except DBAPIError as exc:
        if sqlstate(exc) is None:  # not the server's word: it is gone
            raise
        said = server_message(exc)
    connection.rollback()
    brought.environment.append(f"the database's {what} did not come back ({said}): {'; '.join(statements)}")


def _role(grant: DatabaseGrant) -> str:
    return "PUBLIC" if grant.role is None else quote_identifier(grant.role)
