"""Documents get embeddings of their current text, once, wherever vectors are kept; what is unchanged costs nothing."""

from __future__ import annotations

import pytest

from nightshift.progress_events import ProgressEvent, ProgressStep
from tests.support.embedding import COLUMN, INTO, VERSIONED, DocumentScene, as_vector

POSTGRESQL = ["vector", "vector(4)", "halfvec(4)", "bytea", "json", "jsonb", "text", "real[]", "double precision[]"]
SQLITE = ["BLOB", "TEXT", "JSON", ""]


def once(scene: DocumentScene) -> None:
    """A first run embeds every document, and a second one asks the model for nothing."""
    table = scene.run_table()
    assert (table["status"], table["looked_at"], table["embedded"], table["left"]) == ("ok", 20, 20, 0)
    assert (table["model"], table["dimension"], table["tokens"]) == ("model-a", 4, 20)
    assert len(scene.embedder.texts) == 20
    scene.assert_done()
    scene.assert_sound()

    again = scene.run_table()

    assert (again["status"], again["looked_at"], again["unchanged"], again["embedded"]) == ("nothing", 20, 20, 0)
    assert len(scene.embedder.texts) == 20


@pytest.mark.fast_cases("halfvec", "bytea", "vector(4)")
@pytest.mark.parametrize("kind", POSTGRESQL)
def test_a_column_of_any_kind(documents: DocumentScene, kind: str) -> None:
    documents.fill(20, column=kind)
    once(documents)


@pytest.mark.parametrize("kind", SQLITE)
def test_a_column_of_any_kind_of_sqlite(sqlite_documents: DocumentScene, kind: str) -> None:
    sqlite_documents.fill(20)
    sqlite_documents.sql(f"ALTER TABLE document ADD COLUMN embedding {kind}")
    sqlite_documents.policies(COLUMN)
    once(sqlite_documents)


def test_a_table_that_is_made(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    once(anywhere)
    facts = "SELECT DISTINCT model, dimension FROM document_embedding"
    assert [tuple(row) for row in anywhere.sql(facts)] == [("model-a", 4)]
    assert anywhere.sql("SELECT document_id, content_hash FROM document_embedding ORDER BY 1") == anywhere.sql(
        "SELECT CAST(document_id AS int), text_hash FROM nightshift_embedding ORDER BY 1"
    )


def test_a_table_is_made_without_pgvector(documents: DocumentScene) -> None:
    documents.sql("DROP EXTENSION vector")
    documents.fill(20)
    once(documents)
    assert documents.value("SELECT pg_typeof(embedding)::text FROM document_embedding LIMIT 1") == "bytea"


def test_a_table_of_the_users_own(documents: DocumentScene) -> None:
    documents.fill(20)
    documents.policies(INTO.replace('"document_embedding"', """'"Odd: %s"."My: vectors"'"""))
    documents.sql(
        'CREATE SCHEMA "Odd: %s"; CREATE TABLE "Odd: %s"."My: vectors"'
        " (document_id int UNIQUE, note text DEFAULT 'x', model varchar(20), embedding vector(4))"
    )
    documents.run_table()
    found = documents.sql('SELECT document_id, note, model, embedding FROM "Odd: %s"."My: vectors" ORDER BY 1')
    assert [(key, note, model) for key, note, model, _ in found] == [(n, "x", "model-a") for n in range(1, 21)]
    assert [as_vector(vector) for *_, vector in found] == [documents.expected(f"text {n}") for n in range(1, 21)]


@pytest.mark.fast_cases("uuid", "text")
@pytest.mark.parametrize("kind", ["uuid", "text", 'varchar COLLATE "C"', "numeric", "bigint"])
def test_ids_of_any_kind(documents: DocumentScene, kind: str) -> None:
    documents.sql(f"CREATE TABLE document (id {kind} PRIMARY KEY, content text)")
    value = "md5(n::text)" if kind not in ("numeric", "bigint") else "n * 3 - 500"
    documents.sql(
        f"INSERT INTO document SELECT ({value})::{kind.partition(' ')[0]}, 'text ' || n FROM generate_series(1, 1200) n"
    )
    documents.env["EMBEDDING_BATCH"] = "500"
    documents.policies(INTO)
    table = documents.run_table()
    assert (table["looked_at"], table["embedded"]) == (1200, 1200)
    assert len(set(documents.embedder.texts)) == 1200
    assert documents.run_table()["unchanged"] == 1200


def test_a_trigger_that_changes_the_sessions_time_zone(documents: DocumentScene) -> None:
    documents.fill(20, column="bytea")
    documents.sql(
        "CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM set_config('TimeZone', 'Pacific/Kiritimati', false); RETURN NEW; END $$;"
        "CREATE TRIGGER move BEFORE UPDATE ON document FOR EACH ROW EXECUTE FUNCTION move()"
    )
    documents.env["EMBEDDING_BATCH"] = "4"
    once(documents)
    assert documents.value("SELECT max(abs(extract(epoch FROM now() - embedded_at))) FROM nightshift_embedding") < 3600


def test_ids_of_text_in_sqlite(sqlite_documents: DocumentScene) -> None:
    sqlite_documents.script(
        "CREATE TABLE document (id TEXT PRIMARY KEY, content TEXT);"
        "INSERT INTO document VALUES ('01', 'text 1'), ('1', 'text 2'), ('a''\"b', 'text 3');"
        "INSERT INTO document VALUES ('한', 'text 4'), (NULL, 'text 5')"
    )
    sqlite_documents.policies(INTO)
    assert sqlite_documents.run_table()["embedded"] == 4
    found = dict(sqlite_documents.sql("SELECT document_id, embedding FROM document_embedding"))
    wanted = {"01": "text 1", "1": "text 2", "a'\"b": "text 3", "한": "text 4"}
    assert {key: as_vector(value) for key, value in found.items()} == {
        key: sqlite_documents.expected(text) for key, text in wanted.items()
    }


def test_several_columns_are_one_text(anywhere: DocumentScene) -> None:
    anywhere.script(
        "CREATE TABLE document (id int PRIMARY KEY, title text, number int, content text);"
        "INSERT INTO document VALUES (1, 'A', 7, 'b'), (2, NULL, NULL, 'b'), (3, 'A', NULL, '')"
    )
    anywhere.policies(INTO.replace('"content"', '["title", "number", "content"]'))
    anywhere.run_table()
    assert sorted(anywhere.embedder.texts) == sorted(["A\n\n7\n\nb", "b", "A\n\n"])


@pytest.mark.fast_cases("policy3")
@pytest.mark.parametrize("policy", [COLUMN, INTO, COLUMN + VERSIONED, INTO + VERSIONED])
def test_edits_additions_and_removals(anywhere: DocumentScene, policy: str) -> None:
    kind = "BLOB" if anywhere.sqlite else "vector(4)"
    anywhere.fill(20, column=kind if "embedding = " in policy else None, policy=policy)
    anywhere.run_table()
    anywhere.embedder.texts.clear()
    anywhere.script(
        "UPDATE document SET content = 'new text', updated_at = '2' WHERE id = 3;"
        "UPDATE document SET updated_at = '2' WHERE id = 4;"
        "DELETE FROM document WHERE id IN (5, 6, 7);"
        "INSERT INTO document (id, content, updated_at) VALUES (21, 'text 21', '1')"
    )

    table = anywhere.run_table()

    assert (table["looked_at"], table["embedded"], table["unchanged"], table["removed"]) == (18, 2, 16, 3)
    assert sorted(anywhere.embedder.texts) == ["new text", "text 21"]
    anywhere.assert_done()
    anywhere.assert_sound()
    assert len(anywhere.ledger_of()) == 18
    wanted = {"1", "2"} if VERSIONED in policy else {None}
    assert {row["version"] for row in anywhere.ledger_of().values()} == wanted


def test_without_a_new_updated_at_an_edit_is_found_by_looking_at_all(anywhere: DocumentScene) -> None:
    anywhere.fill(20, policy=INTO + VERSIONED)
    anywhere.run_table()
    anywhere.sql("UPDATE document SET content = 'edited in silence' WHERE id = 3")
    assert anywhere.run_table()["status"] == "nothing"
    table = anywhere.run_table(scope="all")
    assert (table["looked_at"], table["embedded"], table["unchanged"]) == (20, 1, 19)
    anywhere.assert_done()


def test_an_older_updated_at_is_another_one(anywhere: DocumentScene) -> None:
    """A transaction that began before the last run, and committed after it."""
    anywhere.fill(20, policy=INTO + VERSIONED)
    anywhere.run_table()
    anywhere.sql("UPDATE document SET content = 'late', updated_at = '0' WHERE id = 3")
    assert anywhere.run_table()["embedded"] == 1
    anywhere.assert_done()


def test_a_trigger_that_keeps_updated_at(documents: DocumentScene) -> None:
    """Our own writing changes it: that is no edit."""
    documents.fill(20, column="vector(4)", policy=COLUMN + VERSIONED)
    documents.sql(
        "CREATE SEQUENCE edits; CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.updated_at := nextval('edits')::text; RETURN NEW; END $$;"
        "CREATE TRIGGER touch BEFORE UPDATE ON document FOR EACH ROW EXECUTE FUNCTION touch()"
    )
    documents.run_table()
    versions = {key: row["version"] for key, row in documents.ledger_of().items()}
    assert versions == dict(documents.sql("SELECT id, updated_at FROM document"))
    assert documents.run_table()["status"] == "nothing"


def test_documents_without_text(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    anywhere.sql("UPDATE document SET content = NULL WHERE id = 1")
    anywhere.sql("UPDATE document SET content = ' \n' WHERE id = 2")
    table = anywhere.run_table()
    assert (table["status"], table["embedded"], table["poisoned"]) == ("ok", 18, 0)
    assert table["warnings"] == ["2 documents have no text, and so no embedding"]
    anywhere.assert_done(without=[1, 2])

    anywhere.sql("UPDATE document SET content = '' WHERE id = 3")
    anywhere.sql("UPDATE document SET content = 'text' WHERE id = 1")
    assert anywhere.run_table()["embedded"] == 1
    anywhere.assert_done(without=[2, 3])
    assert anywhere.run_table()["status"] == "nothing"


@pytest.mark.parametrize("policy", [COLUMN, INTO])
def test_vectors_that_were_lost(anywhere: DocumentScene, policy: str) -> None:
    """The ledger is not believed where the vector is not there."""
    anywhere.fill(20, column=("BLOB" if anywhere.sqlite else "vector") if policy == COLUMN else None)
    anywhere.run_table()
    lose = "UPDATE document SET embedding = NULL" if policy == COLUMN else "DELETE FROM document_embedding"
    anywhere.sql(f"{lose} WHERE {'id' if policy == COLUMN else 'document_id'} < 4")
    assert anywhere.run_table()["embedded"] == 3
    anywhere.assert_done()
    if policy == INTO:
        anywhere.sql("DROP TABLE document_embedding")
        assert anywhere.run_table()["embedded"] == 20
        anywhere.assert_done()


def test_a_dry_run_writes_nothing(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    before = anywhere.state()
    table = anywhere.run_table(dry_run=True)
    assert (table["status"], table["looked_at"], table["embedded"], table["unchanged"]) == ("dry_run", 20, 20, 0)
    assert anywhere.state() == before
    anywhere.run_table()
    anywhere.sql("UPDATE document SET content = 'x' WHERE id = 1")
    table = anywhere.run_table(dry_run=True)
    assert (table["embedded"], table["unchanged"]) == (1, 19)
    anywhere.embedder.model = "model-b"
    table = anywhere.run_table(dry_run=True)
    assert (table["embedded"], table["scope"], table["switched"]) == (20, "all", False)
    assert len(anywhere.embedder.texts) == 20


def test_force_embeds_what_is_unchanged_once(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    anywhere.run_table()
    later = {"scheduled_time": "2025-10-16T00:00:00Z", "force": True}
    assert anywhere.run_table(**later)["embedded"] == 20
    assert anywhere.run_table(**later)["embedded"] == 0
    assert len(anywhere.embedder.texts) == 40
    anywhere.assert_done()


def test_an_edit_while_the_model_is_at_work(anywhere: DocumentScene) -> None:
    """The vector of the old text is not written; the document is taken again by the same run."""
    anywhere.fill(20)
    edits = iter(["UPDATE document SET content = 'edited' WHERE id = 2", "DELETE FROM document WHERE id = 3"])

    def edit(texts: object) -> None:
        for statement in edits:
            anywhere.sql(statement)

    anywhere.embedder.before = edit
    table = anywhere.run_table()
    assert (table["status"], table["embedded"], table["left"]) == ("ok", 19, 0)
    assert {"text 2", "text 3", "edited"} < set(anywhere.embedder.texts)
    anywhere.assert_done()
    anywhere.assert_sound()


def test_a_document_that_is_edited_all_the_time(documents: DocumentScene) -> None:
    documents.fill(20)

    def edit(texts: object) -> None:
        documents.sql("UPDATE document SET content = content || '!' WHERE id = 2")

    documents.embedder.before = edit
    answer = documents.run()
    (table,) = answer["tables"]
    assert (answer["status"], table["embedded"], table["left"]) == ("partial", 19, 1)
    assert table["warnings"] == ["1 documents were left: they were edited while they were embedded"]
    assert answer["continues"] is True
    documents.embedder.before = lambda texts: None
    assert documents.run_table()["embedded"] == 1
    documents.assert_done()


def test_every_step_is_told(documents: DocumentScene) -> None:
    documents.fill(16)
    told: list[ProgressEvent] = []
    documents.run(listener=told.append)
    steps = [ProgressStep.TAKEN, ProgressStep.ANSWERED, ProgressStep.COMMITTING, ProgressStep.COMMITTED]
    assert [event.step for event in told] == steps * 2
    assert {(event.table, event.rows) for event in told} == {("public.document", 8)}
