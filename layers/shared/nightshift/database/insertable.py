"""Describes a table into which rows are inserted, and identifies the table independently of its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from nightshift.database import postgres
from nightshift.database.catalog import TableName
from nightshift.database.dialect import shape_sql
from nightshift.database.references import TREE
from nightshift.database.sqlite import column_affinity, declared_type, is_strict


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertColumn:
    """A column of a table into which rows are inserted.

    Attributes:
        required: the column is NOT NULL and has no default, identity or generation expression.
        generated: only the database writes the column.
        default: the column has a default, or is an identity column.
        decimals: precision and scale of a `numeric(p, s)`, also as a domain's base type; None for other types.
        sequence: the sequence that fills the column by default, quoted for SQL.
        may_set: our role may read and set the sequence.
    """

    name: str
    type_name: str
    base_type: str
    required: bool = False
    generated: bool = False
    default: bool = False
    decimals: tuple[int, int] | None = None
    sequence: str | None = None
    may_set: bool = True

    @property
    def filling(self) -> str:
        return "its default" if self.default else "NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertTarget:
    """A table into which rows are inserted.

    Attributes:
        id: identity of the table: the OID in PostgreSQL, which a renaming does not change; the name in SQLite.
        kind: `table`, `partitioned`, or another kind of relation.
        unique: the table has a unique or exclusion constraint or index, so an inserted row can conflict.
        deferrable: a unique or exclusion constraint is deferrable, so ON CONFLICT cannot be used.
        altering: rules and triggers that could change, reject or delete an inserted row; foreign partitions; row-level
            security.
        shape: a number that changes with the table's columns, keys, triggers and rules.
    """

    name: TableName
    id: str
    kind: str
    slots: tuple[InsertColumn, ...]
    unique: bool
    deferrable: bool = False
    altering: tuple[str, ...] = ()
    may_insert: bool = True
    empty: bool = False
    shape: int = 0

    @property
    def shape_sql(self) -> str:
        """Returns a query for the current shape; its result equals `shape` while the description is valid."""
        return shape_sql(self.name)


_TABLE = """
SELECT c.oid, c.relkind::text AS kind, has_schema_privilege(n.oid, 'USAGE') AS may_use,
       has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'SELECT') AS may_insert,
       (SELECT count(*) > 0 FROM pg_index i WHERE (i.indisunique OR i.indisexclusion)
          AND (i.indrelid = c.oid OR i.indrelid IN (SELECT relid FROM pg_partition_tree(c.oid)))) AS is_unique,
       (SELECT count(*) > 0 FROM pg_index i WHERE (i.indisunique OR i.indisexclusion) AND NOT i.indimmediate
          AND (i.indrelid = c.oid OR i.indrelid IN (SELECT relid FROM pg_partition_tree(c.oid)))) AS is_deferrable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

_SLOTS = f"""
{postgres.BASE_TYPES}
SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS declared, n.nspname, t.typname, b.typmod,
       a.attnotnull OR own.typnotnull AS attnotnull,
       a.atthasdef OR own.typdefault IS NOT NULL AS has_default, a.attgenerated <> '' AS is_generated,
       a.attidentity <> '' AS is_identity, q.sequence,
       q.sequence IS NULL OR (has_sequence_privilege(q.sequence, 'UPDATE')
         AND has_sequence_privilege(q.sequence, 'SELECT')) AS may_set
FROM pg_attribute a JOIN base b USING (attnum) JOIN pg_type own ON own.oid = a.atttypid
JOIN pg_type t ON t.oid = b.typid AND t.typtype <> 'd' JOIN pg_namespace n ON n.oid = t.typnamespace
CROSS JOIN LATERAL (SELECT coalesce(
  pg_get_serial_sequence(CAST(:sql AS text), CAST(a.attname AS text)),
  -- A default may call a sequence that the column does not own.
  (SELECT CAST(CAST(s.oid AS regclass) AS text) FROM pg_attrdef v JOIN pg_depend d ON d.objid = v.oid
     AND d.classid = CAST('pg_attrdef' AS regclass) AND d.refclassid = CAST('pg_class' AS regclass)
     JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
   WHERE v.adrelid = a.attrelid AND v.adnum = a.attnum LIMIT 1))) AS q(sequence)
WHERE a.attrelid = :oid ORDER BY a.attnum
"""

# An AFTER trigger can change or delete an inserted row, so every trigger on INSERT (tgtype & 4) counts. The internal
# triggers of foreign keys do not count.
_ALTERING = f"""
{TREE}
SELECT 'trigger ' || g.tgname FROM pg_trigger g JOIN tree t ON t.oid = g.tgrelid
  WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype & 4 = 4
UNION
SELECT 'rule ' || r.rulename FROM pg_rewrite r JOIN tree t ON t.oid = r.ev_class
  WHERE r.ev_type = '3' AND r.ev_enabled <> 'D'
UNION
SELECT 'foreign partition ' || c.relname FROM tree t JOIN pg_class c ON c.oid = t.oid WHERE c.relkind = 'f'
UNION
SELECT 'row-level security' WHERE row_security_active(CAST(:oid AS oid))
ORDER BY 1
"""


def find_insert_target(connection: Connection, name: TableName) -> InsertTarget | None:
    """Describe a table for insertion; return None if no relation has exactly this name."""
    if connection.dialect.name == "sqlite":
        return _sqlite(connection, name)
    relation = connection.execute(text(_TABLE), {"schema": name.schema, "name": name.name}).one_or_none()
    if relation is None:
        return None
    kind = postgres.KINDS[relation.kind]
    if not relation.may_use:
        return InsertTarget(name=name, id=str(relation.oid), kind=kind, slots=(), unique=False, may_insert=False)
    shape: Any = connection.exec_driver_sql(shape_sql(name)).scalar()
    return InsertTarget(
        name=name,
        id=str(relation.oid),
        kind=kind,
        slots=tuple(_slot(row) for row in connection.execute(text(_SLOTS), {"oid": relation.oid, "sql": name.sql})),
        unique=relation.is_unique,
        deferrable=relation.is_deferrable,
        altering=tuple(connection.execute(text(_ALTERING), {"oid": relation.oid}).scalars()),
        may_insert=relation.may_insert,
        empty=relation.may_insert and relation.kind in "rp" and _is_empty(connection, name),
        shape=shape,
    )


def _slot(row: Any) -> InsertColumn:
    fills_itself = row.has_default or row.is_identity or row.is_generated
    return InsertColumn(
        name=row.attname,
        type_name=row.declared,
        base_type=postgres.base_type_name(row),
        required=row.attnotnull and not fills_itself,
        generated=row.is_generated,
        default=bool(row.has_default or row.is_identity),
        decimals=postgres.decimal_digits(row.typname, row.typmod),
        sequence=row.sequence,
        may_set=row.may_set,
    )


def _is_empty(connection: Connection, name: TableName) -> bool:
    return connection.exec_driver_sql(f"SELECT 1 FROM {name.sql} LIMIT 1").first() is None


def _sqlite(connection: Connection, name: TableName) -> InsertTarget | None:
    relation = connection.execute(
        text("SELECT name, type FROM sqlite_master WHERE name = :name AND type IN ('table', 'view')"),
        {"name": name.name},
    ).one_or_none()
    if relation is None:
        return None
    columns = connection.execute(text("SELECT * FROM pragma_table_xinfo(:name)"), {"name": name.name}).all()
    unique = connection.execute(
        text('SELECT count(*) FROM pragma_index_list(:name) WHERE "unique" = 1'), {"name": name.name}
    ).scalar()
    slots, strict = [], is_strict(connection, relation.name)
    for row in columns:
        declared = declared_type(row.type, strict=strict)
        slots.append(
            InsertColumn(
                name=row.name,
                type_name=declared,
                base_type=column_affinity(declared),
                required=bool(row.notnull) and row.dflt_value is None and not row.pk,
                generated=row.hidden in (2, 3),  # virtual and stored (sqlite.org/pragma.html#pragma_table_xinfo)
                default=row.dflt_value is not None,
            )
        )
    exact = TableName("", relation.name)
    triggers = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name COLLATE NOCASE"),
        {"name": name.name},
    )
    shape: Any = connection.exec_driver_sql(shape_sql(exact)).scalar()
    return InsertTarget(
        name=exact,
        id=relation.name,
        kind=relation.type,
        slots=tuple(slots),
        unique=bool(unique) or any(row.pk for row in columns),
        altering=tuple(f"trigger {row.name}" for row in triggers if "INSERT" in row.sql.upper()),
        empty=relation.type == "table" and _is_empty(connection, exact),
        shape=shape,
    )


# A cast to `regclass` fails without USAGE on the schema; a look-up in the catalogue leaves that report to the guards.
_FAMILY = """
WITH own AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = :schema AND c.relname = :name
)
SELECT CAST(oid AS text) FROM own
UNION SELECT CAST(CAST(relid AS oid) AS text) FROM own, pg_partition_tree(own.oid)
UNION SELECT CAST(CAST(relid AS oid) AS text) FROM own, pg_partition_ancestors(own.oid)
"""


def partition_family(connection: Connection, table: TableName) -> tuple[str, ...]:
    """Returns the identities (`InsertTarget.id`) of a table, its partitions and its ancestors.

    The identities are OIDs in PostgreSQL, none if the table does not exist, and the table's name in SQLite.
    """
    if connection.dialect.name == "sqlite":
        return (table.name,)
    rows = connection.execute(text(_FAMILY), {"schema": table.schema, "name": table.name})
    return tuple(rows.scalars())
