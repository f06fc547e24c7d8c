"""Another model for all documents at once: whatever happens, no reader ever finds vectors of two models."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from local.chatlog import connect
from nightshift.errors import NightshiftError
from nightshift.progress_events import ProgressEvent, ProgressStep
from tests.support.embedding import COLUMN, INTO, DocumentScene, Readers
from tests.support.telling import POISON, hash_of, mark_of

PLACES = [("into", 4), ("into", 6), ("vector", 6), ("vector(4)", 4), ("vector(4)", 6), ("halfvec(4)", 6), ("bytea", 6)]


def switched(scene: DocumentScene, kind: str, dimension: int) -> str:
    """Fill a place with the first model, and set the second; the query by which readers look."""
    own = kind == "into"
    scene.fill(30, column=None if own else kind, policy=INTO if own else COLUMN)
    scene.run_table()
    scene.embedder.model, scene.embedder.dimension = "model-b", dimension
    return f"SELECT embedding FROM {'document_embedding' if own else 'document'} WHERE embedding IS NOT NULL"


@pytest.mark.fast_cases("into-6", "vector-6")
@pytest.mark.parametrize(("kind", "dimension"), PLACES)
def test_readers_see_one_model_or_the_other(documents: DocumentScene, kind: str, dimension: int) -> None:
    look = switched(documents, kind, dimension)
    with closing(connect(documents.url)) as connection:
        readers = Readers(lambda: [tuple(row) for row in connection.run(look) or ()])
        before, looked = {(mark_of("model-a"), 4)}, []

        def wait_for_a_look(event: ProgressEvent) -> None:
            """Between any two steps of ours, readers have looked once; not where they have to wait for us."""
            waiting = event.step is ProgressStep.COMMITTING and kind.endswith(")") and dimension == 6
            waiting = waiting or (event.step is ProgressStep.COMMITTING and (kind, dimension) == ("into", 6))
            if not waiting:
                readers.await_looks()
            if event.step is not ProgressStep.SETTLED:
                looked.append((event.step, readers.looks[-1]))

        readers.start()
        table = documents.run(listener=wait_for_a_look)["tables"][0]
        readers.await_looks()
        readers.stop.set()
        readers.join()
    assert readers.failure is None
    after = {(mark_of("model-b"), dimension)}
    assert (table["switched"], table["embedded"], table["scope"]) == (True, 30, "all")
    assert [found for found in readers.looks if found not in (before, after)] == []
    assert all(found == before for _, found in looked)
    assert {step for step, _ in looked} >= {ProgressStep.PLANNED, ProgressStep.COMMITTING, ProgressStep.COMMITTED}
    assert readers.looks[-1] == after
    documents.assert_done()
    documents.assert_sound()


@pytest.mark.parametrize("kind", ["into", "BLOB", "TEXT"])
def test_sqlite(sqlite_documents: DocumentScene, kind: str) -> None:
    look = switched(sqlite_documents, kind, 6)
    found: list[set[tuple[float, int]]] = []
    readers = Readers(lambda: sqlite_documents.sql(look))

    def see(event: ProgressEvent) -> None:
        if event.step is ProgressStep.COMMITTING and event.rows:
            found.append({(vector[0], len(vector)) for vector in sqlite_documents.vectors().values()})

    readers.start()
    assert sqlite_documents.run(listener=see)["tables"][0]["switched"]
    readers.stop.set()
    readers.join()
    assert readers.failure is None
    before, after = {(mark_of("model-a"), 4)}, {(mark_of("model-b"), 6)}
    assert found == [before] * 4
    assert [look for look in readers.looks if look not in (before, after)] == []
    sqlite_documents.assert_done()
    sqlite_documents.assert_sound()


def test_indexes_survive(documents: DocumentScene) -> None:
    documents.fill(30, column="vector(4)")
    documents.sql("CREATE INDEX near ON document USING hnsw (embedding vector_l2_ops) WITH (m = 8)")
    documents.sql("CREATE INDEX nearer ON document USING ivfflat (embedding vector_cosine_ops) WITH (lists = 2)")
    documents.run_table()
    documents.embedder.model, documents.embedder.dimension = "model-b", 6
    documents.run_table()
    documents.assert_done()
    found = documents.sql("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'document' ORDER BY 1")
    assert [name for name, _ in found] == ["document_pkey", "near", "nearer"]
    assert "hnsw (embedding vector_l2_ops) WITH (m='8')" in str(found[1][1])
    documents.sql("SET enable_seqscan = off; SET enable_sort = off")
    nearest = "SELECT id FROM document ORDER BY embedding <-> (SELECT embedding FROM document WHERE id = 7) LIMIT 1"
    assert documents.value(nearest) == 7
    assert "near" in str(documents.sql(f"EXPLAIN {nearest}"))


def test_over_several_runs_while_the_application_writes(documents: DocumentScene) -> None:
    documents.fill(30, column="vector(4)")
    documents.run_table()
    documents.embedder.model, documents.embedder.dimension, documents.embedder.patience = "model-b", 6, 13
    documents.embedder.texts.clear()

    answer = documents.run()

    (table,) = answer["tables"]
    assert (answer["status"], table["embedded"], table["left"], table["switched"]) == ("partial", 13, 17, False)
    assert answer["continues"] is True
    documents.assert_sound()
    assert {len(vector) for vector in documents.vectors().values()} == {4}

    documents.sql("UPDATE document SET content = 'edited' WHERE id IN (2, 29)")
    documents.sql("DELETE FROM document WHERE id IN (3, 30)")
    documents.sql("INSERT INTO document VALUES (31, 'text 31', '1')")
    documents.embedder.patience = float("inf")
    answer = documents.run()
    (table,) = answer["tables"]
    assert (answer["status"], table["switched"], table["unchanged"]) == ("ok", True, 11)
    assert len(documents.embedder.texts) == 13 + 1 + 17
    documents.assert_done()
    documents.assert_sound()


def test_edits_between_the_last_look_and_the_switch(anywhere: DocumentScene) -> None:
    """They are left without a vector rather than with one of the old model, and embedded right after."""
    anywhere.fill(30)
    anywhere.run_table()
    anywhere.embedder.model = "model-b"
    seen = []

    def edit(event: ProgressEvent) -> None:
        if event.step is ProgressStep.PLANNED:
            anywhere.script("UPDATE document SET content = 'edited' WHERE id = 2; DELETE FROM document WHERE id = 3")
            anywhere.sql("INSERT INTO document VALUES (31, 'text 31', '1')")
        if event.step is ProgressStep.SETTLED:
            seen.append(anywhere.vectors().keys())

    table = anywhere.run(listener=edit)["tables"][0]
    assert seen == [set(range(1, 31)) - {2, 3}]
    assert (table["switched"], table["embedded"]) == (True, 32)
    anywhere.assert_done()
    anywhere.assert_sound()


def test_many_edits_are_caught_up_with_first(anywhere: DocumentScene) -> None:
    anywhere.fill(30)
    anywhere.run_table()
    anywhere.embedder.model = "model-b"
    edits = iter(["UPDATE document SET content = 'edited' WHERE id < 12"])
    planned = []

    def edit(event: ProgressEvent) -> None:
        if event.step is ProgressStep.COMMITTED and event.rows < 8:
            for statement in edits:
                anywhere.sql(statement)
        if event.step is ProgressStep.PLANNED:
            planned.append(len(anywhere.embedder.texts))

    anywhere.embedder.texts.clear()
    anywhere.run(listener=edit)
    assert planned == [41]
    anywhere.assert_done()


def test_poisoned_documents_have_no_vector(anywhere: DocumentScene) -> None:
    anywhere.fill(30)
    anywhere.run_table()
    anywhere.sql(f"UPDATE document SET content = '{POISON}' WHERE id IN (4, 9)")
    anywhere.embedder.model = "model-b"
    table = anywhere.run_table()
    assert (table["status"], table["switched"], table["poisoned"]) == ("ok", True, 2)
    assert {example["id"] for example in table["examples"]} == {"4", "9"}
    anywhere.assert_done(without=[4, 9])
    assert anywhere.run_table()["status"] == "nothing"


@pytest.mark.parametrize("kind", ["vector(4)", "into"])
def test_vectors_that_somebody_else_has_made(documents: DocumentScene, kind: str) -> None:
    """Nobody knows their model: they are replaced all at once."""
    documents.fill(30, column=None if kind == "into" else kind)
    if kind == "into":
        documents.sql("CREATE TABLE document_embedding (document_id int PRIMARY KEY, embedding vector(4))")
        documents.sql("INSERT INTO document_embedding SELECT id, '[1,2,3,4]' FROM document WHERE id < 5 OR id = 99")
        documents.sql("INSERT INTO document_embedding VALUES (99, '[1,2,3,4]')")
    else:
        documents.sql("UPDATE document SET embedding = '[1,2,3,4]' WHERE id < 5")
    found = []

    def see(event: ProgressEvent) -> None:
        if event.step is ProgressStep.PLANNED:
            found.append({tuple(vector) for vector in documents.vectors().values()})

    documents.run(listener=see)
    assert found == [{(1.0, 2.0, 3.0, 4.0)}]
    documents.assert_done()
    documents.assert_sound()


def test_back_again_before_it_was_through(anywhere: DocumentScene) -> None:
    anywhere.fill(30)
    anywhere.run_table()
    anywhere.embedder.model, anywhere.embedder.patience = "model-b", 20
    anywhere.run()
    anywhere.embedder.model, anywhere.embedder.patience = "model-a", float("inf")
    assert anywhere.run_table()["status"] == "nothing"
    anywhere.assert_done()
    anywhere.embedder.model, anywhere.embedder.patience = "model-b", 20
    anywhere.run()
    anywhere.embedder.model, anywhere.embedder.patience = "model-c", float("inf")
    assert anywhere.run_table()["switched"]
    anywhere.assert_done()
    anywhere.assert_sound()


@pytest.mark.slow
def test_a_long_transaction_of_the_application(documents: DocumentScene) -> None:
    """Its locks keep us from switching: nothing has changed, the stage stays, and the next run switches."""
    switched(documents, "vector(4)", 4)
    with closing(connect(documents.url)) as other:
        other.run("BEGIN")
        other.run("UPDATE document SET updated_at = '2' WHERE id = 1")
        answer = documents.run()
        other.run("ROLLBACK")
    (told,) = answer["tables"]
    assert (answer["status"], told["embedded"], told["left"], told["switched"]) == ("partial", 30, 0, False)
    assert "holds locks" in told["warnings"][0]
    documents.assert_sound()
    documents.embedder.texts.clear()
    assert documents.run_table()["switched"]
    assert documents.embedder.texts == []
    documents.assert_done()


def test_what_keeps_rows_as_they_were_undoes_the_switch(documents: DocumentScene) -> None:
    documents.fill(30, column="vector(4)")
    documents.run_table()
    documents.sql(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE UPDATE ON document FOR EACH ROW WHEN (NEW.embedding IS NULL)"
        " EXECUTE FUNCTION keep()"
    )
    documents.sql(f"UPDATE document SET content = '{POISON}' WHERE id = 4")
    documents.embedder.model = "model-b"
    with pytest.raises(NightshiftError, match=r"not be switched[\s\S]*a trigger or a rule on the table changes what"):
        documents.run()
    documents.assert_sound({hash_of("text 4"): "text 4"})
    assert {vector[0] for vector in documents.vectors().values()} == {mark_of("model-a")}


def test_two_runs_at_once(documents: DocumentScene) -> None:
    """Even where the lock is lost: the one that was overtaken writes nothing any more."""
    documents.fill(30)
    documents.run_table()
    documents.sql("UPDATE document SET content = content || '!' ")
    late = DocumentScene(dict(documents.env), documents.s3, documents.slack, documents.directory, bus=documents.bus)
    documents.embedder.model = "model-b"

    def overtake(texts: Sequence[str]) -> None:
        documents.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        documents.await_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)
        assert documents.run_table()["switched"]

    late.embedder.before = overtake
    with pytest.raises(NightshiftError, match=r"changed the model[\s\S]*deploy one EMBEDDING_MODEL; the next run"):
        late.run()
    late.close()
    documents.assert_done()
    documents.assert_sound()


GATE = """
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  PERFORM set_config('lock_timeout', '0', true), pg_advisory_xact_lock_shared(42);
  RETURN NULL;
END$$;
CREATE TRIGGER gate AFTER DELETE ON document_embedding FOR EACH STATEMENT EXECUTE FUNCTION gate()
"""
AT_THE_GATE = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted"


def test_a_document_is_deleted_in_the_middle_of_the_switch(documents: DocumentScene) -> None:
    """Between the statement that notes it in the ledger and the one that would put its vector before readers."""
    switched(documents, "into", 4)
    documents.sql(GATE)
    with closing(connect(documents.url)) as keeper, ThreadPoolExecutor(1) as other:
        keeper.run("SELECT pg_advisory_lock(42)")
        running = other.submit(documents.run_table)
        while not keeper.run(AT_THE_GATE)[0][0]:
            assert not running.done(), running.result()
            time.sleep(0.01)
        keeper.run("DELETE FROM document WHERE id = 7")
        keeper.run("SELECT pg_advisory_unlock(42)")
        table = running.result()
    assert (table["status"], table["switched"], documents.run_table()["removed"]) == ("ok", True, 1)
    documents.assert_done()
    documents.assert_sound()
