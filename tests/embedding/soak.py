"""A soak: `kill -9` at random moments, again and again, of runs that embed documents while the application edits them.

    python -m tests.embedding.soak --kills 20 --documents 20000

After every kill what readers find is checked: one model's vectors, each of the text that the ledger names. Whenever a
run is through before its moment, the next one is given something to do: another dimension for all documents, so that
runs are killed while they switch, too, or an edit of every other document. At the end a run without a kill must leave
each document with one embedding of its current text, computed anew here; the run after that must ask the model nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import threading
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from local.chatlog import connect
from local.documents import POLICY, create_documents
from local.event_bus import EventBusServer
from nightshift.embedders.text_embedder import TextEmbedder, make_embedder
from nightshift.settings import Settings
from tests.support.child import JobChild, Work
from tests.support.embedding import AS_OF, DocumentScene
from tests.support.soaking import NO_LOCKS, Ground, Kills, await_step, soak
from tests.support.telling import TellingEmbedder, local_work, telling_work

NOW = datetime(2025, 10, 15, tzinfo=UTC)
EDIT = "UPDATE document SET content = content || ' {mark}', updated_at = now() WHERE {which}"


@dataclass
class Tally:
    """What a soak has seen.

    Attributes:
        kills: how the runs ended.
        switches: how often the dimension was changed.
        asked: texts that the model was asked for, over all runs.
        documents: that are there at the end, all with one embedding of their text.
        again: texts that a last run asked for, when nothing had changed.
        edits: what the application did meanwhile.
    """

    kills: Kills = field(default_factory=Kills)
    switches: int = 0
    asked: int = 0
    documents: int = 0
    again: int = 0
    edits: int = 0

    def lines(self) -> list[str]:
        return [
            *self.kills.lines(),
            f"switches      {self.switches} to another dimension",
            f"application   {self.edits} statements",
            f"documents     {self.documents:,}, each with one embedding of its current text",
            f"model         asked for {self.asked:,} texts; by a last run, with nothing changed: {self.again}",
        ]


class Application(threading.Thread):
    """Edits, adds and removes a few documents, all the time."""

    def __init__(self, url: str, documents: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._last = documents
        self._chance = random.Random(seed)
        self.stop = threading.Event()
        self.done = 0

    def run(self) -> None:
        with contextlib.closing(connect(self._url)) as connection:
            while not self.stop.wait(0.01):
                connection.run(self._statement())
                self.done += 1

    def _statement(self) -> str:
        number = self._chance.randint(1, self._last)
        match self._chance.randrange(4):
            case 0:
                self._last += 1
                values = f"{self._last}, 'new', 'document {self._last}', now()"
                return f"INSERT INTO document (id, title, content, updated_at) VALUES ({values})"
            case 1:
                return f"DELETE FROM document WHERE id = {number}"
            case _:
                return EDIT.format(mark=self.done, which=f"id = {number}")


class Soak:
    """Kills runs.

    Args:
        scene: with documents in it.
        work: what a run does: `local_work` or `telling_work`.
        dimensions: of the vectors, in turn.
        seed: of the moments, and of the application.
    """

    def __init__(
        self, scene: DocumentScene, work: Work, *, documents: int, dimensions: Sequence[int], seed: int
    ) -> None:
        self.tally = Tally()
        self._scene = scene
        self._work = work
        self._chance = random.Random(seed)
        self._application = Application(scene.url, documents, seed)
        self._book = scene.directory / "asked"
        self._dimensions = dimensions
        # A run announces four steps a batch.
        self._steps = 4 * documents // int(scene.env["EMBEDDING_BATCH"])

    def run(self, kills: int) -> Tally:
        """Kill that many runs, then let one end.

        Raises:
            AssertionError: a document has no embedding, or another one than of its text.
        """
        self._application.start()
        try:
            while self.tally.kills.total < kills:
                self._kill_one(self._chance.randrange(max(1, 3 * self._steps // kills)))
                self._check()
                assert self._application.is_alive(), "the application failed"
        finally:
            self._application.stop.set()
            self._application.join()
        self.tally.edits = self._application.done
        self._complete()
        self._compare()
        self.tally.asked = before = self._asked()
        self._complete()
        self.tally.again = self._asked() - before
        return self.tally

    def _kill_one(self, step: int) -> None:
        child = self._start()
        await_step(child, step, self._chance)
        if not self.tally.kills.kill(child):
            self._give_work()
        self._scene.children.clear()

    @property
    def _dimension(self) -> int:
        return self._dimensions[self.tally.switches % len(self._dimensions)]

    def _give_work(self) -> None:
        if self.tally.kills.completed % 2:
            self.tally.switches += 1
            return
        self._scene.sql(EDIT.format(mark=f"again {self.tally.kills.completed}", which="id % 2 = 0"))

    def _start(self) -> JobChild:
        self._scene.await_value(NO_LOCKS, 0)
        dimension = str(self._dimension)
        child = JobChild(
            {
                **self._scene.env,
                "EMBEDDING_DIMENSION": dimension,
                "TEST_DIMENSION": dimension,
                "TEST_BOOK": str(self._book),
            },
            {"scheduled_time": AS_OF},
            job="reembed",
            work=self._work,
        )
        self._scene.children.append(child)
        return child

    def _complete(self) -> None:
        child = self._start()
        assert child.wait() == 0, child.log
        assert child.answer is not None
        assert child.answer["complete"], child.answer
        self._scene.children.clear()

    def _check(self) -> None:
        """Vectors, ledger and place agree with each other."""
        self._scene.await_quiet()
        if not self._scene.value("SELECT count(*) FROM pg_class WHERE relname = 'document_embedding'"):
            return
        wrong = self._scene.value(
            "SELECT count(*) FROM document_embedding e FULL JOIN"
            " (SELECT * FROM nightshift_embedding WHERE state = 'embedded') l ON l.document_id = e.document_id::text"
            " LEFT JOIN nightshift_embedding_place p ON true"
            " WHERE l.document_id IS NULL OR e.document_id IS NULL OR l.text_hash IS DISTINCT FROM e.content_hash"
            " OR vector_dims(e.embedding) IS DISTINCT FROM p.dimension OR l.dimension IS DISTINCT FROM p.dimension"
        )
        assert wrong == 0, f"{wrong} embeddings are not what the ledger says"

    def _compare(self) -> None:
        """Each document has the one vector that the model makes of its text."""
        texts = dict(self._scene.sql("SELECT id, concat_ws(E'\\n\\n', title, content) FROM document"))
        vectors = self._scene.vectors()
        assert texts.keys() == vectors.keys()
        embedder = self._embedder()
        keys = sorted(texts)
        for start in range(0, len(keys), 1000):
            batch = keys[start : start + 1000]
            wanted = embedder.embed([str(texts[key]) for key in batch], deadline=time.monotonic() + 3600).vectors
            found: list[array[float] | None] = [vectors[key] for key in batch]
            assert found == wanted
        self.tally.documents = len(texts)

    def _embedder(self) -> TextEmbedder:
        if self._work is telling_work:
            return TellingEmbedder(self._scene.env["TEST_MODEL"], self._dimension)
        settings = {"EMBEDDER": "local", "EMBEDDING_DIMENSION": str(self._dimension)}
        return make_embedder(Settings.from_env(settings))

    def _asked(self) -> int:
        return len(self._book.read_text().splitlines())


def main(arguments: list[str]) -> None:
    """Run a soak with the local embedder."""
    soak("tests.embedding.soak", arguments, _play, kills=20, documents=20_000)


def _play(chosen: argparse.Namespace, ground: Ground) -> Tally:
    with EventBusServer() as bus:
        env = {**ground.env, **bus.env, "EMBEDDER": "local", "EMBEDDING_BATCH": "64"}
        scene = DocumentScene(env, *ground[1:], bus=bus)
        scene.sql("CREATE EXTENSION vector")
        create_documents(scene.url, chosen.documents, end=NOW)
        scene.policies(POLICY)
        tally = Soak(scene, local_work, documents=chosen.documents, dimensions=(256, 320), seed=chosen.seed).run(
            chosen.kills
        )
        scene.close()
    return tally


if __name__ == "__main__":
    main(sys.argv[1:])
