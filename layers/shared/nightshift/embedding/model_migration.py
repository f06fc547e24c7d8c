"""Migrates all documents to another model at once: readers never see vectors of two models.

First, one or more runs embed all documents into a stage table; readers see the old model meanwhile. Scans repeat for
documents that are edited or added meanwhile, until a scan finds at most one batch of stale documents. Then one
transaction replaces the old vectors by the stage's vectors, and the ledger's rows as well. The application's writers
wait for this transaction; its readers do not. A document whose current text has no vector in the stage then has no
vector: it was refused, is empty, or was edited after the last scan. A scan after the switch embeds edited documents.

If the column's type has another dimension, the same transaction changes the type, and PostgreSQL rebuilds the column's
indexes with their settings. Readers then wait as well. A REPEATABLE READ transaction that began earlier may find no
document: PostgreSQL's manual ("Caveats" of MVCC) describes this effect of every ALTER TABLE that rewrites a table. No
reader sees vectors of both models.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightshift.database.catalog import escape_colons, quote_literal
from nightshift.database.connect import Database, is_busy, is_timeout
from nightshift.database.own_tables import own_table, schema_of
from nightshift.database.tables import revoke_grants
from nightshift.database.values import format_timestamp
from nightshift.embedding.document_store import LEDGER_COLUMNS, DocumentStore
from nightshift.embedding.models import EmbeddingState, ModelState, VectorStore
from nightshift.embedding.source import with_dimension
from nightshift.errors import NightshiftError

LOCK_SECONDS = 0.8
"""Lock timeout of a statement. PostgreSQL looks for a deadlock after a second, and might end the application's
statement rather than ours."""
TRIES = 10
"""Number of times that a switch requests its lock; writers wait during a request and can work between requests."""


class ModelMigration:
    """Migration of one target from the model that readers see to another."""

    def __init__(self, session: DocumentStore, database: Database) -> None:
        self._session = session
        self._database = database
        self._postgresql = database.is_postgresql
        self._type = with_dimension(session.place.type_name, session.model.dimension)

    @property
    def _retyped(self) -> bool:
        return self._type != self._session.place.type_name

    def prepare_staging(self, standing: ModelState) -> None:
        """Create a stage for the model, or keep the stage of earlier runs with the same model."""
        session, model = self._session, self._session.model
        wanted = (model.name, model.dimension, self._type)
        session.begin_migration(LOCK_SECONDS)
        # Of two concurrent runs, the second waits here for the first.
        self._run(f"SELECT 1 FROM {session.standings} WHERE place = :place{session.alone}")
        if (standing.next_model, standing.next_dimension, standing.next_type) != wanted:
            self._drop()
        session.connection.execute(text(f"CREATE TABLE IF NOT EXISTS {session.stage} ({self._columns()})"))
        revoke_grants(session.connection, [session.place.staging_target])
        session.put_standing(next_model=wanted[0], next_dimension=wanted[1], next_type=wanted[2])
        session.connection.commit()

    def abandon_staging(self) -> None:
        """Drop the stage, because readers already see the wanted model."""
        session = self._session
        session.begin_migration(LOCK_SECONDS)
        self._drop()
        session.put_standing(next_model=None, next_dimension=None, next_type=None)
        session.connection.commit()

    def cut_over(self, now: datetime, announce: Callable[[], None]) -> bool:
        """Replace the readers' vectors by the stage's; calls `announce` immediately before the commit.

        Returns False if the application's locks or the deadline prevented the switch; nothing has changed then.

        Raises:
            ConcurrentModelChange: another run has switched.
            NightshiftError: something keeps vectors from being replaced.
        """
        for _ in range(TRIES if self._postgresql else 1):
            if time.monotonic() > self._database.deadline:
                break
            self._database.refresh_timeouts(self._session.connection)
            try:
                self._swap_once(now, announce)
                return True
            except DBAPIError as exc:
                self._session.connection.rollback()
                if not (is_busy(exc) or is_timeout(exc)):
                    raise
        return False

    def _swap_once(self, now: datetime, announce: Callable[[], None]) -> None:
        session = self._session
        # With one snapshot, no document is deleted between two statements, which would leave it only in the ledger.
        session.begin_migration(LOCK_SECONDS, one_moment=True)
        self._lock()
        session.lock_state(VectorStore.STAGE, alone=True)
        self._run(f"DELETE FROM {session.ledger} WHERE place = :place")
        listed = ", ".join(f"s.{column}" for column in LEDGER_COLUMNS.split(", "))
        current = f"{session.id_sql} = s.document_id AND {session.hash_sql} = s.text_hash"
        staged = f"{session.stage} s JOIN {session.documents} d ON {current}"
        self._run(f"INSERT INTO {session.ledger} ({LEDGER_COLUMNS}) SELECT {listed} FROM {staged}")
        moment = format_timestamp(now, offset=self._postgresql)
        changes = self._own_table() if session.place.own else self._column()
        for statement in changes:
            self._run(statement, now=moment)
        self._prove()
        self._drop()
        facts = {"model": session.model.name, "dimension": session.model.dimension}
        session.put_standing(**facts, switched_at=moment, next_model=None, next_dimension=None, next_type=None)
        announce()
        session.connection.commit()

    def _lock(self) -> None:
        """Lock the target until the commit: no other session can write, or read if the column's type changes."""
        if self._postgresql:
            mode = "ACCESS EXCLUSIVE" if self._retyped else "EXCLUSIVE"
            self._run(f"LOCK TABLE {self._session.readers} IN {mode} MODE")

    def _column(self) -> list[str]:
        session = self._session
        if self._retyped:
            return self._rewritten(session.id)
        document = f"UPDATE {session.documents} AS d SET {session.vector} ="
        noted = f"SELECT 1 FROM {session.ledger} l WHERE l.place = :place AND l.document_id = {session.id_sql}"
        bare = f"d.{session.vector} IS NOT NULL AND NOT EXISTS ({noted} AND l.state = '{EmbeddingState.EMBEDDED}')"
        return [
            f"{document} NULL WHERE {bare}{session.handed}",
            f"{document} s.vector FROM {self._ready()}"
            f" WHERE s.document_id = {session.id_sql} AND s.vector IS NOT NULL{session.handed}",
        ]

    def _own_table(self) -> list[str]:
        session = self._session
        columns, values = session.vector_columns("s.text_hash")
        current = f"{self._ready()} JOIN {session.documents} d ON {session.id_sql} = s.document_id"
        vector = "NULL" if self._retyped else "s.vector"
        filled = f"SELECT d.{session.id}, {vector}{values} FROM {current} WHERE s.vector IS NOT NULL{session.handed}"
        return [
            f"DELETE FROM {session.readers} WHERE 1 = 1{session.handed}",
            f"INSERT INTO {session.readers} ({', '.join(columns)}) {filled}",
            *(self._rewritten("document_id") if self._retyped else ()),
        ]

    def _rewritten(self, key: str) -> list[str]:
        """Returns the statements that change the column's type and fill the column while the table is rewritten. Each
        index is then built once, in bulk; an HNSW index takes several times as long if vectors are added later."""
        session, wanted = self._session, escape_colons(self._type)
        function = escape_colons(own_table(f"{session.place.staging_target}_of", schema_of(session.connection)))
        place = escape_colons(quote_literal(session.place.table_label))
        ready = f"SELECT s.vector FROM {self._ready(place)} WHERE s.document_id = $1"
        body = escape_colons(quote_literal(ready.replace(r"\:", ":")))
        column = f"ALTER COLUMN {session.vector} TYPE {wanted} USING {function}(CAST({key} AS text))"
        return [
            f"CREATE FUNCTION {function}(text) RETURNS {wanted.partition('(')[0]} LANGUAGE sql STABLE AS {body}",
            f"ALTER TABLE {session.readers} {column}",
            f"DROP FUNCTION {function}(text)",
        ]

    def _ready(self, place: str = ":place") -> str:
        """Returns SQL for the stage's rows of current texts, as `s`; the ledger must already be updated."""
        same = f"l.place = {place} AND l.document_id = s.document_id"
        return f"{self._session.stage} s JOIN {self._session.ledger} l ON {same}"

    def _prove(self) -> None:
        """Check that the number of vectors equals the ledger's; a trigger or a rule may have prevented a change."""
        session = self._session
        stored = f"SELECT count(*) FROM {session.readers} WHERE {session.vector} IS NOT NULL"
        noted = f"SELECT count(*) FROM {session.ledger} WHERE place = :place AND state = '{EmbeddingState.EMBEDDED}'"
        [row] = session.connection.execute(text(f"SELECT ({stored}) AS stored, ({noted}) AS noted"), session.facts)
        if row.stored == row.noted:
            return
        session.connection.rollback()
        raise NightshiftError(
            "the embeddings could not be switched to another model",
            detail=f"{session.place.table_label}: {row.noted} vectors were written, and {row.stored} are there",
            hint="a trigger or a rule on the table changes what is written; readers see the old model",
        )

    def _columns(self) -> str:
        moment = "timestamptz" if self._postgresql else "text"
        return (
            "place text NOT NULL, document_id text PRIMARY KEY, text_hash text NOT NULL, version text,"
            " model text NOT NULL, dimension integer NOT NULL, state text NOT NULL, error text,"
            f" attempts integer NOT NULL, round text NOT NULL, embedded_at {moment} NOT NULL,"
            f" vector {escape_colons(self._type)}"
        )

    def _drop(self) -> None:
        self._session.connection.execute(text(f"DROP TABLE IF EXISTS {self._session.stage}"))

    def _run(self, statement: str, **parameters: object) -> None:
        self._session.connection.execute(text(statement), {**self._session.facts, **parameters})
