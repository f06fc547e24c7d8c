"""Rehearses a restore: restores the newest backup into a scratch database, compares it, and drops the database.

Only a restore proves a backup. The verification record (`proven.json`) names the manifest by its SHA-256. It is a
separate object, because the manifest may be under S3 Object Lock. The record is written only if the restore had no
difference (except definitions that PostgreSQL itself words differently, see `schema_diff`), and every other object was
read as well: logs, and the schema's SQL. The record names the limits of the proof: content that the backup does not
hold, materialized views that were older than their tables, and properties that the server or the role cannot restore
(`RestoredBackup.environment`).
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightshift.backup.contents import ArchiveEntry, read_entries
from nightshift.backup.manifest import VerificationRecord, to_json
from nightshift.backup.opened_backup import BackupDamaged, BackupRepository, OpenedBackup
from nightshift.backup.requests import RestoreOptions
from nightshift.backup.restore import restore_backup
from nightshift.backup.scratch import drop_stale_databases, needs_role, scratch_database, scratch_role
from nightshift.backup.sqlite import restore_sqlite_file
from nightshift.backup.target_environment import encoding_of
from nightshift.database.catalog import quote_identifier
from nightshift.database.connect import Database
from nightshift.results.backup import RestoredBackup
from nightshift.results.common import GuardRefusal
from nightshift.run import JobRun

_CONNECTIONS, _CONNECTIONS_A_WORKER = 8, 2

_EXTENSION_SCHEMAS = "SELECT e.extname, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"

_FOR_SUPERUSERS = """
SELECT v.name FROM pg_available_extension_versions v
JOIN pg_available_extensions a ON a.name = v.name AND a.default_version = v.version
WHERE v.superuser AND NOT v.trusted
"""

NOTHING = "there is no good backup to rehearse"


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalContext:
    """Environment of a rehearsal.

    Attributes:
        server: any database of the server on which the scratch database is created; not used for SQLite.
        production: the database whose backups are rehearsed.
        own_rights: code in the backup may run with the rights of `server`'s role.
        now: time of the verification record, aware.
    """

    repository: BackupRepository
    server: Database
    production: Database
    own_rights: bool
    now: datetime


def rehearse_backup(
    run: JobRun, stage: RehearsalContext, terms: RestoreOptions, *, name: str | None = None
) -> RestoredBackup:
    """Restore a backup, and write the verification record if the restore was complete.

    Args:
        name: name of the backup; None: the newest good backup.

    Raises:
        BackupNotFound, BackupDamaged, ManifestDamaged: the named backup does not exist or is damaged.
        NightshiftError: the backup could not be restored.
    """
    if name is None:
        newest = stage.repository.find_newest()
        if newest is None:
            return RestoredBackup(scratch=True, warnings=(NOTHING,), dry_run=run.dry_run)
        name = newest.name
    backup = stage.repository.open_backup(name)
    manifest, as_another = backup.manifest, False
    if manifest.kind != "sqlite":
        needed = needs_role(stage.server, stage.production, accepted=stage.own_rights)
        if isinstance(needed, GuardRefusal):
            return RestoredBackup(name=name, scratch=True, refusal=needed)
        as_another = needed
    if run.dry_run:
        backup.check_objects()
        figures = RestoredBackup(name=name, tables=len(manifest.tables), rows=manifest.rows, bytes=manifest.bytes)
        return replace(figures, scratch=True, dry_run=True)
    if manifest.kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="nightshift-") as directory:
            result = restore_sqlite_file(
                backup, Path(directory) / "rehearsal.db", terms, deadline=stage.server.deadline
            )
    else:
        result = _on_a_server(run, stage, backup, terms, as_another=as_another)
    result = replace(result, scratch=True)
    if result.refusal or result.left_tables or result.differences:
        return result
    # A restore does not read logs and the schema's SQL.
    for part in (*manifest.logs, manifest.schema.sql):
        if part is not None:
            backup.read_part(part)
    _write_verification_record(run, stage, backup, result)
    return replace(result, proven=True)


def _on_a_server(
    run: JobRun, stage: RehearsalContext, backup: OpenedBackup, terms: RestoreOptions, *, as_another: bool
) -> RestoredBackup:
    """Restore a PostgreSQL backup into a scratch database. `as_another`: restore as a scratch role without rights."""
    dropped = drop_stale_databases(stage.server)
    warnings = [f"{name} was left by a rehearsal that was killed, and is dropped" for name in dropped]
    entries = read_entries(backup.read_part(backup.manifest.schema.dump)) if backup.manifest.schema.dump else ()
    make = partial(scratch_database, stage.server, warn=warnings.append, encoding=encoding_of(entries))
    if not as_another:
        with make(run.run_id) as database:
            result = restore_backup(backup, database, replace(terms, another=lambda: make(uuid.uuid4().hex)))
        return replace(result, warnings=(*result.warnings, *warnings))
    connections = _CONNECTIONS + _CONNECTIONS_A_WORKER * terms.workers
    with scratch_role(stage.server, run.run_id, connections=connections, warn=warnings.append) as login:
        prepare = partial(_make_extensions, stage.production, entries, login.user)
        make = partial(make, login=login, prepare=prepare)
        # The scratch role cannot transfer objects to other roles.
        terms = replace(terms, owners=False, another=lambda: make(uuid.uuid4().hex))
        with make(run.run_id) as database:
            result = restore_backup(backup, database, terms)
    environment = (*result.environment, *_about_owners(stage.server, entries))
    return replace(result, environment=environment, warnings=(*result.warnings, *warnings))


def _make_extensions(production: Database, entries: Sequence[ArchiveEntry], owner: str, empty: Database) -> None:
    """Create the extensions of a dump that only a superuser may create, as nightshift's role, in the empty database.

    The extensions' scripts are files of the server. An extension is created only if the saved database has it: a name
    in a dump is not enough. The later restore reports extensions that cannot be created. `owner` owns their schemas.
    """
    listed = [entry.tag for entry in entries if entry.kind == "EXTENSION"]
    if not listed:
        return
    with production.connect() as connection:
        schema_of = {row.extname: row.nspname for row in connection.execute(text(_EXTENSION_SCHEMAS))}
    with empty.connect(autocommit=True) as connection:
        wanted = set(connection.execute(text(_FOR_SUPERUSERS)).scalars()) & set(schema_of)
        for name in listed:
            if name in wanted:
                schema = quote_identifier(schema_of[name])
                with suppress(DBAPIError):
                    made = f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {quote_identifier(owner)}"
                    connection.exec_driver_sql(made)
                    connection.exec_driver_sql(f"CREATE EXTENSION {quote_identifier(name)} WITH SCHEMA {schema}")


def _about_owners(server: Database, entries: Sequence[ArchiveEntry]) -> Iterator[str]:
    """Yields a sentence about owners and grants if the rehearsal cannot prove them."""
    owners = {entry.owner for entry in entries if entry.owner}
    with server.connect() as connection:
        roles = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    missing = f"; roles that are gone: {', '.join(sorted(owners - roles))}" if owners - roles else ""
    if missing or len(owners) > 1 or any(entry.kind in ("ACL", "DEFAULT ACL") for entry in entries):
        yield f"owners and grants, which a rehearsal's role cannot give{missing}"


def _server_version(stage: RehearsalContext, backup: OpenedBackup) -> str:
    if backup.manifest.kind == "sqlite":
        return backup.manifest.server_version
    with stage.server.connect() as connection:
        return str(connection.execute(text("SHOW server_version")).scalar()).split()[0]


def _write_verification_record(
    run: JobRun, stage: RehearsalContext, backup: OpenedBackup, result: RestoredBackup
) -> None:
    """Write the verification record. It replaces a record for an earlier backup with the same name.

    Raises:
        BackupNotFound: retention has deleted the backup meanwhile.
    """
    if stage.repository.open_backup(backup.manifest.name).manifest_sha256 != backup.manifest_sha256:
        raise BackupDamaged(f"{backup.manifest.name} is not the backup any more that was rehearsed")
    key = backup.place.verification_key
    record = VerificationRecord(
        name=backup.manifest.name,
        manifest_sha256=backup.manifest_sha256,
        run_id=run.run_id,
        proven_at=stage.now,
        server_version=_server_version(stage, backup),
        but_for=(*result.but_for, *backup.exclusion_warnings(), *result.environment),
        reworded=dict(result.reworded),
    )
    body = to_json(record)
    if (old := backup.store.head_object(key)) is not None and backup.verification_record() is None:
        backup.store.delete_if_unchanged(old)
    store = replace(backup.store, proof="full")  # a look at the footer alone would be for Parquet
    stored = store.put_object(key, body)
    if not stored.existed:
        store.verify_object(stored, body)
