"""`restore_backup`: a backup becomes a database again, or one table of it.

Into an empty database and nothing else. First the schema without what guards or speeds up rows, in one transaction;
then the rows, on several connections; sequences; indexes, keys, triggers, policies; the database's own settings; and
then a look at what has come of it: every table's digest, every sequence, and what pg_dump says of the schema, beside
the backup. What is not the same is told, never hidden.

On a bad day whatever comes back is wanted: what the server refuses, be it an object, a table's rows or an index, costs
nothing but itself. Damaged objects and a lost server end a restore.

A restore that ends half-way leaves a database that is no longer empty: drop it, make it anew, begin again. To go on
where it stopped was rejected: a restore that is right is worth more than one that is half as long.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.backup import landing
from nightshift.backup.client import ClientFailed, find_client, no_client
from nightshift.backup.contents import read_entries
from nightshift.backup.database_settings import bring_settings
from nightshift.backup.emptiness import contents
from nightshift.backup.extensions import made_beforehand
from nightshift.backup.filling import Filled, Filler, Told
from nightshift.backup.lacking import Lacking
from nightshift.backup.likeness import Another, reworded, unlike
from nightshift.backup.manifest import SequenceState
from nightshift.backup.opening import Backup
from nightshift.backup.schema import OwnersRefused, SchemaRestore
from nightshift.backup.views import compare_views
from nightshift.database.catalog import TableName, quote_literal
from nightshift.database.connect import Database, sqlstate
from nightshift.database.durability import flush_commits
from nightshift.results import Refusal
from nightshift.results.backup import RestoredBackup
from nightshift.rows.postgres import PostgresConnection

_A_STATEMENT = 200


def quiet(_label: str, _rows: int) -> None:
    """The listener of those who do not listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a backup is brought back.

    Attributes:
        workers: connections that move rows, or build indexes, at once.
        owners: owners and grants too; their roles must exist.
        client: directory with pg_dump and pg_restore; None: wherever they are found.
        told: hears of rows that are in.
        another: a rehearsal's, which asks with it what is PostgreSQL's own doing (`likeness`). What its role may not
            set is then no difference: no backup is at fault.
    """

    workers: int = 2
    owners: bool = True
    client: str | None = None
    dry_run: bool = False
    told: Told = quiet
    another: Another | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    filled: Filled
    differences: list[str]
    warnings: list[str] = field(default_factory=list)
    but_for: tuple[str, ...] = ()


def restore_backup(backup: Backup, database: Database, terms: Terms) -> RestoredBackup:
    """Bring a whole PostgreSQL backup back.

    Args:
        database: an empty one; its deadline is the restore's.

    Returns:
        what came back, with every difference; a refusal where nothing was touched.

    Raises:
        BackupDamaged: objects are missing or altered; those that could be missed were missed before anything was made.
        OwnersRefused: a role does not exist, or is not ours to give things to; the database is as empty as before.
        ClientFailed: nothing of the schema could be made.
        NightshiftError: the database was lost, or did not answer in time.
    """
    started = time.monotonic()
    manifest = backup.manifest
    blank = RestoredBackup(
        name=manifest.name, target=database.target.database, warnings=backup.gaps(), dry_run=terms.dry_run
    )
    backup.check_objects()
    with database.connect() as connection:
        version = major(connection)
        # A scratch database holds what was made beforehand for the rehearsal, and nothing else.
        refusal = _judge(backup, version, () if terms.another else contents(connection))
    client = find_client(terms.client, max(version, _major_of(manifest.client_version or manifest.server_version)))
    if refusal is None and client is None:
        refusal = Refusal(guard="no_client", message=no_client(version, terms.client), hint="set BACKUP_PG_CLIENT")
    if refusal is not None:
        return replace(blank, refusal=refusal, dry_run=False)
    if terms.dry_run:
        rows = {entry.label: entry.rows for entry in manifest.tables}
        return replace(blank, tables=len(rows), rows=manifest.rows, bytes=manifest.bytes, by_table=rows)
    assert client is not None  # else it was refused
    assert manifest.schema.dump is not None
    archive = backup.read(manifest.schema.dump)
    schema = SchemaRestore(client, database.target, archive, owners=terms.owners)
    if terms.another:
        entries = read_entries(archive)
        schema = replace(schema, lacking=Lacking(entries, owners=terms.owners), made=made_beforehand(database, entries))
    outcome = _carry_out(backup, database, schema, terms)
    filled = outcome.filled
    return replace(
        blank,
        warnings=(*blank.warnings, *outcome.warnings),
        tables=len(filled.rows),
        rows=sum(filled.rows.values()),
        bytes=filled.bytes + len(archive),
        left_tables=filled.left,
        differences=tuple(outcome.differences),
        but_for=outcome.but_for,
        by_table=dict(sorted(filled.rows.items())),
        seconds=time.monotonic() - started,
    )


def _carry_out(backup: Backup, database: Database, schema: SchemaRestore, terms: Terms) -> _Outcome:
    manifest = backup.manifest
    left = partial(_left, database)
    differences = list(_before_rows(database, schema))
    with database.connect() as connection:
        fields, routed = landing.fields(connection), landing.routed(connection)
    differences += [
        f"{entry.label}: {said}"
        for entry in manifest.tables
        for said in landing.misfits(entry, fields.get(entry.table))
    ]
    fitting = [entry for entry in manifest.tables if not landing.misfits(entry, fields.get(entry.table))]
    connect = partial(PostgresConnection, database.target)
    filler = Filler(backup, connect, fields, deadline=database.deadline, told=terms.told, routed=routed)
    filled = filler.fill(fitting, workers=terms.workers)
    differences += sorted(filled.differences)
    if filled.left:
        return _Outcome(filled, differences)
    with database.connect() as connection:
        _set_sequences(connection, manifest.sequences)
    differences += schema.after_rows(jobs=terms.workers, seconds=left())
    with database.connect() as connection:
        differences += _sequence_differences(connection, manifest.sequences)
        flush_commits(connection)  # pg_restore's own, which no session of ours has made durable
    views = compare_views(connect, manifest.views, left())
    differences += views.differences
    brought = bring_settings(database, manifest.settings, owners=terms.owners)
    warnings = [*brought.left_out, *brought.odd, *(brought.denied if terms.another else ())]
    differences += [*brought.refused, *(() if terms.another else brought.denied)]
    found = unlike(schema, seconds=left())
    if terms.another and not differences and (same := reworded(schema, found, manifest.settings, terms.another)):
        warnings.append(f"PostgreSQL words these differently once restored: {', '.join(one.name for one in same)}")
        found = tuple(one for one in found if one not in same)
    if schema.lacking and (names := schema.lacking.names()):
        warnings.append(f"a rehearsal's role may not make these, and they were left out: {', '.join(names)}")
    return _Outcome(filled, [*differences, *map(str, found)], warnings, tuple(views.stale))


def _before_rows(database: Database, schema: SchemaRestore) -> tuple[str, ...]:
    """Pre-data: all of it; where the server refuses a part, all else. Returns what it refused.

    Raises:
        OwnersRefused: as `SchemaRestore.before_rows`.
        ClientFailed: not one thing could be made.
    """
    try:
        schema.before_rows(seconds=_left(database))
    except OwnersRefused:
        raise
    except ClientFailed as exc:
        if not exc.refused:
            raise
        refused = schema.before_rows_in_part(seconds=_left(database))
        with database.connect() as connection:
            if not contents(connection):
                raise
        return refused
    return ()


def _judge(backup: Backup, version: int, found: tuple[str, ...]) -> Refusal | None:
    """Why a backup cannot go into a database of this version that holds this."""
    manifest = backup.manifest
    if manifest.kind != "postgresql":
        hint = "restore it into a file: sqlite:///…"
        return Refusal(guard="other_kind", message=f"{manifest.name} is a backup of SQLite", hint=hint)
    if manifest.schema.dump is None:
        message = f"{manifest.name} holds rows without a schema: no pg_dump was at hand when it was made"
        hint = "make the tables, and restore them one by one with --table"
        return Refusal(guard="no_schema", message=message, hint=hint)
    if version < _major_of(manifest.server_version):
        message = f"the backup is of PostgreSQL {manifest.server_version}, the server is of {version}"
        return Refusal(
            guard="older_server", message=message, hint="restore it to a server of that version or a later one"
        )
    if found:
        message = f"the database is not empty: {', '.join(found)}"
        return Refusal(guard="not_empty", message=message, hint="CREATE DATABASE a new one, and restore into that")
    return None


def _set_sequences(connection: Connection, states: tuple[SequenceState, ...]) -> None:
    """Move them, many at a time; one that is refused is found by who compares, and costs no other its place."""
    for start in range(0, len(states), _A_STATEMENT):
        some = states[start : start + _A_STATEMENT]
        if not _moved(connection, some):
            for state in some:
                _moved(connection, (state,))


def _moved(connection: Connection, states: tuple[SequenceState, ...]) -> bool:
    calls = ", ".join(
        f"setval(to_regclass({quote_literal(_sql(state))}), {state.last_value}, {str(state.is_called).lower()})"
        for state in states
    )
    try:
        connection.exec_driver_sql(f"SELECT count(*) FROM (SELECT {calls}) moved")
        connection.commit()
    except DBAPIError as exc:
        if sqlstate(exc) is None:  # not the server's word: it is gone
            raise
        connection.rollback()
        return False
    return True


def _sequence_differences(connection: Connection, states: tuple[SequenceState, ...]) -> Iterator[str]:
    known = text("SELECT CAST(to_regclass(:name) AS oid)")
    for state in states:
        label = TableName(state.schema, state.name).label
        if connection.execute(known, {"name": _sql(state)}).scalar() is None:
            yield f"sequence {label} did not come back"
            continue
        query = f"SELECT last_value, is_called FROM {_sql(state)}"
        if tuple(connection.exec_driver_sql(query).one()) != (state.last_value, state.is_called):
            yield f"sequence {label} stands elsewhere"


def _sql(state: SequenceState) -> str:
    return TableName(state.schema, state.name).sql


def major(connection: Connection) -> int:
    return int(str(connection.execute(text("SHOW server_version_num")).scalar())) // 10_000


def _major_of(version: str) -> int:
    return int(version.split(".", maxsplit=1)[0])


def _left(database: Database) -> float:
    return database.deadline - time.monotonic()
