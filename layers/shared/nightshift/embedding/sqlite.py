"""Document store on SQLite, which writes row by row: SQLite allows one writer, so no other session writes in between.

SQLite has no SHA-256 function, so Python functions compute the text and its hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from nightshift.database.catalog import escape_colons, quote_identifier
from nightshift.database.values import format_timestamp
from nightshift.embedding.document_store import LEDGER_COLUMNS, DocumentStore, updates_sql
from nightshift.embedding.models import DocumentResult, EmbeddingModel, Key, VectorStore
from nightshift.embedding.source import DocumentSource, VectorFormat, as_bytes, as_text

_VALUES = ":place, :id, :hash, :version, :model, :dimension, :state, :error, 1, :round, :now"


def _text(*parts: object) -> str:
    """Returns a document's text: its columns that are not NULL, with blank lines between."""
    return "\n\n".join(
        part.decode(errors="replace") if isinstance(part, bytes) else str(part) for part in parts if part is not None
    )


def _hash(*parts: object) -> str:
    return hashlib.sha256(_text(*parts).encode("utf-8", "replace")).hexdigest()


class SqliteDocumentStore(DocumentStore):
    """Document store on SQLite."""

    NOT_SAME = "IS NOT"
    splits = False
    after_sql = ":after"
    keys_sql = "SELECT value FROM json_each(:keys)"

    def __init__(
        self, connection: Connection, source: DocumentSource, model: EmbeddingModel, *, staged: bool = True
    ) -> None:
        super().__init__(connection, source, model, staged=staged)
        driver: Any = connection.connection.dbapi_connection
        driver.create_function("nightshift_text", -1, _text, deterministic=True)
        driver.create_function("nightshift_hash", -1, _hash, deterministic=True)
        self.key_sql = f"d.{self.id}"
        self.id_sql = f"CAST(d.{self.id} AS text)"
        parts = ", ".join(f"d.{escape_colons(quote_identifier(column))}" for column in source.texts)
        self.text_sql, self.hash_sql = f"nightshift_text({parts})", f"nightshift_hash({parts})"

    def begin_migration(self, seconds: float, *, one_moment: bool = False) -> None:  # noqa: ARG002 - nobody else writes anyway
        """See `DocumentStore.begin_migration`; the first statement takes the lock, and waits as the connection does."""
        self.connection.rollback()

    def write_vectors(self, store: VectorStore, outcomes: Sequence[DocumentResult], now: datetime) -> set[str]:
        self.lock_state(store)
        if store is VectorStore.STAGE:
            statement = text(
                f"INSERT OR REPLACE INTO {self.stage} ({LEDGER_COLUMNS}, vector) VALUES ({_VALUES}, :vector)"
            )
            self.connection.execute(statement, [self._parameters(outcome, now) for outcome in outcomes])
            return {outcome.document.id for outcome in outcomes}
        return {outcome.document.id for outcome in outcomes if self._put(outcome, now)}

    def _put(self, outcome: DocumentResult, now: datetime) -> bool:
        """Write one vector to the readers' store and the ledger; returns False if the document's text has changed."""
        parameters = self._parameters(outcome, now)
        same = f"d.{self.id} = :key AND {self.hash_sql} = :hash"
        if not self._rows(text(f"SELECT 1 FROM {self.documents} d WHERE {same}"), parameters):
            return False
        if not self.place.own:
            put = f"UPDATE {self.documents} SET {self.vector} = :vector WHERE {self.id} = :key"
        elif outcome.vector is None:
            put = f"DELETE FROM {self.readers} WHERE document_id = :key"
        else:
            columns, values = self.vector_columns(":hash")
            changed = ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
            put = f"INSERT INTO {self.readers} ({', '.join(columns)}) VALUES (:key, :vector{values})"
            put += f" ON CONFLICT (document_id) DO UPDATE SET {changed}"
        self.connection.execute(text(put), parameters)
        # A trigger of the application may have changed the version.
        where = f"FROM {self.documents} d WHERE d.{self.id} = :key"
        version = self._rows(text(f"SELECT {self.version} AS version {where}"), parameters)[0].version
        self._note(parameters | {"version": version})
        return True

    def _note(self, parameters: dict[str, Any]) -> None:
        noted = f"INSERT INTO {self.ledger} ({LEDGER_COLUMNS}) VALUES ({_VALUES}) ON CONFLICT (place, document_id)"
        self.connection.execute(text(f"{noted} DO UPDATE SET {updates_sql(self.ledger)}"), parameters)

    def mark_rejected(self, outcome: DocumentResult, now: datetime) -> None:
        self.lock_state(VectorStore.READERS)
        self._note(self._parameters(outcome, now))

    def delete_orphaned_embeddings(self) -> int:
        there = f"SELECT 1 FROM {self.documents} d WHERE {self.id_sql} = l.document_id"
        orphans = f"FROM {self.ledger} AS l WHERE l.place = :place AND NOT EXISTS ({there})"
        if self.place.own:
            lost = f"SELECT l.document_id {orphans}"
            dropped = f"DELETE FROM {self.readers} WHERE CAST(document_id AS text) IN ({lost})"
            self.connection.execute(text(dropped), self.facts)
        removed = self.connection.execute(text(f"DELETE {orphans}"), self.facts).rowcount
        self.connection.commit()
        return removed

    def make_place(self) -> None:
        key = "INTEGER" if self.source.id.base_type == "integer" else "TEXT"
        extras = "model TEXT, dimension INTEGER, content_hash TEXT, embedded_at TEXT"
        made = f"CREATE TABLE {self.readers} (document_id {key} PRIMARY KEY, {self.vector} BLOB, {extras})"
        self.connection.execute(text(made))
        self.connection.commit()

    def _parameters(self, outcome: DocumentResult, now: datetime) -> dict[str, Any]:
        document, vector = outcome.document, outcome.vector
        encode = as_bytes if self.place.form is VectorFormat.BYTES else lambda v: as_text(v, self.place.form)
        return {
            **self.facts,
            "now": format_timestamp(now),
            "key": document.key,
            "id": document.id,
            "hash": document.hash,
            "version": document.version,
            "state": outcome.state.value,
            "error": outcome.error,
            "vector": None if vector is None else encode(vector),
        }

    def _keys(self, keys: Sequence[Key]) -> object:
        return json.dumps(list(keys))

    def touch_documents(self, seen: Sequence[tuple[str, str | None]]) -> None:
        statement = f"UPDATE {self.ledger} SET version = :version WHERE place = :place AND document_id = :id"
        rows = [{"place": self.place.table_label, "id": id_, "version": version} for id_, version in seen]
        self.connection.execute(text(statement), rows)
        self.connection.commit()
