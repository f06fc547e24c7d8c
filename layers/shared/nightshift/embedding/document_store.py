"""Queries of the documents' database. A method runs at most one transaction.

There are two vector stores. The readers' store is the policy's target, and the ledger records its vectors. The stage is
one of nightshift's tables, for the vectors of another model. Every transaction that writes vectors first locks the
target's state row and checks that the models are unchanged. A run that has lost its lock to a run with another model
therefore writes nothing.

The database compares documents by the SHA-256 of their text, so only texts to be embedded are sent to the client. If a
policy names `updated_at`, and its value equals the value in the ledger, no hash is computed. The values are compared
for equality, not with the time of the embedding, because a long transaction may commit an old time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, TextClause, text

from nightshift.database.catalog import escape_colons, quote_identifier
from nightshift.database.own_tables import own_table, schema_of
from nightshift.database.tables import embedding, embedding_place, table_exists
from nightshift.embedding.models import (
    ConcurrentModelChange,
    DocumentFilter,
    DocumentPage,
    DocumentResult,
    EmbeddingModel,
    EmbeddingState,
    Key,
    ModelState,
    SourceDocument,
    VectorStore,
)
from nightshift.embedding.source import DocumentSource

LEDGER_COLUMNS = "place, document_id, text_hash, version, model, dimension, state, error, attempts, round, embedded_at"


class DocumentStore(ABC):
    """A connection to the documents' database, with the queries for PostgreSQL and SQLite."""

    NOT_SAME = "IS DISTINCT FROM"

    def __init__(
        self, connection: Connection, source: DocumentSource, model: EmbeddingModel, *, staged: bool = True
    ) -> None:
        """Prepare the SQL names; `staged` is False if an existing stage is for another model."""
        self._staged = staged
        self.connection = connection
        self.source = source
        self.place = source.place
        self.model = model
        self.documents = escape_colons(source.table.sql)
        self.readers = escape_colons(self.place.table.sql)
        schema = schema_of(connection)
        self.ledger, self.standings, self.stage = (
            escape_colons(own_table(table, schema)) for table in (embedding, embedding_place, self.place.staging_target)
        )
        self.id = escape_colons(quote_identifier(source.id.name))
        self.vector = escape_colons(quote_identifier(self.place.column))
        version = f"d.{escape_colons(quote_identifier(source.version))}" if source.version else "NULL"
        self.version = f"CAST({version} AS text)"
        self.facts = {
            "place": self.place.table_label,
            "model": model.name,
            "dimension": model.dimension,
            "round": model.round,
        }

    # ---- Looking

    def read_page(self, store: VectorStore, choice: DocumentFilter, after: Key | None, limit: int) -> DocumentPage:
        """Returns the next documents in the order of their ids, compared with the source of their stored vectors."""
        parameters = {**self.facts, "limit": limit} | ({} if after is None else {"after": after})
        rows = self._rows(text(self._page_sql(store, choice, first=after is None)), parameters)
        self.connection.rollback()
        touched = tuple((row.id, row.version) for row in rows if row.touched and not row.stale)
        last = rows[-1].key if len(rows) == limit else None
        return DocumentPage(len(rows), tuple(row.key for row in rows if row.stale), touched, last)

    def count_remaining(self, store: VectorStore, choice: DocumentFilter, after: Key | None) -> int:
        """Returns the number of documents after `after` to be embedded, as far as it is known without reading them."""
        where = self._beyond(choice, first=after is None)
        maybe = f"({self._certain(store, choice)}" + ("" if choice.force else f" OR NOT ({self._same_version()})") + ")"
        statement = f"SELECT count(*) AS n FROM {self.documents} d {self._known(store)} WHERE {where} AND {maybe}"
        [row] = self._rows(text(statement), dict(self.facts) | ({} if after is None else {"after": after}))
        self.connection.rollback()
        return int(row.n)

    def read_texts(self, keys: Sequence[Key]) -> list[SourceDocument]:
        """Returns the existing documents among these keys, with their texts."""
        statement = (
            f"SELECT {self.key_sql} AS key, {self.id_sql} AS id, {self.text_sql} AS text, {self.hash_sql} AS hash,"
            f" {self.version} AS version FROM {self.documents} d WHERE d.{self.id} {self.among} ({self.keys_sql})"
        )
        rows = self._rows(text(statement), {"keys": self._keys(keys)})
        self.connection.rollback()
        return [SourceDocument(row.key, row.id, row.text, row.hash, row.version) for row in rows]

    def load_state(self) -> ModelState | None:
        """Returns the target's state row; None if there is none."""
        rows = []
        if table_exists(self.connection, embedding_place):
            rows = self._rows(text(f"SELECT * FROM {self.standings} WHERE place = :place"), self.facts)
        self.connection.rollback()
        names = ("model", "dimension", "next_model", "next_dimension", "next_type")
        return ModelState(*(getattr(rows[0], column) for column in names)) if rows else None

    def has_vectors(self) -> bool:
        """Returns whether the readers' store has any vector."""
        if self.place.missing:
            return False
        rows = self._rows(text(f"SELECT 1 FROM {self.readers} WHERE {self.vector} IS NOT NULL LIMIT 1"), {})
        self.connection.rollback()
        return bool(rows)

    def _page_sql(self, store: VectorStore, choice: DocumentFilter, *, first: bool) -> str:
        """Returns SQL for a page; a subquery selects the page first, so that only the page's texts are hashed."""
        beyond = self._beyond(choice, first=first)
        page = f"SELECT * FROM {self.documents} d WHERE {beyond} ORDER BY d.{self.id} LIMIT :limit"
        stale = f"CASE WHEN {self._certain(store, choice)} THEN 1"
        if choice.force:
            stale += " ELSE 0 END"
        else:
            trusted = f" WHEN {self._same_version()} THEN 0" if choice.trusting else ""
            stale += f"{trusted} WHEN l.text_hash <> {self.hash_sql} THEN 1 ELSE 0 END"
        return (
            f"SELECT {self.key_sql} AS key, {self.id_sql} AS id, {self.version} AS version, {stale} AS stale,"
            f" CASE WHEN l.version {self.NOT_SAME} {self.version} THEN 1 ELSE 0 END AS touched"
            f" FROM ({page}) d {self._known(store)} ORDER BY d.{self.id}"
        )

    def _beyond(self, choice: DocumentFilter, *, first: bool) -> str:
        where = f"d.{self.id} IS NOT NULL" if first else f"d.{self.id} {self.above} {self.after_sql}"
        if choice.among is None:
            return where
        among = escape_colons(choice.among)
        return f"{where} AND {self.id_sql} IN (SELECT w.id FROM ({among}) w)"

    def _known(self, store: VectorStore) -> str:
        """Returns SQL that joins a document's ledger entry for a store, as `l`, and its vector, as `e`."""
        noted = self._stage_or_nothing if store is VectorStore.STAGE else self._ledger_or_nothing
        join = f"LEFT JOIN {noted} l ON l.place = :place AND l.document_id = {self.id_sql}"
        if store is VectorStore.READERS and self.place.own and not self.place.missing:
            join += f" LEFT JOIN {self.readers} e ON e.document_id {self.equal} d.{self.id}"
        return join

    def _certain(self, store: VectorStore, choice: DocumentFilter) -> str:
        """Returns the SQL condition under which a document must be embedded, regardless of its text."""
        if self.place.missing and store is VectorStore.READERS:
            return "1 = 1"
        vector = "l.vector" if store is VectorStore.STAGE else f"{'e' if self.place.own else 'd'}.{self.vector}"
        lost = f"(l.state = '{EmbeddingState.EMBEDDED}' AND {vector} IS NULL)"
        known = f"l.document_id IS NULL OR l.model <> :model OR l.dimension <> :dimension OR {lost}"
        return f"({known} OR l.round <> :round)" if choice.force else f"({known})"

    def _same_version(self) -> str:
        return f"COALESCE(l.version = {self.version}, 1 = 0)"

    # ---- Writing

    @abstractmethod
    def begin_migration(self, seconds: float, *, one_moment: bool = False) -> None:
        """Begin a transaction that writes.

        Args:
            seconds: time that a statement waits for another session's lock.
            one_moment: all queries of the transaction see one snapshot.
        """

    @abstractmethod
    def write_vectors(self, store: VectorStore, outcomes: Sequence[DocumentResult], now: datetime) -> set[str]:
        """Write vectors, with the hashes of their texts, to a store. The caller commits.

        Returns the ids of the written documents; a document whose text has changed is not written.

        Raises:
            ConcurrentModelChange: another run has changed the readers' model or the stage's model.
        """

    @abstractmethod
    def mark_rejected(self, outcome: DocumentResult, now: datetime) -> None:
        """Record that a document of the readers' store was refused, and keep its vector. The caller commits."""

    @abstractmethod
    def touch_documents(self, seen: Sequence[tuple[str, str | None]]) -> None:
        """Record the `updated_at` of documents of the readers' store whose text is unchanged, and commit."""

    @abstractmethod
    def delete_orphaned_embeddings(self) -> int:
        """Delete the embeddings of deleted documents, commit, and return the number of embeddings."""

    @abstractmethod
    def make_place(self) -> None:
        """Create the table of embeddings, and commit."""

    @cached_property
    def _ledger_or_nothing(self) -> str:
        return self.ledger if table_exists(self.connection, embedding) else _NOTHING

    @cached_property
    def _stage_or_nothing(self) -> str:
        return self.stage if self._staged and table_exists(self.connection, self.place.staging_target) else _NOTHING

    def lock_state(self, store: VectorStore, *, alone: bool = False) -> None:
        """Lock the target's state row, shared or `alone`; raises `ConcurrentModelChange` if the model has changed."""
        prefix = "next_" if store is VectorStore.STAGE else ""
        held = (
            f"SELECT 1 AS held FROM {self.standings} WHERE place = :place"
            f" AND {prefix}model = :model AND {prefix}dimension = :dimension{self.alone if alone else self.share}"
        )
        if not self._rows(text(held), self.facts):
            raise ConcurrentModelChange(
                "another run has changed the model of the embeddings",
                detail=self.place.table_label,
                hint="deploy one EMBEDDING_MODEL; the next run goes on with it",
            )

    def claim_vectors(self, model: EmbeddingModel | None) -> None:
        """Insert a state row with the model of existing vectors (None: unknown) if there is no row, and commit."""
        made = f"INSERT INTO {self.standings} (place, model, dimension) VALUES (:place, :model, :dimension)"
        name, dimension = (model.name, model.dimension) if model else (None, None)
        parameters = {"place": self.place.table_label, "model": name, "dimension": dimension}
        self.connection.execute(text(f"{made} ON CONFLICT (place) DO NOTHING"), parameters)
        self.connection.commit()

    def put_standing(self, **facts: object) -> None:
        """Update or insert the target's state row. The caller commits."""
        columns, values = ", ".join(facts), ", ".join(f":{column}" for column in facts)
        made = f"INSERT INTO {self.standings} (place, {columns}) VALUES (:place, {values})"
        changed = ", ".join(f"{column} = excluded.{column}" for column in facts)
        statement = text(f"{made} ON CONFLICT (place) DO UPDATE SET {changed}")
        self.connection.execute(statement, {"place": self.place.table_label, **facts})

    # ---- What the databases say differently

    splits = True
    """True if the other documents of a batch can be written while one document is locked."""

    extra_values: Mapping[str, str] = {"model": ":model", "dimension": ":dimension", "embedded_at": ":now"}
    """SQL values of the columns `source.EXTRAS` of a table of embeddings, except the hash."""

    def vector_columns(self, hash_sql: str) -> tuple[list[str], str]:
        """Returns a table of embeddings' columns, and SQL values, each after a comma, for those after the vector."""
        values, extras = {**self.extra_values, "content_hash": hash_sql}, self.place.extras
        return ["document_id", self.vector, *extras], "".join(f", {values[extra]}" for extra in extras)

    share = alone = ""
    """End of a SELECT that locks rows, with a shared or an exclusive lock."""
    equal, above, among = "=", ">", "IN"
    """Operators on documents' keys."""
    handed = ""
    """End of the condition of a statement that changes a user's table, see `database.search_path`."""
    key_sql: str
    """SQL for the key of a document with alias `d`; the next three are its id, text and hash."""
    id_sql: str
    text_sql: str
    hash_sql: str
    after_sql: str
    """SQL for the parameter `:after` in the key's type."""
    keys_sql: str
    """SQL query for the keys in the parameter `:keys`."""

    @abstractmethod
    def _keys(self, keys: Sequence[Key]) -> object:
        """Returns the parameter `:keys` of `keys_sql`."""

    def _rows(self, statement: TextClause, parameters: dict[str, Any]) -> list[Any]:
        return list(self.connection.execute(statement, parameters))


_NOTHING = (
    "(SELECT CAST(NULL AS text) AS place, CAST(NULL AS text) AS document_id, CAST(NULL AS text) AS text_hash,"
    " CAST(NULL AS text) AS version, CAST(NULL AS text) AS model, CAST(NULL AS integer) AS dimension,"
    " CAST(NULL AS text) AS state, CAST(NULL AS text) AS round, CAST(NULL AS text) AS vector WHERE 1 = 0)"
)
"""SQL for an empty ledger or stage, used if the table does not exist, as in a dry run."""


def updates_sql(table: str) -> str:
    """Returns the assignments by which a new ledger entry updates an existing one of a table."""
    again = f"excluded.state = '{EmbeddingState.REFUSED}' AND {table}.text_hash = excluded.text_hash"
    columns = (column for column in LEDGER_COLUMNS.split(", ")[2:] if column != "attempts")
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return f"{changes}, attempts = CASE WHEN {again} THEN {table}.attempts + 1 ELSE 1 END"
