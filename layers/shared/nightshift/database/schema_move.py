"""Creates the schema of nightshift's own tables (NIGHTSHIFT_SCHEMA), and moves the tables to the schema once.

One transaction moves all tables with their contents. No other job may run meanwhile, so the transaction takes the run
locks of all other jobs. If one lock is not free, the tables stay in their schema for this run. If nightshift's tables
exist in two schemas, the run is refused, because nothing tells which tables are current.
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.database.catalog import quote_identifier
from nightshift.database.connect import Database, server_message
from nightshift.database.lock import lock_key
from nightshift.database.own_tables import STAGE, OwnTableFault, check_faults
from nightshift.database.search_path import SCHEMAS
from nightshift.database.tables import metadata
from nightshift.errors import DatabaseUnavailable, OwnTablesRefused
from nightshift.job_spec import list_jobs_beside

_PLACES = f"""
SELECT CAST(n.nspname AS text) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY (CAST(:names AS text[]))
  AND n.nspname = ANY (ARRAY[CAST(:schema AS name), CAST(:wanted AS name)] || {SCHEMAS})
GROUP BY 1 ORDER BY 1
"""

_ELSEWHERE = """
SELECT CAST(n.nspname AS text) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY (CAST(:names AS text[])) AND c.relkind = 'r' AND pg_get_userbyid(c.relowner) = current_user
  AND n.nspname !~ '^pg_' AND NOT EXISTS (
    SELECT 1 FROM pg_class o JOIN pg_namespace p ON p.oid = o.relnamespace
    WHERE p.nspname = :schema AND o.relname = ANY (CAST(:names AS text[])))
GROUP BY 1 ORDER BY 1
"""

_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relkind = 'r'
  AND (c.relname = ANY (CAST(:names AS text[])) OR starts_with(c.relname, :stage))
ORDER BY 1
"""

_SCHEMA = """
SELECT n.nspowner = me.oid OR pg_has_role(n.nspowner, d.datdba, 'USAGE') AS owned,
       pg_get_userbyid(n.nspowner) AS owner, me.rolname AS me,
       ARRAY(SELECT coalesce(quote_ident(r.rolname), 'PUBLIC') FROM aclexplode(n.nspacl) a
             LEFT JOIN pg_roles r ON r.oid = a.grantee
             WHERE a.privilege_type = 'CREATE' AND a.grantee NOT IN (n.nspowner, me.oid)
               AND (a.grantee = 0 OR NOT pg_has_role(a.grantee, d.datdba, 'USAGE')) ORDER BY 1) AS others
FROM pg_roles me JOIN pg_database d ON d.datname = current_database() AND me.rolname = current_user
LEFT JOIN pg_namespace n ON n.nspname = :wanted
WHERE n.oid IS NOT NULL
"""


def check_place(connection: Connection, schema: str | None, wanted: str | None) -> None:
    """Check that nightshift's tables are in one schema, and end the transaction.

    Raises:
        OwnTablesRefused: the tables are in two schemas, or in a schema that only NIGHTSHIFT_SCHEMA would find.
    """
    if connection.dialect.name == "sqlite":
        return
    facts = {"names": list(metadata.tables), "schema": schema, "wanted": wanted}
    places = list(connection.execute(text(_PLACES if wanted else _ELSEWHERE), facts).scalars())
    connection.rollback()
    if places and not wanted:
        raise OwnTablesRefused(
            "nightshift's own tables are in a schema that is not looked at",
            detail=f"{', '.join(places)}; new ones would be made in {schema}, without what the ledger knows",
            hint=f"set NIGHTSHIFT_SCHEMA={places[0]}; for new tables all the same, set it to {schema}",
        )
    if len(places) > 1:
        raise OwnTablesRefused(
            "nightshift's own tables are in two schemas",
            detail=", ".join(places),
            hint="those of one are the archive's ledger: keep these, and DROP the tables nightshift_… of the other",
        )


def settle_schema(database: Database, job: str) -> bool:
    """Move nightshift's tables to the schema NIGHTSHIFT_SCHEMA; the caller holds the run lock of `job`.

    Returns False if the tables were not moved, because another job is running.

    Raises:
        DatabaseUnavailable: the schema could not be created, or the tables could not be moved; nothing was changed.
        OwnTablesRefused: another role owns the schema, or may create objects in the schema.
    """
    wanted = database.wanted_schema
    if wanted is None or not database.is_postgresql:
        return True
    with database.connect() as connection:
        try:
            known = text("SELECT count(*) FROM pg_namespace WHERE nspname = :wanted")
            if not connection.execute(known, {"wanted": wanted}).scalar():
                connection.exec_driver_sql(f"CREATE SCHEMA {quote_identifier(wanted)}")
            check_faults(_faults(connection, wanted))
            settled = database.schema == wanted or _move(connection, str(database.schema), wanted, job)
            connection.commit()
        except DBAPIError as exc:
            connection.rollback()
            raise DatabaseUnavailable(
                f"nightshift's own tables could not be moved to the schema {wanted}",
                detail=server_message(exc),
                hint=f"as the database's owner: CREATE SCHEMA {quote_identifier(wanted)} AUTHORIZATION nightshift's"
                " role, which must own the tables as well; or unset NIGHTSHIFT_SCHEMA",
            ) from exc
    if settled:
        database.schema = wanted
    return settled


def _faults(connection: Connection, wanted: str) -> list[OwnTableFault]:
    """Returns the faults that make a schema unsafe for nightshift's tables."""
    schema = quote_identifier(wanted)
    facts = connection.execute(text(_SCHEMA), {"wanted": wanted}).one()
    faults = [
        OwnTableFault(
            f"schema {wanted}", f"lets {other} create in it", f"REVOKE CREATE ON SCHEMA {schema} FROM {other}"
        )
        for other in facts.others
    ]
    if not facts.owned:
        remedy = f"ALTER SCHEMA {schema} OWNER TO {quote_identifier(facts.me)}"
        faults.append(OwnTableFault(f"schema {wanted}", f"belongs to {facts.owner}", remedy))
    return faults


def _move(connection: Connection, schema: str, wanted: str, job: str) -> bool:
    for other in list_jobs_beside(job):
        taken = text("SELECT pg_try_advisory_xact_lock(:key)")
        if other != job and not connection.execute(taken, {"key": lock_key(other)}).scalar():
            return False
    facts: dict[str, object] = {"schema": schema, "names": list(metadata.tables), "stage": STAGE}
    for table in list(connection.execute(text(_TABLES), facts).scalars()):
        connection.exec_driver_sql(f"ALTER TABLE {table} SET SCHEMA {quote_identifier(wanted)}")
    return True
