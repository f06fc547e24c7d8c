"""Compares a restored schema with the saved one, and finds definitions that PostgreSQL itself words differently.

`NULL::integer` in a view becomes `NULL::integer AS int4`, and the columns of a child move to their position in its
parent: PostgreSQL may print a parsed definition differently, and that is no fault of the backup. A list of all such
cases would never be complete. So a rehearsal asks the server: the saved schema is restored into a second empty
database, by pg_restore alone. A definition that is worded there as in the filled database is PostgreSQL's own wording.
This applies only to definitions that exist on both sides and differ, never to missing ones. The verification record
keeps a digest of each, by which a restore of that backup recognises them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from nightshift.backup.contents import read_entries
from nightshift.backup.database_settings import restore_database_settings
from nightshift.backup.existing_objects import ExistingObjects
from nightshift.backup.extensions import made_beforehand
from nightshift.backup.manifest import DatabaseSetting
from nightshift.backup.opened_backup import OpenedBackup
from nightshift.backup.schema import SchemaRestore, dump_schema, schema_sql
from nightshift.backup.schema_diff import DifferenceKind, SchemaDifference, schema_differences
from nightshift.database.connect import Database

ScratchDatabaseFactory = Callable[[], AbstractContextManager[Database]]
"""Makes one more empty database, and drops it at the end."""

UNTOLD = (
    "PostgreSQL itself words some definitions differently once they are restored: no rehearsal has proven this backup,"
    " so that it is not known whether that is all; schema.sql in the backup has them as they were"
)


def diff_restored_schema(schema: SchemaRestore, *, seconds: float) -> tuple[SchemaDifference, ...]:
    """Returns the differences between pg_dump's output of the restored database and the saved schema.

    Extensions that were there before are no difference, nor is all else in a database that was not empty.

    Raises:
        PgToolError, DatabaseUnavailable: as `dump_schema`.
    """
    saved = schema_sql(
        schema.client, schema.archive, seconds=seconds, owners=schema.owners, without=schema.left_out
    ).decode()
    said = schema_differences(saved, _dumped(schema, seconds))
    theirs = "" if schema.there else "extension "
    return tuple(one for one in said if not (one.how is DifferenceKind.ADDED and theirs in one.name.lower()))


@dataclass(frozen=True, slots=True)
class SchemaComparison:
    """Differences of a restored schema from the saved one.

    Attributes:
        others: differences that are not known to be PostgreSQL's own wording.
        reworded: definitions that are, with a digest of each as the server words it.
        sentences: about both, for the operator.
    """

    others: tuple[SchemaDifference, ...]
    reworded: dict[str, str] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()


def tell_apart(
    differences: Sequence[SchemaDifference],
    backup: OpenedBackup,
    schema: SchemaRestore,
    another: ScratchDatabaseFactory | None,
    *,
    alone: bool,
) -> SchemaComparison:
    """Finds differences of PostgreSQL's own wording: by the server in a rehearsal, else by the verification record.

    Args:
        differences: of the schema.
        another: a rehearsal's; None: the restore is no rehearsal.
        alone: nothing else differs; a rehearsal asks only then.

    Raises:
        NightshiftError: as `reworded`.
    """
    stamp = None
    if another is not None:
        same = find_equivalent_differences(schema, differences, backup.manifest.settings, another) if alone else ()
    else:
        stamp = backup.verification_record() if differences else None
        known = stamp.reworded if stamp else {}
        same = tuple(
            one for one in differences if one.how is DifferenceKind.ALTERED and known.get(one.name) == one.digest
        )
    others = tuple(one for one in differences if one not in same)
    sentences = []
    if same:
        sentences.append(f"PostgreSQL words these differently once restored: {', '.join(one.name for one in same)}")
    if another is None and stamp is None and any(one.how is DifferenceKind.ALTERED for one in others):
        sentences.append(UNTOLD)
    return SchemaComparison(others, {one.name: one.digest for one in same}, tuple(sentences))


def find_equivalent_differences(
    schema: SchemaRestore,
    differences: Sequence[SchemaDifference],
    settings: Sequence[DatabaseSetting],
    another: ScratchDatabaseFactory,
) -> tuple[SchemaDifference, ...]:
    """Returns the differences of definitions that the server itself causes.

    Args:
        schema: restored, into a database that is as it was but for these.
        settings: of the database; some of them change how definitions are worded.

    Returns:
        none, where any of the differences is of another kind.

    Raises:
        NightshiftError: the other database could not be made, filled in time, or dropped.
    """
    if not differences or any(one.how is not DifferenceKind.ALTERED for one in differences):
        return ()
    with another() as database:
        made = made_beforehand(database, read_entries(schema.archive))
        alone = replace(schema, target=database.target, made=made)
        alone.restore_schema_only(seconds=database.deadline - time.monotonic())
        restore_database_settings(database, settings, owners=schema.owners)
        seconds = database.deadline - time.monotonic()
        apart = {one.name for one in schema_differences(_dumped(schema, seconds), _dumped(alone, seconds))}
    return tuple(one for one in differences if one.name not in apart)


def _dumped(schema: SchemaRestore, seconds: float) -> str:
    there = schema.there or ExistingObjects()
    found = dump_schema(schema.client, schema.target, seconds=seconds, excluded=there.schemas, without=there.tables)
    return schema_sql(schema.client, found.archive, seconds=seconds, owners=schema.owners).decode()
