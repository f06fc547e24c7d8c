"""Saves and restores the settings of the database itself (`ALTER DATABASE … SET`), for all sessions or for one role's.

No schema dump contains them. Without them an application may not find its tables, nor nightshift its own, which lie in
the first schema of `search_path`.

They are restored last, because they apply to every later session, pg_restore's among them. Each is a transaction of its
own. Settings that the server refuses are reported, not raised. If no new session can connect any more, because a
library to preload is missing, all of them are reset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.backup.manifest import DatabaseSetting
from nightshift.backup.pg_tools import redact_values
from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.database.connect import Database, server_message, sqlstate
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
"""Settings that are stored as lists of quoted names, and would be quoted once more (`variable_is_guc_list_quote` of
pg_dump; extensions cannot have such settings). All others are kept verbatim.
"""

_DENIED = "42501"


@dataclass(slots=True)
class SettingsRestoreResult:
    """Result of restoring the settings, a sentence each.

    Attributes:
        refused: settings that the server refused.
        denied: settings that this role may not set.
        left_out: settings that were not tried.
        odd: settings that are set, and were not saved.
    """

    refused: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def settings_of(connection: Connection) -> tuple[DatabaseSetting, ...]:
    """Returns the settings of the connected database, and of roles in it."""
    found = connection.execute(text(_SETTINGS))
    return tuple(DatabaseSetting(role=row.role, name=row.name, value=row.value) for row in found)


def restore_database_settings(
    database: Database, saved: Sequence[DatabaseSetting], *, owners: bool
) -> SettingsRestoreResult:
    """Restores the saved settings, and compares them with the current ones.

    Args:
        owners: those of roles as well; without, they are left out.

    Raises:
        DatabaseUnavailable, DBAPIError: the server was lost.
    """
    brought = SettingsRestoreResult()
    with database.connect() as connection:
        wanted = _ours(connection, saved, owners, brought)
        made = [one for one in wanted if _set(connection, one, brought)]
        if made and not _may_connect(database):
            _take_back(connection, made)
            names = ", ".join(map(_label, made))
            brought.refused.append(f"nobody could connect with these, and they were taken back: {names}")
            made = []
        found = settings_of(connection)
    brought.refused += [f"{_label(one)} is not as it was" for one in made if one not in found]
    known = {(one.role, one.name) for one in saved}
    brought.odd += [f"{_label(one)} is not in the backup" for one in found if (one.role, one.name) not in known]
    return brought


def _ours(
    connection: Connection, saved: Sequence[DatabaseSetting], owners: bool, brought: SettingsRestoreResult
) -> list[DatabaseSetting]:
    """Those that can be tried."""
    roles = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    wanted = []
    for one in saved:
        if one.role is not None and not owners:
            brought.left_out.append(f"{_label(one)} was left out with the owners")
        elif one.role is not None and one.role not in roles:
            brought.left_out.append(f"{_label(one)} was left out: there is no such role")
        else:
            wanted.append(one)
    return wanted


def _set(connection: Connection, one: DatabaseSetting, brought: SettingsRestoreResult) -> bool:
    try:
        if one.name in _LISTS:
            connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": one.name, "value": one.value})
            value = "FROM CURRENT"
        else:
            value = f"TO {quote_literal(one.value)}"
        connection.exec_driver_sql(f"ALTER {_whose(connection, one)} SET {_name(one)} {value}")
        connection.commit()
    except DBAPIError as exc:
        if sqlstate(exc) is None:  # not the server's word: it is gone
            raise
        connection.rollback()
        sentences = brought.denied if sqlstate(exc) == _DENIED else brought.refused
        sentences.append(f"{_label(one)} did not come back: {redact_values(server_message(exc))}")
        return False
    return True


def _may_connect(database: Database) -> bool:
    """Returns whether a new session can connect; existing sessions are not affected by the new settings."""
    try:
        PostgresConnection(database.target).close()
    except DatabaseUnavailable:
        return False
    return True


def _take_back(connection: Connection, made: Sequence[DatabaseSetting]) -> None:
    for one in made:
        connection.exec_driver_sql(f"ALTER {_whose(connection, one)} RESET {_name(one)}")
    connection.commit()


def _whose(connection: Connection, one: DatabaseSetting) -> str:
    name = str(connection.execute(text("SELECT current_database()")).scalar())
    database = f"DATABASE {quote_identifier(name)}"
    return database if one.role is None else f"ROLE {quote_identifier(one.role)} IN {database}"


def _name(one: DatabaseSetting) -> str:
    """An extension's settings have names of two parts and more."""
    return ".".join(map(quote_identifier, one.name.split(".")))


def _label(one: DatabaseSetting) -> str:
    return f"setting {one.name}" + (f" of role {one.role}" if one.role is not None else "")
