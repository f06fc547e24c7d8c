"""Every guard says no before anything is touched, and says what is wrong and what to do."""

from __future__ import annotations

import pytest

from nightshift.errors import InvalidSettings, NightshiftError
from tests.support.embedding import COLUMN, INTO, DocumentScene

ANYWHERE = [
    ("unknown_table", INTO.replace('table = "document"', 'table = "nowhere"'), "nowhere"),
    ("unknown_table", INTO.replace('table = "document"', 'table = "a.b.c"'), "a.b.c"),
    ("unknown_table", INTO.replace('table = "document"', 'table = "shown"'), "view"),
    ("unknown_table", INTO.replace('table = "document"', 'table = "nightshift_embedding"'), "own tables"),
    ("unknown_column", INTO + 'id = "key"', "key"),
    ("unknown_column", INTO.replace('"content"', '["content", "body"]'), "body"),
    ("unknown_column", INTO + 'updated_at = "changed_at"', "changed_at"),
    ("unknown_column", COLUMN, "embedding"),
    ("not_unique", INTO + 'id = "updated_at"', "updated_at"),
    ("wrong_type", COLUMN.replace('"embedding"', '"content"'), "document's own"),
    ("wrong_place", INTO.replace("document_embedding", "document"), "documents' table"),
    ("unknown_table", INTO.replace("document_embedding", "shown"), "view"),
    ("unknown_table", INTO.replace("document_embedding", "nightshift_vectors"), "nightshift's own"),
    ("unknown_table", INTO.replace("document_embedding", "a.b.c"), "no name"),
    ("unknown_column", INTO.replace("document_embedding", "mine"), "document_id"),
    ("not_unique", INTO.replace("document_embedding", "loose"), "document_id"),
]


def refused(scene: DocumentScene, policy: str) -> dict[str, str]:
    """What a guard says of a policy, with nothing touched."""
    scene.policies(policy)
    before = scene.state()
    answer = scene.run()
    assert (answer["status"], answer["tables"][0]["status"]) == ("refused", "refused")
    assert scene.state() == before
    assert scene.embedder.texts == []
    refusal: dict[str, str] = answer["tables"][0]["refusal"]
    return refusal


def test_what_the_policy_names_cannot_be_used(anywhere: DocumentScene) -> None:
    anywhere.fill(3)
    anywhere.script(
        "CREATE VIEW shown AS SELECT * FROM document; CREATE TABLE mine (id int PRIMARY KEY);"
        "CREATE TABLE loose (document_id int, embedding text)"
    )
    found = [refused(anywhere, policy) for _, policy, _ in ANYWHERE]
    assert [refusal["guard"] for refusal in found] == [guard for guard, _, _ in ANYWHERE]
    for refusal, (_, _, named) in zip(found, ANYWHERE, strict=True):
        assert named in refusal["message"] + refusal["hint"]


@pytest.mark.parametrize(
    ("guard", "column", "named"),
    [
        ("wrong_type", "int", "is integer"),
        ("wrong_type", "timestamptz", "what can: vector"),
        ("wrong_type", "bit(4)", "is bit(4)"),
        ("wrong_type", "sparsevec(4)", "is public.sparsevec(4)"),
        ("wrong_dimension", "vector(3)", "set EMBEDDING_DIMENSION to 3"),
        ("wrong_dimension", "halfvec(5)", "5 numbers, and the model makes 4"),
        ("not_writable", "vector(4) NOT NULL DEFAULT '[0,0,0,0]'", "is NOT NULL"),
        ("not_writable", "text GENERATED ALWAYS AS (content || 'x') STORED", "is generated"),
    ],
)
def test_columns_that_cannot_hold_the_vectors(documents: DocumentScene, guard: str, column: str, named: str) -> None:
    documents.fill(3, column=column)
    refusal = refused(documents, COLUMN)
    assert refusal["guard"] == guard
    assert named in refusal["message"] + refusal["hint"]


def test_sqlite_columns(sqlite_documents: DocumentScene) -> None:
    sqlite_documents.fill(3)
    sqlite_documents.script(
        "ALTER TABLE document ADD COLUMN number int; CREATE TABLE odd (id BLOB PRIMARY KEY, content text)"
    )
    assert refused(sqlite_documents, COLUMN.replace('"embedding"', '"number"'))["guard"] == "wrong_type"
    assert refused(sqlite_documents, INTO.replace('table = "document"', 'table = "odd"'))["guard"] == "wrong_type"


def test_other_ids_than_the_documents(documents: DocumentScene) -> None:
    documents.fill(3)
    documents.sql("CREATE TABLE document_embedding (document_id bigint PRIMARY KEY, embedding vector(4))")
    refusal = refused(documents, INTO)
    assert (refusal["guard"], "document.id is integer" in refusal["message"]) == ("wrong_type", True)


def test_one_table_twice(documents: DocumentScene) -> None:
    documents.fill(3, policy=INTO + INTO.replace('table = "document"', 'table = "public.document"'))
    answer = documents.run()
    assert [table["status"] for table in answer["tables"]] == ["ok", "refused"]
    assert answer["tables"][1]["refusal"]["guard"] == "repeated"


@pytest.mark.parametrize(
    ("grants", "policy", "guard", "named"),
    [
        ("", INTO, "privilege", "may not read document"),
        ("GRANT SELECT ON document TO guest", COLUMN, "privilege", "may not UPDATE"),
        (
            "GRANT SELECT ON document TO guest; REVOKE CREATE ON SCHEMA public FROM guest",
            INTO,
            "privilege",
            "may not make",
        ),
        (
            "CREATE TABLE document_embedding (document_id int UNIQUE, embedding vector);"
            "GRANT SELECT ON document TO guest; GRANT SELECT, INSERT ON document_embedding TO guest",
            INTO,
            "privilege",
            "may not SELECT, INSERT, UPDATE, DELETE in public.document_embedding",
        ),
        (
            "GRANT SELECT, UPDATE ON document TO guest; ALTER TABLE document ENABLE ROW LEVEL SECURITY",
            COLUMN,
            "hidden_rows",
            "row-level security",
        ),
    ],
)
def test_rights(documents: DocumentScene, guest: str, grants: str, policy: str, guard: str, named: str) -> None:
    documents.fill(3, column="vector(4)")
    documents.embedder.dimension = 4
    documents.policies('[[embedding]]\ntable = "nowhere"\ntext = "x"\ninto = "y"')
    documents.env["DATABASE_URL"] = documents.url.replace("postgres@", f"{guest}@")
    documents.run()  # makes our own tables
    if grants:
        documents.sql(grants)
    refusal = refused(documents, policy)
    assert (refusal["guard"], named in refusal["message"]) == (guard, True), refusal


def test_the_least_rights_are_enough(documents: DocumentScene, guest: str) -> None:
    documents.fill(20, column="vector(4)")
    documents.sql(f"GRANT SELECT, UPDATE ON document TO {guest}")
    documents.env["DATABASE_URL"] = documents.url.replace("postgres@", f"{guest}@")
    assert documents.run_table()["embedded"] == 20
    documents.embedder.model = "model-b"
    assert documents.run_table()["switched"]
    documents.assert_done()


@pytest.mark.parametrize("why", ["does not own", "a view shows"])
def test_a_column_whose_type_cannot_be_changed(documents: DocumentScene, guest: str, why: str) -> None:
    documents.fill(3, column="vector(4)")
    documents.sql(f"GRANT SELECT, UPDATE ON document TO {guest}")
    if why == "does not own":
        documents.env["DATABASE_URL"] = documents.url.replace("postgres@", f"{guest}@")
    documents.run()
    if why == "a view shows":
        documents.sql("CREATE VIEW shown AS SELECT id, embedding FROM document")
    documents.embedder.dimension = 6
    documents.embedder.texts.clear()
    refusal = refused(documents, COLUMN)
    assert (refusal["guard"], why in refusal["hint"]) == ("wrong_dimension", True)


def test_an_inherited_table(documents: DocumentScene) -> None:
    documents.fill(3)
    documents.sql("CREATE TABLE heir () INHERITS (document)")
    assert refused(documents, INTO)["guard"] == "hidden_rows"


def test_a_partitioned_table(documents: DocumentScene) -> None:
    documents.sql(
        "CREATE TABLE document (id int PRIMARY KEY, content text, embedding vector(4)) PARTITION BY RANGE (id);"
        "CREATE TABLE low PARTITION OF document FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE high PARTITION OF document FOR VALUES FROM (10) TO (100);"
        "INSERT INTO document SELECT n, 'text ' || n FROM generate_series(1, 20) n"
    )
    documents.policies(COLUMN)
    assert documents.run_table()["embedded"] == 20
    documents.embedder.model, documents.embedder.dimension = "model-b", 6
    assert documents.run_table()["switched"]
    documents.assert_done()


def test_no_policy(anywhere: DocumentScene) -> None:
    with pytest.raises(InvalidSettings, match="no policy says what is embedded") as raised:
        anywhere.run()
    assert 'write [[embedding]] with table = "document"' in str(raised.value.hint)


def test_a_table_that_changes_under_way(documents: DocumentScene) -> None:
    documents.fill(20)

    def rename(texts: object) -> None:
        documents.sql("ALTER TABLE IF EXISTS document RENAME TO renamed")

    documents.embedder.before = rename
    with pytest.raises(NightshiftError, match="refused a look-up"):
        documents.run()
