"""Finds and checks the table into which archived rows are restored."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, text

from nightshift.archive.table_guards import hiding_cure, make_refusal
from nightshift.database.catalog import TableName, split_name
from nightshift.database.insertable import InsertTarget, find_insert_target
from nightshift.restore import records
from nightshift.restore.request import RestoreRequest
from nightshift.results.common import GuardRefusal

SUFFIX = "_restored"
BACK_INTO_IT = "to bring its rows back into it, use --into-original"
MAX_NAME_BYTES = 63
"""Maximum length of a PostgreSQL identifier in standard builds."""

_RELATED = """
SELECT count(*) FROM pg_class s WHERE s.oid = to_regclass(:source)
  AND CAST(:target AS oid) IN (SELECT CAST(relid AS oid) FROM pg_partition_tree(pg_partition_root(s.oid)))
"""


def find_target(
    connection: Connection, request: RestoreRequest, label: str
) -> tuple[TableName, InsertTarget | None] | GuardRefusal:
    """Returns the name and the description of the request's target. Description None: the target does not exist."""
    parts = [part for part, _ in split_name(label) or ()]
    source = TableName(parts[0] if len(parts) == 2 else "", parts[-1])
    if request.into_original:
        found = find_insert_target(connection, source)
        if found is None:
            return make_refusal(
                "unknown_table",
                f"{label} does not exist any more",
                "restore into a table of its own, and rename that"
                + ("; then restore into the original, which takes it over" if source.schema else ""),
            )
        return source, found
    if request.into is None:
        return _beside(connection, source, label)
    candidates = _readings(request.into, source.schema)
    if candidates is None:
        hint = "write it like schema.table" if source.schema else "SQLite has no schemas: write the table's name alone"
        return make_refusal("unknown_table", f"{request.into} is not a table's name", hint)
    for name in candidates:
        if name == source:
            return make_refusal("same_table", f"{request.into} is the table that the rows came from", BACK_INTO_IT)
        if found := find_insert_target(connection, name):
            if name.schema and _related(connection, source, found):
                same = f"{request.into} and {label} are parts of one partitioned table"
                return make_refusal("same_table", same, BACK_INTO_IT)
            return name, found
    made = candidates[-1]
    if made.schema and len(made.name.encode()) > MAX_NAME_BYTES:
        return make_refusal(
            "unusable_table", f"{request.into} is longer than {MAX_NAME_BYTES} bytes", "choose a shorter name"
        )
    return made, None


def _beside(
    connection: Connection, source: TableName, label: str
) -> tuple[TableName, InsertTarget | None] | GuardRefusal:
    """Returns the table `<table>_restored`. If the name is too long, it is cut and gets a hash of the full name."""
    name = source.name + SUFFIX
    if source.schema and len(name.encode()) > MAX_NAME_BYTES:
        mark = "_" + hashlib.sha256(source.name.encode()).hexdigest()[:8] + SUFFIX
        name = source.name.encode()[: MAX_NAME_BYTES - len(mark)].decode(errors="ignore") + mark
    own = TableName(source.schema, name)
    table = find_insert_target(connection, own)
    if table is not None and own.schema and _related(connection, source, table):
        hint = "use --into-original: it takes over what was restored there"
        return make_refusal("same_table", f"{own.label} and {label} are parts of one partitioned table", hint)
    return own, table


def _related(connection: Connection, source: TableName, found: InsertTarget) -> bool:
    return bool(connection.execute(text(_RELATED), {"source": source.sql, "target": found.id}).scalar())


def _readings(written: str, schema: str) -> list[TableName] | None:
    """Returns the tables that a written name may mean: the exact name, then the name folded to lower case.

    Quoted parts and SQLite names are not folded.
    """
    parts = split_name(written)
    if parts is None or (schema == "" and len(parts) > 1):
        return None
    exact = [part for part, _ in parts]
    folded = [part if quoted else part.lower() for part, quoted in parts] if schema else exact
    return [
        TableName(names[0] if len(names) == 2 else schema, names[-1])
        for names in dict.fromkeys((tuple(exact), tuple(folded)))
    ]


def check_target(table: InsertTarget) -> GuardRefusal | None:
    """Refuse a table that cannot store archived rows unchanged."""
    label = table.name.label
    if table.name.name.startswith("nightshift_"):
        return make_refusal(
            "unusable_table",
            f"{label} is one of nightshift's own tables",
            "it is no place for rows: name another table with --into",
        )
    if table.kind not in ("table", "partitioned"):
        return make_refusal(
            "unusable_table",
            f"{label} is a {table.kind}",
            "name a table with --into, or leave it out: one of its own is made",
        )
    if not table.may_insert:
        return make_refusal(
            "privilege",
            f"nightshift's role may not read and insert into {label}",
            f"GRANT SELECT, INSERT ON {table.name.sql}, and USAGE on its schema, TO nightshift's role",
        )
    if table.altering:
        what = ", ".join(table.altering)
        return make_refusal(
            "altered_rows",
            f"{label}: {what} could change rows on their way in, or keep them out",
            f"restore into a table of its own; or, for the time of the restore, {hiding_cure(table.altering)}",
        )
    return None


def check_known_rows(
    connection: Connection, request: RestoreRequest, label: str, table: InsertTarget
) -> GuardRefusal | None:
    """Refuse a non-empty target whose rows nightshift did not restore, because rows could be duplicated.

    The original, and a table that the operator names, may hold rows from any source. A table that was created anew
    under the name of an earlier target is refused, because it may hold the earlier target's rows.
    """
    if table.empty or request.into_original:
        return None
    sources = records.list_sources(connection, table.id)
    if sources == {label} or (request.into is not None and (sources or not records.is_known(connection, table.name))):
        return None
    return make_refusal(
        "unknown_rows",
        f"{table.name.label} holds rows, and nightshift has no record of where they came from",
        "drop or rename it, or name another table with --into",
    )


def check_has_key(request: RestoreRequest, label: str, table: InsertTarget | None) -> GuardRefusal | None:
    """Refuse an original in SQLite that holds rows and has no key, because archived rows cannot be recognised.

    In PostgreSQL the records identify the table itself. In SQLite the records have only the table's name, and another
    program may have copied archived rows into the table of this name.
    """
    if table is None or not request.into_original or table.name.schema or table.empty or table.unique:
        return None
    hint = "restore into a table of its own, and insert from there what is missing"
    return make_refusal("no_key", f"{label} holds rows and has no key to tell archived ones by", hint)
