"""Finds the schema of nightshift's own tables; checks that only nightshift writes them and no other code runs in them.

Another role that may create tables could create one of nightshift's tables first, with a trigger that runs with
nightshift's rights. A role that may write the ledger could make nightshift delete archived objects. One query of the
catalogue finds such faults, and for each fault the statement that fixes it.

A table's owner is trusted if it is our role, a role of which ours is a member, or a role with the rights of the
database's owner. If our role is a superuser, membership does not count, because a superuser is a member of every role.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, PrimaryKeyConstraint, Table, UniqueConstraint, text

from nightshift.database.catalog import TableName, quote_literal
from nightshift.database.search_path import SCHEMAS
from nightshift.errors import OwnTablesRefused

STAGE = "nightshift_embedding_stage_"
"""Prefix of the names of the tables that `embedding` creates; their vectors have a type from an extension."""

_SHOWN = 10

_OWN = """
WITH me AS (
  SELECT r.oid, r.rolname, r.rolsuper, (SELECT datdba FROM pg_database WHERE datname = current_database()) AS dba
  FROM pg_roles r WHERE r.rolname = current_user
), own AS (
  SELECT c.*, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE (c.relname = ANY (CAST(:names AS text[])) OR starts_with(c.relname, :stage)) AND n.nspname = :schema
), held AS (
  SELECT o.oid, o.name, o.relowner, o.relacl AS acl FROM own o WHERE o.relkind = 'r'
  UNION ALL
  SELECT o.oid, o.name, o.relowner, a.attacl FROM own o JOIN pg_attribute a ON a.attrelid = o.oid
  WHERE o.relkind = 'r' AND a.attacl IS NOT NULL
), part AS (
  SELECT o.oid AS own, o.name, CAST('pg_class' AS regclass) AS classid, o.oid AS objid FROM own o
  WHERE o.relkind = 'r' AND NOT starts_with(o.relname, :stage)
  UNION
  SELECT o.oid, o.name, d.classid, d.objid FROM own o JOIN pg_depend d
    ON d.refclassid = CAST('pg_class' AS regclass) AND d.refobjid = o.oid AND d.deptype IN ('a', 'i')
  WHERE o.relkind = 'r' AND NOT starts_with(o.relname, :stage)
    AND d.classid IN (CAST('pg_attrdef' AS regclass), CAST('pg_constraint' AS regclass), CAST('pg_class' AS regclass),
                      CAST('pg_statistic_ext' AS regclass))
), foreign_code AS (
  SELECT DISTINCT p.own, p.name, p.classid, p.objid, CASE WHEN p.objid = p.own THEN d.objsubid ELSE 0 END AS objsubid
  FROM part p JOIN pg_depend d ON d.classid = p.classid AND d.objid = p.objid AND d.refobjid >= 16384
  WHERE d.refclassid IN (CAST('pg_proc' AS regclass), CAST('pg_operator' AS regclass), CAST('pg_type' AS regclass),
                         CAST('pg_opclass' AS regclass))
)
"""

_FAULTS = f"""{_OWN}
SELECT name, 'is no table' AS what, format('DROP %s %s', CASE relkind WHEN 'v' THEN 'VIEW'
         WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'S' THEN 'SEQUENCE' WHEN 'i' THEN 'INDEX'
         WHEN 'I' THEN 'INDEX' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, name) AS remedy
FROM own WHERE relkind <> 'r' AND (relkind <> 'i' OR NOT starts_with(relname, :stage))
UNION ALL
SELECT name, format('belongs to %I', pg_get_userbyid(relowner)), format('ALTER TABLE %s OWNER TO %I', name, rolname)
FROM own, me WHERE relkind = 'r' AND relowner <> me.oid AND NOT pg_has_role(relowner, me.dba, 'USAGE')
  AND (me.rolsuper OR NOT pg_has_role(relowner, 'USAGE'))
UNION ALL
SELECT h.name, format('may be written by %s', coalesce(quote_ident(r.rolname), 'PUBLIC')),
       format('REVOKE %s ON %s FROM %s', string_agg(DISTINCT a.privilege_type, ', '), h.name,
              coalesce(quote_ident(r.rolname), 'PUBLIC'))
FROM me, held h CROSS JOIN LATERAL aclexplode(h.acl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE a.privilege_type NOT IN ('SELECT', 'MAINTAIN') AND a.grantee NOT IN (h.relowner, me.oid)
  AND (a.grantee = 0 OR NOT pg_has_role(a.grantee, me.dba, 'USAGE'))
GROUP BY h.name, r.rolname
UNION ALL
SELECT o.name, format('has the trigger %I', t.tgname), format('DROP TRIGGER %I ON %s', t.tgname, o.name)
FROM own o JOIN pg_trigger t ON t.tgrelid = o.oid AND NOT t.tgisinternal WHERE o.relkind = 'r'
UNION ALL
SELECT o.name, format('has the rule %I', w.rulename), format('DROP RULE %I ON %s', w.rulename, o.name)
FROM own o JOIN pg_rewrite w ON w.ev_class = o.oid WHERE o.relkind = 'r'
UNION ALL
SELECT name, 'hides rows from us (row level security)',
       format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY', name)
FROM own WHERE relkind = 'r' AND row_security_active(oid)
UNION ALL
SELECT name, 'is emptied by a crash (UNLOGGED)', format('ALTER TABLE %s SET LOGGED', name)
FROM own WHERE relkind = 'r' AND relpersistence = 'u'
UNION ALL
SELECT o.name, format('is inherited by, or from, %s', x.other), CASE
         WHEN o.relispartition THEN format('ALTER TABLE %s DETACH PARTITION %s', x.parent, x.child)
         ELSE format('ALTER TABLE %s NO INHERIT %s', x.child, x.parent) END
FROM own o JOIN pg_inherits i ON o.oid IN (i.inhrelid, i.inhparent)
CROSS JOIN LATERAL (
  SELECT max(q.name) FILTER (WHERE q.oid <> o.oid) AS other, max(q.name) FILTER (WHERE q.oid = i.inhparent) AS parent,
         max(q.name) FILTER (WHERE q.oid = i.inhrelid) AS child
  FROM (SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN (i.inhrelid, i.inhparent)) q) x
WHERE o.relkind = 'r'
UNION ALL
SELECT o.name, format('has the foreign key %I', k.conname),
       format('ALTER TABLE %I.%I DROP CONSTRAINT %I', n.nspname, c.relname, k.conname)
FROM own o JOIN pg_constraint k ON k.contype = 'f' AND o.oid IN (k.conrelid, k.confrelid)
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE o.relkind = 'r'
UNION ALL
SELECT f.name, format('runs code that is not the server''s (%s)', coalesce(
         (pg_identify_object(f.classid, f.objid, f.objsubid)).identity, 'unknown')),
       CASE WHEN d.oid IS NOT NULL THEN format('ALTER TABLE %s ALTER COLUMN %I DROP %s', f.name, da.attname,
                                               CASE da.attgenerated WHEN '' THEN 'DEFAULT' ELSE 'EXPRESSION' END)
            WHEN k.oid IS NOT NULL THEN format('ALTER TABLE %s DROP CONSTRAINT %I', f.name, k.conname)
            WHEN x.oid IS NOT NULL AND x.oid <> f.own THEN format('DROP INDEX %I.%I', xn.nspname, x.relname)
            WHEN s.oid IS NOT NULL THEN format('DROP STATISTICS %I.%I', sn.nspname, s.stxname)
            ELSE format('ALTER TABLE %s ALTER COLUMN %I TYPE text', f.name, ca.attname) END
FROM foreign_code f
LEFT JOIN pg_attrdef d ON f.classid = CAST('pg_attrdef' AS regclass) AND d.oid = f.objid
LEFT JOIN pg_attribute da ON da.attrelid = d.adrelid AND da.attnum = d.adnum
LEFT JOIN pg_constraint k ON f.classid = CAST('pg_constraint' AS regclass) AND k.oid = f.objid
LEFT JOIN pg_class x ON f.classid = CAST('pg_class' AS regclass) AND x.oid = f.objid
LEFT JOIN pg_namespace xn ON xn.oid = x.relnamespace
LEFT JOIN pg_attribute ca ON ca.attrelid = f.own AND ca.attnum = f.objsubid
LEFT JOIN pg_statistic_ext s ON f.classid = CAST('pg_statistic_ext' AS regclass) AND s.oid = f.objid
LEFT JOIN pg_namespace sn ON sn.oid = s.stxnamespace
UNION ALL
SELECT o.name, format('has no unique key (%s)', w.columns), format('ALTER TABLE %s ADD UNIQUE (%s)', o.name, w.columns)
FROM unnest(CAST(:keyed AS text[]), CAST(:keys AS text[])) w(relname, columns)
JOIN own o ON o.relname = w.relname AND o.relkind = 'r'
WHERE NOT EXISTS (
  SELECT 1 FROM pg_index i WHERE i.indrelid = o.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL AND w.columns = (
      SELECT string_agg(a.attname, ', ' ORDER BY a.attname COLLATE "C")
      FROM unnest(i.indkey) WITH ORDINALITY u(num, n) JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum = u.num
      WHERE u.n <= i.indnkeyatts))
ORDER BY 1, 2
"""

_SQLITE = """
SELECT tbl_name AS name, type, name AS object FROM sqlite_master
WHERE (lower(CASE type WHEN 'trigger' THEN tbl_name ELSE name END) IN :names
       OR CASE type WHEN 'trigger' THEN tbl_name ELSE name END LIKE 'nightshift_embedding_stage_%')
  AND (type IN ('trigger', 'view') OR type = 'table' AND sql LIKE 'CREATE VIRTUAL %')
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class OwnTableFault:
    """A fault of one of nightshift's tables.

    Attributes:
        what: the rest of a sentence whose subject is the table's name.
        remedy: the SQL statement that fixes it.
    """

    table: str
    what: str
    remedy: str

    @property
    def relname(self) -> str:
        """Returns the table's name without its schema."""
        return self.table.rpartition(".")[2]

    @property
    def is_key(self) -> bool:
        """Returns whether the fault is a missing unique key; a table of an earlier version may lack a key."""
        return " ADD UNIQUE " in self.remedy

    @property
    def is_grant(self) -> bool:
        """Returns whether the fault is a privilege of another role."""
        return self.remedy.startswith("REVOKE ")


def find_faults(connection: Connection, tables: Collection[Table]) -> tuple[OwnTableFault, ...]:
    """Returns the faults that make the existing tables among `tables` unsafe to use; reads only the catalogue."""
    if connection.dialect.name == "sqlite":
        return _in_sqlite(connection, tables)
    keys = [
        (table.name, ", ".join(sorted(column.name for column in key.columns)))
        for table in tables
        for key in table.constraints
        if isinstance(key, PrimaryKeyConstraint | UniqueConstraint)
    ]
    wanted = {
        "schema": schema_of(connection) or "",
        "names": [table.name for table in tables],
        "stage": STAGE,
        "keyed": [name for name, _ in keys],
        "keys": [columns for _, columns in keys],
    }
    return tuple(OwnTableFault(row.name, row.what, row.remedy) for row in connection.execute(text(_FAULTS), wanted))


def check_faults(faults: Collection[OwnTableFault]) -> None:
    """Raise `OwnTablesRefused` if there are faults."""
    if faults:
        shown = list(faults)[:_SHOWN]
        more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        raise OwnTablesRefused(
            "nightshift's own tables are not its own alone",
            detail="\n".join([*(f"{fault.table} {fault.what}" for fault in shown), *more]),
            hint="as their owner or a superuser, once it is clear who did this and that no row was altered: "
            + " ".join(f"{fault.remedy};" for fault in shown),
        )


def _in_sqlite(connection: Connection, tables: Collection[Table]) -> tuple[OwnTableFault, ...]:
    names = ", ".join(f"'{table.name}'" for table in tables)
    faults = {"trigger": "has the trigger {}", "view": "is no table", "table": "is no table"}
    return tuple(
        OwnTableFault(row.name, faults[row.type].format(row.object), f'DROP {row.type.upper()} "{row.object}"')
        for row in connection.execute(text(_SQLITE.replace(":names", f"({names})")))
    )


def find_schema_sql(names: Iterable[str], wanted: str | None = None) -> str:
    """Returns SQL for the schema of nightshift's tables.

    The schema is the first in the role's own search_path that has one of the tables, else the first in search_path.

    Args:
        names: the tables' names.
        wanted: a schema that is searched before search_path: NIGHTSHIFT_SCHEMA.
    """
    known = ", ".join(map(quote_literal, names))
    places = SCHEMAS if wanted is None else f"(ARRAY[CAST({quote_literal(wanted)} AS name)] || {SCHEMAS})"
    return f"""
SELECT CAST(coalesce(
  (SELECT n.nspname FROM unnest({places}) WITH ORDINALITY s(name, place) JOIN pg_namespace n ON n.nspname = s.name
   JOIN pg_class c ON c.relnamespace = n.oid WHERE c.relname IN ({known}) ORDER BY s.place LIMIT 1),
  ({places})[1]) AS text)
"""


def schema_of(connection: Connection) -> str | None:
    """Returns the schema of nightshift's tables that `Database` has found; None in SQLite."""
    schema: str | None = connection.get_execution_options().get("schema_translate_map", {}).get(None)
    return schema


def own_table(table: Table | str, schema: str | None) -> str:
    """Returns the quoted name of one of nightshift's tables, for SQL text; `schema` is `schema_of` the connection."""
    return TableName(schema or "", table if isinstance(table, str) else table.name).sql
