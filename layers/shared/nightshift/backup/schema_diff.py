"""Compares a restored schema with the saved one, entry by entry, in the output of pg_dump.

Ignores text that always differs: version comments, pg_dump's random `\\restrict` tokens (since 2025), and casts of
arrays. The rest is compared to the letter, in no order: pg_dump orders objects that do not depend on each other as it
likes.

Array casts are printed differently before and after a restore. `status IN ('new', 'done')` on a `varchar` compares
texts. PostgreSQL stores a cast of the whole array and prints it so. When it parses that text again, it moves the cast
to each element, and prints that from then on. Almost every database that was created by its own DDL has such a cast.

PostgreSQL words other definitions differently as well. `NULL::integer` in a view becomes `NULL::integer AS int4`, and
the columns of a child table move to their position in the parent. The backup is not at fault, and a list of all cases
would never be complete. A rehearsal therefore restores the saved schema into a second empty database, with pg_restore
alone. If a definition has the same wording there as in the filled database, the wording is PostgreSQL's own. The rule
applies only to definitions that exist on both sides and differ, never to missing definitions. The verification record
stores a digest of each wording, with which a restore of the backup recognises PostgreSQL's own wordings.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from nightshift.backup.contents import OWNERSHIP, read_entries, split_sql
from nightshift.backup.database_settings import restore_database_settings
from nightshift.backup.models import DatabaseSetting
from nightshift.backup.opened_backup import OpenedBackup
from nightshift.backup.preflight import ExistingObjects, made_beforehand
from nightshift.backup.requests import RestoreFindings, ScratchDatabaseFactory
from nightshift.backup.schema import SchemaRestore, dump_schema, schema_sql

_OPENING = "(ARRAY["
_CONVERSION = re.compile(r"\)::([^\[\]'\n]{1,200}?)\[\]")
_TOKEN = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[\[\](),]|[^'"\[\](),eE]+|.""", re.DOTALL
)

UNTOLD = (
    "PostgreSQL itself words some definitions differently once they are restored: no rehearsal has proven this backup,"
    " so that it is not known whether that is all; schema.sql in the backup has them as they were"
)


class DifferenceKind(StrEnum):
    """Kind of difference of an entry."""

    GONE = "did not come back"
    ADDED = "is not in the backup"
    ALTERED = "is not as it was"


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """An entry that differs between two schemas.

    Attributes:
        name: kind and name of the object, e.g. `view app.v`.
        digest: SHA-256 of the restored definition without its owner; empty: the restored schema has no such entry.
    """

    name: str
    how: DifferenceKind
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.how}"


def schema_differences(saved: str, found: str) -> tuple[SchemaDifference, ...]:
    """Returns the differences of two schemas: SQL as pg_dump or pg_restore writes it."""
    before, after = _entries(saved), _entries(found)
    return tuple(
        SchemaDifference(
            name,
            DifferenceKind.GONE
            if name not in after
            else DifferenceKind.ADDED
            if name not in before
            else DifferenceKind.ALTERED,
            _digest(after[name]) if name in after else "",
        )
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != _as_given(after.get(name), before.get(name))
    )


def _as_given(statements: Counter[str] | None, saved: Counter[str] | None) -> Counter[str] | None:
    """Statements without the ownership of objects that were saved without one, as those of a role that is gone are."""
    if not statements or not saved or any(OWNERSHIP.search(statement) for statement in saved):
        return statements
    return _unowned(statements)


def _unowned(statements: Counter[str]) -> Counter[str]:
    given: Counter[str] = Counter()
    for statement, count in statements.items():
        given[OWNERSHIP.sub("", statement).rstrip()] += count
    return given


def _digest(statements: Counter[str]) -> str:
    return hashlib.sha256(json.dumps(sorted(_unowned(statements).items())).encode()).hexdigest()


def _entries(sql: str) -> dict[str, Counter[str]]:
    """Every entry's statements by its kind and name; overloaded functions share theirs."""
    entries: dict[str, Counter[str]] = {}
    for entry in split_sql(sql):
        label = entry.name if entry.schema == "-" else f"{entry.schema}.{entry.name}"
        statements = normalise_array_casts(entry.statements).strip()
        entries.setdefault(f"{entry.kind.lower()} {label}".strip(), Counter())[statements] += 1
    return entries


def normalise_array_casts(sql: str) -> str:
    """Returns the SQL with each cast of an array replaced by casts of its elements, as PostgreSQL itself parses it."""
    pieces, at = [], 0
    while (start := sql.find(_OPENING, at)) >= 0:
        entries, end = _array_elements(sql, start + len(_OPENING))
        conversion = _CONVERSION.match(sql, end)
        if entries and conversion:
            each = ", ".join(f"({normalise_array_casts(entry)})::{conversion[1]}" for entry in entries)
            pieces.append(f"{sql[at:start]}ARRAY[{each}]")
            at = conversion.end()
        else:
            pieces.append(sql[at : start + len(_OPENING)])
            at = start + len(_OPENING)
    return "".join([*pieces, sql[at:]])


def _array_elements(sql: str, at: int) -> tuple[list[str], int]:
    """Returns the elements of the array that begins at `at`, and the position of its end; none if it never ends."""
    entries: list[str] = []
    begun, depth = at, 0
    for token in _TOKEN.finditer(sql, at):
        match token[0]:
            case "(" | "[":
                depth += 1
            case "]" if depth == 0:
                return [*entries, sql[begun : token.start()].strip()], token.end()
            case ")" | "]":
                depth -= 1
            case "," if depth == 0:
                entries.append(sql[begun : token.start()].strip())
                begun = token.end()
    return [], at


def compare_schema(
    schema: SchemaRestore,
    backup: OpenedBackup,
    another: ScratchDatabaseFactory | None,
    findings: RestoreFindings,
) -> dict[str, str]:
    """Compares pg_dump's output of the restored database with the saved schema.

    Extensions that were there before are no difference, nor is all else in a database that was not empty. Differences
    of PostgreSQL's own wording are found by the server in a rehearsal if nothing else differs, else by the verification
    record.

    Returns definitions that PostgreSQL itself words differently, with a digest of each as the server words it.

    Raises:
        NightshiftError: as `dump_schema`; or the other database could not be made, filled in time, or dropped.
    """
    left_out = schema.lacking.entry_ids
    seconds = schema.seconds_left
    sql = schema_sql(schema.client, schema.archive, seconds=seconds, owners=schema.owners, without=left_out)
    theirs = "" if schema.there else "extension "
    differences = [
        entry
        for entry in schema_differences(sql.decode(), _dumped(schema))
        if not (entry.how is DifferenceKind.ADDED and theirs in entry.name.lower())
    ]
    record = None
    same: Sequence[SchemaDifference] = ()
    if another is None:
        record = backup.verification_record() if differences else None
        known = record.reworded if record else {}
        same = [
            entry
            for entry in differences
            if entry.how is DifferenceKind.ALTERED and known.get(entry.name) == entry.digest
        ]
    elif not findings.differences:
        same = _equivalent_differences(schema, differences, backup.manifest.settings, another)
    others = [entry for entry in differences if entry not in same]
    findings.differences += map(str, others)
    if same:
        names = ", ".join(entry.name for entry in same)
        findings.warnings.append(f"PostgreSQL words these differently once restored: {names}")
    if another is None and record is None and any(entry.how is DifferenceKind.ALTERED for entry in others):
        findings.warnings.append(UNTOLD)
    return {entry.name: entry.digest for entry in same}


def _equivalent_differences(
    schema: SchemaRestore,
    differences: Sequence[SchemaDifference],
    settings: Sequence[DatabaseSetting],
    another: ScratchDatabaseFactory,
) -> tuple[SchemaDifference, ...]:
    """Returns the differences of definitions that the server itself causes; none if any is of another kind.

    The second database gets the settings as well: some of them change how definitions are worded.
    """
    if not differences or any(entry.how is not DifferenceKind.ALTERED for entry in differences):
        return ()
    with another() as database:
        made = made_beforehand(database, read_entries(schema.archive))
        alone = replace(schema, database=database, made=made)
        alone.restore_schema_only()
        restore_database_settings(database, settings, RestoreFindings(), owners=schema.owners)
        apart = {entry.name for entry in schema_differences(_dumped(schema), _dumped(alone))}
    return tuple(entry for entry in differences if entry.name not in apart)


def _dumped(schema: SchemaRestore) -> str:
    existing, target = schema.there or ExistingObjects(), schema.database.target
    archive, _ = dump_schema(
        schema.client, target, seconds=schema.seconds_left, excluded=existing.schemas, without=existing.tables
    )
    return schema_sql(schema.client, archive, seconds=schema.seconds_left, owners=schema.owners).decode()
