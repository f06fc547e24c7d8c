"""Documents, an embedder whose vectors tell what they were made from, and the promise that holds whatever happens.

The promise: a vector that a reader finds is of the model that the place's row names, and of the text whose hash the
ledger has; whatever is in the ledger is in its place, and the other way round. `converge` adds what a plain run owes:
each document has one embedding, of its current text.
"""

from __future__ import annotations

import json
import os
import struct
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.event_bus import EventBusServer
from nightshift.database.tables import embedding
from nightshift.progress_events import Listener, ignore_events
from nightshift.runtime import run_job
from tests.support.child import JobChild
from tests.support.handler import Context, environ_of
from tests.support.house import House
from tests.support.running import RunningHouse
from tests.support.telling import TellingEmbedder, TellingWiring, hash_of, telling_work, vector_of

AS_OF = "2025-10-15T00:00:00Z"
COLUMN = '[[embedding]]\ntable = "document"\ntext = "content"\nembedding = "embedding"\n'
INTO = '[[embedding]]\ntable = "document"\ntext = "content"\ninto = "document_embedding"\n'
VERSIONED = 'updated_at = "updated_at"\n'


@dataclass
class DocumentScene(RunningHouse):
    """A deployment with documents.

    Attributes:
        bus: the event bus of the runs.
        embedder: of the runs in this process.
    """

    bus: EventBusServer = field(default_factory=EventBusServer)
    embedder: TellingEmbedder = field(default_factory=TellingEmbedder)

    @property
    def sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    def fill(self, count: int = 20, *, column: str | None = None, policy: str | None = None) -> None:
        """Create `document` with this many documents, and its column `embedding` where a type is given."""
        vector = f", embedding {column}" if column else ""
        self.script(f"CREATE TABLE document (id int PRIMARY KEY, content text, updated_at text{vector})")
        for start in range(1, count + 1, 500):
            numbers = range(start, min(count, start + 499) + 1)
            self.script(
                "INSERT INTO document (id, content, updated_at) VALUES "
                + ", ".join(f"({n}, 'text {n}', '1')" for n in numbers)
            )
        self.policies(policy or (COLUMN if column else INTO))

    def script(self, statements: str) -> None:
        """Run several statements."""
        if not self.sqlite:
            self.sql(statements)
            return
        for statement in statements.split(";"):
            if statement.strip():
                self.sql(statement)

    def run(self, context: Context | None = None, listener: Listener = ignore_events, **event: Any) -> dict[str, Any]:
        """Run the job in its frame, with the scene's embedder."""
        with environ_of(self.env):
            wiring = TellingWiring(dict(os.environ), listener=listener)
            wiring.__dict__["embedder"] = self.embedder
            asked = {"scheduled_time": AS_OF, **event}
            return run_job("reembed", asked, context, wiring)

    def run_table(self, **event: Any) -> dict[str, Any]:
        """The same; the one table's part of the answer."""
        (table,) = self.run(**event)["tables"]
        return dict(table)

    def child(self, env: Mapping[str, str] | None = None, **options: Any) -> JobChild:
        """A run in a process of its own, with an embedder like the scene's; see `JobChild`."""
        described = {"TEST_MODEL": self.embedder.model, "TEST_DIMENSION": str(self.embedder.dimension)}
        child = JobChild(
            {**self.env, **described, **(env or {})},
            {"scheduled_time": AS_OF},
            job="reembed",
            work=telling_work,
            **options,
        )
        self.children.append(child)
        return child

    def contents(self) -> dict[int, str | None]:
        """The documents' texts."""
        return dict(self.sql("SELECT id, content FROM document"))

    def vectors(self) -> dict[int, array[float]]:
        """What readers find, by document."""
        if self.value(self._exists("document_embedding")):
            found = self.sql("SELECT document_id, embedding FROM document_embedding")
        else:
            found = self.sql("SELECT id, embedding FROM document WHERE embedding IS NOT NULL")
        return {int(key): as_vector(value) for key, value in found}

    def ledger_of(self) -> dict[int, dict[str, Any]]:
        """What the ledger says, by document."""
        return {int(row["document_id"]): row for row in self._own_table(embedding.name, "document_id")}

    def expected(self, text: str) -> array[float]:
        """The vector of a text by the scene's model."""
        return vector_of(text, self.embedder.model, self.embedder.dimension)

    def assert_sound(self, texts: Mapping[str, str] | None = None) -> None:
        """The promise; `texts`: further texts that documents once had, by their hashes."""
        known = {hash_of(text): text for text in self.contents().values() if text is not None} | dict(texts or {})
        vectors, ledger = self.vectors(), self.ledger_of()
        places = self._own_table("nightshift_embedding_place", "place")
        embedded = {key: row for key, row in ledger.items() if row["state"] == "embedded"}
        living = self.contents()
        assert vectors.keys() & living.keys() == embedded.keys() & living.keys()
        for key, row in embedded.items():
            if key in living:
                assert (row["model"], row["dimension"]) == (places[0]["model"], places[0]["dimension"])
                assert vectors[key] == vector_of(known[row["text_hash"]], row["model"], row["dimension"])

    def assert_done(self, *, without: Sequence[int] = ()) -> None:
        """Each document has one embedding of its current text by the scene's model, but for those `without`."""
        wanted = {key: text for key, text in self.contents().items() if key not in without}
        assert self.vectors() == {key: self.expected(str(text)) for key, text in wanted.items()}
        stages = "name FROM sqlite_master WHERE name" if self.sqlite else "relname FROM pg_class WHERE relname"
        assert self.sql(f"SELECT {stages} LIKE 'nightshift_embedding_stage_%'") == []

    def _exists(self, table: str) -> str:
        catalogue = "sqlite_master WHERE name" if self.sqlite else "pg_class WHERE relname"
        return f"SELECT count(*) FROM {catalogue} = '{table}'"


def as_vector(value: object) -> array[float]:
    """A vector as the driver gives it, whatever its column."""
    if isinstance(value, bytes):
        return array("f", struct.unpack(f"<{len(value) // 4}f", value))
    return array("f", json.loads(value) if isinstance(value, str) else value)  # type: ignore[arg-type]


class Readers(threading.Thread):
    """Looks at all vectors, again and again, each time by one statement on a connection of its own.

    Attributes:
        looks: what each look found: the marks and dimensions of the vectors, and how many.
    """

    def __init__(self, look: Callable[[], list[tuple[Any, ...]]]) -> None:
        super().__init__(daemon=True)
        self._look = look
        self.looks: list[set[tuple[float, int]]] = []
        self.stop = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                vectors = [as_vector(value) for (value,) in self._look()]
                self.looks.append({(vector[0], len(vector)) for vector in vectors})
        except Exception as exc:
            self.failure = exc

    def await_looks(self, number: int = 2) -> None:
        """Return after so many further looks, or at once if the thread has ended."""
        wanted = len(self.looks) + number
        while len(self.looks) < wanted and self.is_alive():
            time.sleep(0.001)


@pytest.fixture
def documents(house: House) -> Iterator[DocumentScene]:
    """A deployment on PostgreSQL, with pgvector; documents are still to be filled in."""
    with _scene(house) as built:
        built.sql("CREATE EXTENSION vector")
        yield built


@pytest.fixture
def sqlite_documents(sqlite_house: House) -> Iterator[DocumentScene]:
    """The same on SQLite."""
    with _scene(sqlite_house) as built:
        yield built


@contextmanager
def _scene(house: House) -> Iterator[DocumentScene]:
    with EventBusServer() as bus:
        env = house.env | bus.env | {"EMBEDDING_BATCH": "8", "EMBEDDER": "local"}
        built = DocumentScene(env, house.s3, house.slack, house.directory, bus=bus)
        yield built
        built.close()
