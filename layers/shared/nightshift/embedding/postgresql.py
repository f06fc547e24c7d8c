"""Document store on PostgreSQL: one statement writes a batch, and its parameters are texts.

A statement changes a document's row only if the document still has the embedded text. In READ COMMITTED, PostgreSQL
checks the condition again after it has waited for another session's change, so concurrent edits are detected as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from nightshift.database.catalog import escape_colons, quote_identifier
from nightshift.database.search_path import HANDED_OVER
from nightshift.database.values import format_timestamp, operator_sql
from nightshift.embedding.document_store import LEDGER_COLUMNS, DocumentStore, updates_sql
from nightshift.embedding.models import DocumentResult, EmbeddingModel, Key, VectorStore
from nightshift.embedding.source import DocumentSource, VectorFormat, as_text

_ARRAYS = ", ".join(f"CAST(:{facts} AS text[])" for facts in ("ids", "hashes", "versions", "states", "errors"))
_NEW = f"unnest({_ARRAYS}, string_to_array(:vectors, ';', '-')) n(id, hash, version, state, error, vector)"
"""SQL for a batch as rows. All vectors are sent as one text, because the driver examines every letter of an array's
texts, which would take longer than all other work."""
_VALUES = (
    "SELECT :place, id, hash, version, :model, CAST(:dimension AS integer), state, error, 1, :round,"
    " CAST(:now AS timestamptz)"
)


class PostgresqlDocumentStore(DocumentStore):
    """Document store on PostgreSQL."""

    extra_values: Mapping[str, str] = {
        "model": "CAST(:model AS text)",
        "dimension": "CAST(:dimension AS integer)",
        "embedded_at": "CAST(:now AS timestamptz)",
    }
    share, alone, handed = " FOR SHARE", " FOR UPDATE", f" AND {HANDED_OVER}"
    keys_sql = "SELECT CAST(k AS {type}) FROM unnest(CAST(:keys AS text[])) k"

    def __init__(
        self, connection: Connection, source: DocumentSource, model: EmbeddingModel, *, staged: bool = True
    ) -> None:
        super().__init__(connection, source, model, staged=staged)
        if "." in source.id.base_type:  # a type with operators of its own
            self.equal = operator_sql(connection, source.table, source.id.name)
            self.above = operator_sql(connection, source.table, source.id.name, ">")
            self.among = f"{self.equal} ANY"
            connection.rollback()
        self.key_type = escape_colons(source.id.type_name)
        self.keys_sql = self.keys_sql.format(type=self.key_type)
        self.after_sql = f"CAST(:after AS {self.key_type})"
        self.key_sql = self.id_sql = f"CAST(d.{self.id} AS text)"
        parts = ", ".join(f"CAST(d.{escape_colons(quote_identifier(column))} AS text)" for column in source.texts)
        self.text_sql = f"concat_ws(E'\\n\\n', {parts})"
        self.hash_sql = f"encode(sha256(convert_to({self.text_sql}, 'UTF8')), 'hex')"

    def begin_migration(self, seconds: float, *, one_moment: bool = False) -> None:
        """See `DocumentStore.begin_migration`; the lock timeout ends before PostgreSQL's deadlock check (1 s)."""
        self.connection.rollback()
        level = "REPEATABLE READ" if one_moment else "READ COMMITTED"
        self.connection.exec_driver_sql(f"SET TRANSACTION ISOLATION LEVEL {level}")
        # Not by set_config(): a query would take the snapshot before the transaction has its locks.
        self.connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{seconds * 1000:.0f}ms'")

    def write_vectors(self, store: VectorStore, outcomes: Sequence[DocumentResult], now: datetime) -> set[str]:
        self.lock_state(store)
        new = f"new AS (SELECT * FROM {_NEW})"
        if store is VectorStore.STAGE:
            steps, columns, values = [new], f"{LEDGER_COLUMNS}, vector", f"{_VALUES}, {self._cast('vector')} FROM new"
            table, changed = self.stage, f"{updates_sql(self.stage)}, vector = excluded.vector"
        else:
            values = f"{_VALUES} FROM kept WHERE 1 = 1{self.handed}"
            steps, columns = [new, *self._into_place()], LEDGER_COLUMNS
            table, changed = self.ledger, updates_sql(self.ledger)
        statement = (
            f"WITH {', '.join(steps)} INSERT INTO {table} ({columns}) {values}"
            f" ON CONFLICT ({'document_id' if store is VectorStore.STAGE else 'place, document_id'})"
            f" DO UPDATE SET {changed}"
            " RETURNING document_id"
        )
        return {row.document_id for row in self._rows(text(statement), self._parameters(outcomes, now))}

    def _into_place(self) -> list[str]:
        """Returns the CTEs that write vectors to the readers' store; the CTE `kept` holds the written documents."""
        same = f"d.{self.id} {self.equal} CAST(n.id AS {self.key_type}) AND {self.hash_sql} = n.hash"
        known = f"n.id, n.hash, n.state, n.error, {self.version} AS version"
        if not self.place.own:
            vector = self._cast("n.vector")
            update = f"UPDATE {self.documents} d SET {self.vector} = {vector} FROM new n WHERE {same} RETURNING {known}"
            return [f"kept AS ({update})"]
        columns, values = self.vector_columns("k.hash")
        changed = ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
        key = f"CAST(k.id AS {self.key_type})"
        return [
            f"kept AS MATERIALIZED (SELECT {known}, n.vector FROM {self.documents} d JOIN new n ON {same})",
            f"emptied AS (DELETE FROM {self.readers} e USING kept k"
            f" WHERE e.document_id {self.equal} {key} AND k.vector IS NULL)",
            f"filled AS (INSERT INTO {self.readers} ({', '.join(columns)})"
            f" SELECT {key}, {self._cast('k.vector')}{values} FROM kept k WHERE k.vector IS NOT NULL"
            f" ON CONFLICT (document_id) DO UPDATE SET {changed})",
        ]

    def mark_rejected(self, outcome: DocumentResult, now: datetime) -> None:
        self.lock_state(VectorStore.READERS)
        values = f"{_VALUES} FROM {_NEW}"
        statement = f"INSERT INTO {self.ledger} ({LEDGER_COLUMNS}) {values} ON CONFLICT (place, document_id) DO UPDATE"
        self.connection.execute(text(f"{statement} SET {updates_sql(self.ledger)}"), self._parameters([outcome], now))

    def delete_orphaned_embeddings(self) -> int:
        there = f"SELECT 1 FROM {self.documents} d WHERE {self.id_sql} = l.document_id"
        orphans = f"DELETE FROM {self.ledger} l WHERE l.place = :place AND NOT EXISTS ({there}) RETURNING l.document_id"
        steps = [f"gone AS ({orphans})"]
        if self.place.own:
            same = f"e.document_id {self.equal} CAST(g.document_id AS {self.key_type})"
            steps.append(f"dropped AS (DELETE FROM {self.readers} e USING gone g WHERE {same})")
        [row] = self._rows(
            text(f"WITH {', '.join(steps)} SELECT count(*) AS n FROM gone WHERE {HANDED_OVER}"), self.facts
        )
        self.connection.commit()
        return int(row.n)

    def make_place(self) -> None:
        columns = [f"document_id {self.key_type} PRIMARY KEY", f"{self.vector} {escape_colons(self.place.type_name)}"]
        columns += ["model text", "dimension integer", "content_hash text", "embedded_at timestamptz"]
        self.connection.execute(text(f"CREATE TABLE {self.readers} ({', '.join(columns)})"))
        self.connection.commit()

    def _cast(self, expression: str) -> str:
        """Returns SQL that converts a vector's text to the type of the vectors' column."""
        if self.place.form is VectorFormat.BYTES:
            return f"decode({expression}, 'hex')"
        # Without the column's dimension, because the stage's dimension may differ.
        kind = (
            self.place.type_name.partition("(")[0] if self.place.form is VectorFormat.VECTOR else self.place.type_name
        )
        return f"CAST({expression} AS {escape_colons(kind)})"

    def _parameters(self, outcomes: Sequence[DocumentResult], now: datetime) -> dict[str, object]:
        return {
            **self.facts,
            "now": format_timestamp(now, offset=True),
            "ids": [outcome.document.id for outcome in outcomes],
            "hashes": [outcome.document.hash for outcome in outcomes],
            "versions": [outcome.document.version for outcome in outcomes],
            "states": [outcome.state.value for outcome in outcomes],
            "errors": [outcome.error for outcome in outcomes],
            "vectors": ";".join("-" if o.vector is None else as_text(o.vector, self.place.form) for o in outcomes),
        }

    def _keys(self, keys: Sequence[Key]) -> object:
        return list(keys)

    def touch_documents(self, seen: Sequence[tuple[str, str | None]]) -> None:
        statement = (
            f"UPDATE {self.ledger} l SET version = n.version"
            " FROM unnest(CAST(:ids AS text[]), CAST(:versions AS text[])) n(id, version)"
            " WHERE l.place = :place AND l.document_id = n.id"
        )
        ids, versions = [id_ for id_, _ in seen], [version for _, version in seen]
        self.connection.execute(text(statement), {"place": self.place.table_label, "ids": ids, "versions": versions})
        self.connection.commit()
