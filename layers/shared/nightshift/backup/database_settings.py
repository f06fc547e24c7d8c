"""Saves and restores a database's settings (`ALTER DATABASE … SET`) and its properties.

A schema dump contains no settings, neither for all sessions nor for one role's sessions. Without the settings an
application may not find its tables. nightshift may not find its own tables, which are in the first schema of
`search_path`.

Settings are restored last, because they apply to every later session, including pg_restore's sessions. Each setting is
restored in its own transaction. A setting that the server refuses is reported, and raises no error. If no new session
can connect afterwards, because a library to preload is missing, all restored settings are reset.

The properties are owner, grants, comment, connection limit, encoding, collation, and versions of extensions. `pg_dump
--create` saves most properties with a CREATE DATABASE, but a restore uses a database that already exists. Properties
that can be changed are restored last. Encoding and collation cannot be changed. If the collation differs, the
difference is reported with the options that create a database like the saved database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.backup.models import DatabaseGrant, DatabaseProperties, DatabaseSetting, ExtensionVersion
from nightshift.backup.pg_tools import redact_values
from nightshift.backup.requests import RestoreFindings
from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.database.connect import INSUFFICIENT_PRIVILEGE, Database, server_refusal, sqlstate
from nightshift.errors import DatabaseUnavailable
from nightshift.rows.postgres import PostgresConnection

_SETTINGS = """
SELECT CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END AS role,
       split_part(u.one, '=', 1) AS name, substr(u.one, strpos(u.one, '=') + 1) AS value
FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY u(one, place)
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1 NULLS FIRST, u.place
"""

_LISTS = {"search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"}
"""Settings whose values are lists of quoted names: `SET … TO` would quote the list again (`variable_is_guc_list_quote`
of pg_dump). Extensions cannot have such settings. Values of other settings are restored verbatim.
"""

# Columns of pg_database that some versions lack are read through JSON.
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


def settings_of(connection: Connection) -> tuple[DatabaseSetting, ...]:
    """Returns the settings of the connected database, for all roles and for single roles."""
    rows = connection.execute(text(_SETTINGS))
    return tuple(DatabaseSetting(role=row.role, name=row.name, value=row.value) for row in rows)


def restore_database_settings(
    database: Database, saved: Sequence[DatabaseSetting], findings: RestoreFindings, *, owners: bool
) -> None:
    """Restore the saved settings, and compare them with the database's settings. Roles' settings need `owners`.

    Raises:
        DatabaseUnavailable, DBAPIError: the connection to the server was lost.
    """
    with database.connect() as connection:
        wanted = _settable(connection, saved, owners, findings)
        made = [setting for setting in wanted if _set(connection, setting, findings)]
        if made and not _may_connect(database):
            for setting in made:
                connection.exec_driver_sql(f"ALTER {_scope_sql(connection, setting)} RESET {_name_sql(setting)}")
            connection.commit()
            names = ", ".join(setting.label for setting in made)
            findings.differences.append(f"nobody could connect with these, and they were taken back: {names}")
            made = []
        current = settings_of(connection)
    findings.differences += [f"{setting.label} is not as it was" for setting in made if setting not in current]
    known = {(setting.role, setting.name) for setting in saved}
    findings.warnings += [
        f"{setting.label} is not in the backup" for setting in current if (setting.role, setting.name) not in known
    ]


def _settable(
    connection: Connection, saved: Sequence[DatabaseSetting], owners: bool, findings: RestoreFindings
) -> list[DatabaseSetting]:
    """Returns the settings that can be restored, and reports the others."""
    roles = _role_names(connection)
    wanted = []
    for setting in saved:
        if setting.role is not None and not owners:
            findings.environment.append(f"{setting.label} was left out with the owners")
        elif setting.role is not None and setting.role not in roles:
            findings.environment.append(f"{setting.label} was left out: there is no such role")
        else:
            wanted.append(setting)
    return wanted


def _role_names(connection: Connection) -> set[str]:
    return set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())


def _set(connection: Connection, setting: DatabaseSetting, findings: RestoreFindings) -> bool:
    try:
        if setting.name in _LISTS:
            connection.execute(
                text("SELECT set_config(:name, :value, true)"), {"name": setting.name, "value": setting.value}
            )
            value = "FROM CURRENT"
        else:
            value = f"TO {quote_literal(setting.value)}"
        connection.exec_driver_sql(f"ALTER {_scope_sql(connection, setting)} SET {_name_sql(setting)} {value}")
        connection.commit()
    except DBAPIError as exc:
        words = redact_values(server_refusal(exc))
        connection.rollback()
        sentences = findings.environment if sqlstate(exc) == INSUFFICIENT_PRIVILEGE else findings.differences
        sentences.append(f"{setting.label} did not come back: {words}")
        return False
    return True


def _may_connect(database: Database) -> bool:
    """Returns whether a new session can connect. Existing sessions do not use the new settings."""
    try:
        PostgresConnection(database.target).close()
    except DatabaseUnavailable:
        return False
    return True


def _scope_sql(connection: Connection, setting: DatabaseSetting) -> str:
    database = _database_sql(connection)
    return database if setting.role is None else f"ROLE {quote_identifier(setting.role)} IN {database}"


def _database_sql(connection: Connection) -> str:
    return f"DATABASE {quote_identifier(str(connection.execute(text('SELECT current_database()')).scalar()))}"


def _name_sql(setting: DatabaseSetting) -> str:
    """Returns a setting's quoted name. Names of extensions' settings have several parts, separated by dots."""
    return ".".join(map(quote_identifier, setting.name.split(".")))


def properties_of(connection: Connection) -> DatabaseProperties:
    found = connection.execute(text(_PROPERTIES)).one()
    return DatabaseProperties(
        **found._mapping,
        grants=tuple(DatabaseGrant(**row._mapping) for row in connection.execute(text(_GRANTS))),
        extensions=tuple(ExtensionVersion(**row._mapping) for row in connection.execute(text(_EXTENSIONS))),
    )


def _compare_fixed_properties(saved: DatabaseProperties, found: DatabaseProperties, findings: RestoreFindings) -> None:
    """Record the differences in collation and in versions of extensions, which a restore cannot change."""
    if saved.locale_words() != found.locale_words():
        findings.environment.append(
            f"the database's collation is {found.locale_words()}, and was {saved.locale_words()}: text may sort and"
            f" compare in another way (CREATE DATABASE … TEMPLATE template0 {creation_options(saved)})"
        )
    elif saved.collation_version != found.collation_version and saved.collation_version:
        findings.warnings.append(
            f"collations are of version {found.collation_version or 'unknown'} here, and were of"
            f" {saved.collation_version}: text may sort in another way"
        )
    versions = {extension.name: extension.version for extension in found.extensions}
    findings.environment += [
        f"the extension {extension.name} is of version {versions[extension.name]} here, and was of {extension.version}"
        for extension in saved.extensions
        if versions.get(extension.name, extension.version) != extension.version
    ]


def creation_options(saved: DatabaseProperties) -> str:
    """Returns options of CREATE DATABASE for a database with the saved encoding and collation."""
    options = [
        f"ENCODING {quote_literal(saved.encoding)}",
        f"LC_COLLATE {quote_literal(saved.collate)} LC_CTYPE {quote_literal(saved.ctype)}",
    ]
    if saved.provider in _PROVIDERS and saved.locale is not None:
        provider = _PROVIDERS[saved.provider]
        options.append(f"LOCALE_PROVIDER {provider} {provider.upper()}_LOCALE {quote_literal(saved.locale)}")
        options += [f"ICU_RULES {quote_literal(saved.rules)}"] if saved.rules else []
    return " ".join(options)


def restore_properties(
    database: Database, saved: DatabaseProperties, findings: RestoreFindings, *, owners: bool, untouched: bool
) -> None:
    """Restore the properties of a database, as far as the server and the role allow.

    Args:
        owners: restore the owner and the grants as well.
        untouched: change no property, and only compare collation and versions of extensions. A rehearsal's database
            must stay closed to other roles, and the properties of a database in use belong to its users.

    Raises:
        DBAPIError: the connection to the server was lost.
    """
    with database.connect() as connection:
        found = properties_of(connection)
        name = _database_sql(connection)
        connection.rollback()
        _compare_fixed_properties(saved, found, findings)
        if untouched:
            return
        if saved.comment not in (None, found.comment):
            _change(connection, "comment", [f"COMMENT ON {name} IS {quote_literal(str(saved.comment))}"], findings)
        if saved.connection_limit != found.connection_limit:
            limit = f"ALTER {name} CONNECTION LIMIT {saved.connection_limit}"
            _change(connection, "connection limit", [limit], findings)
        if saved.is_template and not found.is_template:
            _change(connection, "being a template", [f"ALTER {name} IS_TEMPLATE true"], findings)
        if owners:
            _give(connection, name, saved, findings)


def _give(connection: Connection, name: str, saved: DatabaseProperties, findings: RestoreFindings) -> None:
    """Restore the owner, and then the grants, so that the owner is the grantor."""
    roles = _role_names(connection)
    owner = properties_of(connection).owner
    if saved.owner not in roles:
        findings.environment.append(f"the database's owner was {saved.owner}: there is no such role")
    elif saved.owner != owner:
        given = f"ALTER {name} OWNER TO {quote_identifier(saved.owner)}"
        _change(connection, f"owner, {saved.owner},", [given], findings)
    found = properties_of(connection)
    connection.rollback()
    if missing := sorted({grant.role for grant in saved.grants if grant.role is not None} - roles):
        findings.environment.append(f"grants on the database to roles that do not exist: {', '.join(missing)}")
    wanted = {grant for grant in saved.grants if grant.role is None or grant.role in roles - {found.owner}}
    if wanted == set(found.grants):
        return
    statements = [f"REVOKE ALL ON {name} FROM {role}" for role in sorted({_role(grant) for grant in found.grants})]
    statements += [
        f"GRANT {grant.privilege} ON {name} TO {_role(grant)}{' WITH GRANT OPTION' if grant.grantable else ''}"
        for grant in saved.grants
        if grant in wanted
    ]
    _change(connection, "grants", statements, findings, lambda: wanted == set(properties_of(connection).grants))


def _change(
    connection: Connection,
    what: str,
    statements: Sequence[str],
    findings: RestoreFindings,
    is_done: Callable[[], bool] = lambda: True,
) -> None:
    """Run statements in one transaction. If the server refuses a statement, roll back and report all statements."""
    words = "the role has no right to"
    try:
        for statement in statements:
            connection.exec_driver_sql(statement)
        # If the role has no right to grant, the server gives only a warning. Therefore `is_done` checks the result.
        if is_done():
            connection.commit()
            return
    except DBAPIError as exc:
        words = server_refusal(exc)
    connection.rollback()
    findings.environment.append(f"the database's {what} did not come back ({words}): {'; '.join(statements)}")


def _role(grant: DatabaseGrant) -> str:
    return "PUBLIC" if grant.role is None else quote_identifier(grant.role)
