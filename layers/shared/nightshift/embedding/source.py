"""Resolves a policy in the database: finds the documents and the target of their vectors, and checks both."""

from __future__ import annotations

import hashlib
import re
import sys
from array import array
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableColumn, TableInfo, TableName, quote_identifier, split_name
from nightshift.database.dialect import describe_table
from nightshift.database.search_path import SCHEMAS
from nightshift.embedding import guards
from nightshift.guards import GuardRefused
from nightshift.policy.embedding import EmbeddingPolicy

DOCUMENT, VECTOR = "document_id", "embedding"
"""Columns that a table of embeddings must have."""
EXTRAS = ("model", "dimension", "content_hash", "embedded_at")
"""Optional columns of a table of embeddings, which nightshift fills if they exist."""

_VECTOR = f"""
SELECT format_type(t.oid, NULL) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typname = 'vector' AND n.nspname = ANY ({SCHEMAS}) ORDER BY array_position({SCHEMAS}, n.nspname) LIMIT 1
"""
"""SQL for the name of pgvector's type in the first schema of the role's own search_path that has it."""

_SIZED = re.compile(r"^(.*(?:vector|halfvec)\"?)\((\d+)\)$")


class VectorFormat(StrEnum):
    """Format of a vector in a column, by the column's type.

    | column | holds |
    |---|---|
    | pgvector's `vector`, `halfvec` | itself |
    | `bytea`, BLOB | little-endian `float32`, four bytes a number |
    | `json`, `jsonb`, `text`, TEXT | a JSON array |
    | `real[]`, `double precision[]` | itself |
    """

    VECTOR = "vector"
    BYTES = "bytes"
    JSON = "json"
    ARRAY = "array"


def form_of(column: TableColumn, *, postgresql: bool) -> VectorFormat | None:
    """Returns the format of vectors in a column; None if it cannot hold any."""
    if not postgresql:
        if column.type_name.upper() in ("JSON", "JSONB"):
            return VectorFormat.JSON
        return {"blob": VectorFormat.BYTES, "text": VectorFormat.JSON}.get(column.base_type)
    match column.base_type.rpartition(".")[2]:
        case "vector" | "halfvec":
            return VectorFormat.VECTOR
        case "bytea":
            return VectorFormat.BYTES
        case "json" | "jsonb" | "text" | "varchar":
            return VectorFormat.JSON
        case "_float4" | "_float8":
            return VectorFormat.ARRAY
    return None


def with_dimension(type_name: str, dimension: int) -> str:
    """Returns the type with another dimension; a type without a dimension is unchanged."""
    match = _SIZED.match(type_name)
    return f"{match.group(1)}({dimension})" if match else type_name


def as_text(vector: array[float], form: VectorFormat) -> str:
    """Returns the vector as text that PostgreSQL casts, or decodes from hexadecimal digits, to the column's type."""
    if form is VectorFormat.BYTES:
        return as_bytes(vector).hex()
    # A `float32` needs nine digits to be read back exactly.
    numbers = ("%.9g," * len(vector))[:-1] % tuple(vector)
    return f"{{{numbers}}}" if form is VectorFormat.ARRAY else f"[{numbers}]"


def as_bytes(vector: array[float]) -> bytes:
    """Returns the vector as little-endian `float32` numbers."""
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return vector.tobytes()


@dataclass(frozen=True, slots=True)
class VectorTarget:
    """Target of the vectors, where readers find them.

    Attributes:
        type_name: type of the vectors' column, as the database prints it.
        own: the vectors are in a separate table, one row per document; otherwise in a column of the documents' table.
        extras: the columns of `EXTRAS` that the table has.
        missing: the table must be created.
        fixed: reason why the column's type cannot be changed; None if it can.
    """

    table: TableName
    column: str
    type_name: str
    form: VectorFormat
    own: bool
    extras: tuple[str, ...] = ()
    missing: bool = False
    fixed: str | None = None

    @property
    def table_label(self) -> str:
        """Returns the target's name, for messages and the ledger."""
        return self.table.label if self.own else f"{self.table.label}.{self.column}"

    @property
    def declared_type(self) -> int | None:
        """Returns the only dimension that the column allows; None if it allows any dimension."""
        match = _SIZED.match(self.type_name)
        return int(match.group(2)) if match else None

    @property
    def staging_target(self) -> str:
        """Returns the name of the stage table, for the vectors of another model."""
        return "nightshift_embedding_stage_" + hashlib.sha256(self.table_label.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class DocumentSource:
    """One policy's documents.

    Attributes:
        texts: the columns of the documents' text, in order.
        version: the column that changes with the text; None if the policy names none.
    """

    table: TableName
    id: TableColumn
    texts: tuple[str, ...]
    version: str | None
    place: VectorTarget


def resolve_policy(connection: Connection, policy: EmbeddingPolicy, dimension: int) -> DocumentSource:
    """Find the tables and columns that a policy names, in one snapshot; raises `GuardRefused`.

    `dimension` is the dimension of the model's vectors, for a table that must be created.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    info = guards.known_table(policy.table, describe_table(connection, policy.table))
    key = guards.embedding_column(info, policy.id)
    guards.check_unique_key(connection, info.name, key.name)
    if connection.dialect.name == "sqlite" and key.base_type not in ("integer", "text"):
        what = f"{info.name.label}.{key.name} is {key.type_name or 'of no type'}"
        raise GuardRefused("wrong_type", what, "SQLite's documents need an id of integers or text")
    texts = tuple(guards.embedding_column(info, name).name for name in policy.text)
    version = guards.embedding_column(info, policy.updated_at).name if policy.updated_at else None
    place = (
        _own_table(connection, info, policy.into, key, dimension) if policy.into else _column(connection, info, policy)
    )
    if place.column in (key.name, version, *texts) and not place.own:
        raise GuardRefused(
            "wrong_type", f"{place.table_label} is the document's own", "name a column that holds nothing else"
        )
    return DocumentSource(info.name, key, texts, version, place)


def _column(connection: Connection, info: TableInfo, policy: EmbeddingPolicy) -> VectorTarget:
    assert policy.embedding is not None  # the policy has one of the two
    column = guards.embedding_column(info, policy.embedding)
    guards.check_privileges(connection, info.name, "UPDATE")
    fixed = guards.check_writable(connection, info.name, column.name)
    form = _form(connection, info, column)
    return VectorTarget(info.name, column.name, column.type_name, form, own=False, fixed=fixed)


def _own_table(
    connection: Connection, documents: TableInfo, written: str, key: TableColumn, dimension: int
) -> VectorTarget:
    """Returns the target for a separate table of embeddings, which may not exist yet."""
    info = describe_table(connection, written)
    if info is None:
        return _new_table(connection, documents, written, dimension)
    guards.known_table(written, info)
    if info.name == documents.name:
        raise GuardRefused(
            "wrong_place",
            f"{written} is the documents' table",
            "in place of `into` write `embedding`, for a column of its own",
        )
    document, column = guards.embedding_column(info, DOCUMENT), guards.embedding_column(info, VECTOR)
    guards.check_unique_key(connection, info.name, document.name)
    if document.base_type != key.base_type:
        theirs = f"{documents.name.label}.{key.name} is {key.type_name}"
        what = f"{info.name.label}.{DOCUMENT} is {document.type_name}, and {theirs}"
        raise GuardRefused("wrong_type", what, "ALTER TABLE one of them, so that both have the same type")
    guards.check_privileges(connection, info.name, "SELECT", "INSERT", "UPDATE", "DELETE")
    fixed = guards.check_writable(connection, info.name, column.name)
    extras = tuple(name for name in EXTRAS if info.column(name) is not None)
    form = _form(connection, info, column)
    return VectorTarget(info.name, column.name, column.type_name, form, own=True, extras=extras, fixed=fixed)


def _new_table(connection: Connection, documents: TableInfo, written: str, dimension: int) -> VectorTarget:
    """Returns the target for a table to create, by default in the documents' schema, with pgvector if installed."""
    parts = split_name(written)
    if parts is None or (len(parts) == 2 and connection.dialect.name == "sqlite"):
        raise GuardRefused(
            "unknown_table",
            f"{written} is no name for a table",
            "write `into` in [[embedding]] as a name, or schema.name",
        )
    # The name is folded to lower case as in CREATE TABLE.
    names = [part if quoted else part.lower() for part, quoted in parts]
    if names[-1].startswith("nightshift_"):
        raise GuardRefused(
            "unknown_table", f"{written}: names like this are nightshift's own", "choose another name for `into`"
        )
    schema = names[0] if len(names) == 2 else documents.name.schema
    name, extras = TableName(schema, names[-1]), EXTRAS
    if connection.dialect.name == "sqlite":
        return VectorTarget(name, VECTOR, "BLOB", VectorFormat.BYTES, own=True, extras=extras, missing=True)
    may = connection.execute(
        text("SELECT has_schema_privilege(n.oid, 'CREATE') FROM pg_namespace n WHERE n.nspname = :schema"),
        {"schema": schema},
    ).scalar()
    if may is None:
        hint = f"CREATE SCHEMA {quote_identifier(schema)}, or correct `into`"
        raise GuardRefused("unknown_table", f"there is no schema {schema} for {written}", hint)
    if not may:
        hint = f"GRANT CREATE ON SCHEMA {quote_identifier(schema)} TO nightshift's role, or create the table yourself"
        raise GuardRefused("privilege", f"there is no table {written}, and nightshift's role may not make it", hint)
    vector = connection.execute(text(_VECTOR)).scalar()
    type_name, form = "bytea", VectorFormat.BYTES
    if vector is not None:
        type_name, form = f"{vector}({dimension})", VectorFormat.VECTOR
    return VectorTarget(name, VECTOR, type_name, form, own=True, extras=extras, missing=True)


def _form(connection: Connection, info: TableInfo, column: TableColumn) -> VectorFormat:
    postgresql = connection.dialect.name == "postgresql"
    form = form_of(column, postgresql=postgresql)
    if form is None:
        what = f"{info.name.label}.{column.name} is {column.type_name or 'of no type'}"
        kinds = "vector, halfvec, bytea, json, jsonb, text, real[]" if postgresql else "BLOB, TEXT or JSON"
        raise GuardRefused("wrong_type", f"{what}: it cannot hold vectors", f"what can: {kinds}")
    return form
