"""Every guard says no before anything is touched, and says what is wrong and what to do."""

from __future__ import annotations

import pytest

from nightshift.errors import InvalidSettings, NightshiftError
from tests.support.embedding import COLUMN, INTO, DocumentScene

KINDS = "what can: vector, halfvec, bytea, json, jsonb, text, real[]"
MAY_READ = 'GRANT SELECT ON "public"."document"'
PLAIN = "name a plain column that may be NULL"
WRITE_TABLE = "as the database has it: a name, or schema.name"
ANYWHERE = [
    ("unknown_table", INTO.replace('table = "document"', 'table = "nowhere"'), "nowhere", WRITE_TABLE),
    ("unknown_table", INTO.replace('table = "document"', 'table = "a.b.c"'), "a.b.c", WRITE_TABLE),
    (
        "unknown_table",
        INTO.replace('table = "document"', 'table = "shown"'),
        "view",
        "name in [[embedding]] the table that it shows",
    ),
    (
        "unknown_table",
        INTO.replace('table = "document"', 'table = "nightshift_embedding"'),
        "own tables",
        "take it out of [[embedding]]",
    ),
    ("unknown_column", INTO + 'id = "key"', "key", "name one that it has: "),
    ("unknown_column", INTO.replace('"content"', '["content", "body"]'), "body", "name one that it has: "),
    ("unknown_column", INTO + 'updated_at = "changed_at"', "changed_at", "name one that it has: "),
    ("unknown_column", COLUMN, "embedding", "name one that it has: "),
    ("not_unique", INTO + 'id = "updated_at"', "updated_at", "name the primary key, or make the column UNIQUE"),
    (
        "wrong_type",
        COLUMN.replace('"embedding"', '"content"'),
        "document's own",
        "name a column that holds nothing else",
    ),
    (
        "wrong_place",
        INTO.replace("document_embedding", "document"),
        "documents' table",
        "in place of `into` write `embedding`",
    ),
    (
        "unknown_table",
        INTO.replace("document_embedding", "shown"),
        "view",
        "name in [[embedding]] the table that it shows",
    ),
    (
        "unknown_table",
        INTO.replace("document_embedding", "nightshift_vectors"),
        "nightshift's own",
        "choose another name for `into`",
    ),
    (
        "unknown_table",
        INTO.replace("document_embedding", "a.b.c"),
        "no name",
        "write `into` in [[embedding]] as a name",
    ),
    ("unknown_column", INTO.replace("document_embedding", "mine"), "document_id", "name one that it has: "),
    ("not_unique", INTO.replace("document_embedding", "loose"), "document_id", "make the column UNIQUE"),
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


@pytest.mark.slow
def test_what_the_policy_names_cannot_be_used(anywhere: DocumentScene) -> None:
    anywhere.fill(3)
    anywhere.script(
        "CREATE VIEW shown AS SELECT * FROM document; CREATE TABLE mine (id int PRIMARY KEY);"
        "CREATE TABLE loose (document_id int, embedding text)"
    )
    found = [refused(anywhere, policy) for _, policy, _, _ in ANYWHERE]
    assert [refusal["guard"] for refusal in found] == [guard for guard, _, _, _ in ANYWHERE]
    for refusal, (_, _, named, hint) in zip(found, ANYWHERE, strict=True):
        assert named in refusal["message"]
        assert hint in refusal["hint"]


@pytest.mark.parametrize(
    ("guard", "column", "named", "hint"),
    [
        ("wrong_type", "int", "is integer", KINDS),
        ("wrong_type", "timestamptz", "is timestamp with time zone", KINDS),
        ("wrong_type", "bit(4)", "is bit(4)", KINDS),
        ("wrong_type", "sparsevec(4)", "is public.sparsevec(4)", KINDS),
        ("wrong_dimension", "vector(3)", "3 numbers", "set EMBEDDING_DIMENSION to 3, or change the column's type"),
        ("wrong_dimension", "halfvec(5)", "5 numbers, and the model makes 4", "set EMBEDDING_DIMENSION to 5"),
        ("not_writable", "vector(4) NOT NULL DEFAULT '[0,0,0,0]'", "is NOT NULL", PLAIN),
        ("not_writable", "text GENERATED ALWAYS AS (content || 'x') STORED", "is generated", PLAIN),
    ],
)
def test_columns_that_cannot_hold_the_vectors(
    documents: DocumentScene, guard: str, column: str, named: str, hint: str
) -> None:
    documents.fill(3, column=column)
    refusal = refused(documents, COLUMN)
    assert refusal["guard"] == guard
    assert named in refusal["message"] and hint in refusal["hint"]


def test_sqlite_columns(sqlite_documents: DocumentScene) -> None:
    sqlite_documents.fill(3)
    sqlite_documents.script(
        "ALTER TABLE document ADD COLUMN number int; CREATE TABLE odd (id BLOB PRIMARY KEY, content text)"
    )
    number, odd = COLUMN.replace('"embedding"', '"number"'), INTO.replace('table = "document"', 'table = "odd"')
    hints = "what can: BLOB, TEXT or JSON", "SQLite's documents need an id of integers or text"
    for policy, hint in zip((number, odd), hints, strict=True):
        refusal = refused(sqlite_documents, policy)
        assert (refusal["guard"], refusal["hint"]) == ("wrong_type", hint)


def test_other_ids_than_the_documents(documents: DocumentScene) -> None:
    documents.fill(3)
    documents.sql("CREATE TABLE document_embedding (document_id bigint PRIMARY KEY, embedding vector(4))")
    refusal = refused(documents, INTO)
    assert (refusal["guard"], "document.id is integer" in refusal["message"]) == ("wrong_type", True)
    assert refusal["hint"] == "ALTER TABLE one of them, so that both have the same type"


def test_one_table_twice(documents: DocumentScene) -> None:
    documents.fill(3, policy=INTO + INTO.replace('table = "document"', 'table = "public.document"'))
    answer = documents.run()
    assert [table["status"] for table in answer["tables"]] == ["ok", "refused"]
    assert answer["tables"][1]["refusal"]["guard"] == "repeated"


@pytest.mark.parametrize(
    ("grants", "policy", "named", "hint"),
    [
        ("", INTO, "may not read document", f"{MAY_READ}, and USAGE on its schema, TO nightshift's role"),
        (
            "GRANT SELECT ON document TO guest",
            COLUMN,
            "may not UPDATE",
            "TO nightshift's role, which writes the vectors",
        ),
        (
            "GRANT SELECT ON document TO guest; REVOKE CREATE ON SCHEMA public FROM guest",
            INTO,
            "may not make",
            'GRANT CREATE ON SCHEMA "public" TO nightshift\'s role, or create the table yourself',
        ),
        (
            "CREATE TABLE document_embedding (document_id int UNIQUE, embedding vector);"
            "GRANT SELECT ON document TO guest; GRANT SELECT, INSERT ON document_embedding TO guest",
            INTO,
            "may not SELECT, INSERT, UPDATE, DELETE in public.document_embedding",
            'GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."document_embedding" TO',
        ),
        (
            "GRANT SELECT, UPDATE ON document TO guest; ALTER TABLE document ENABLE ROW LEVEL SECURITY",
            COLUMN,
            "row-level security hides documents",
            "or let it be a member of the table's owner",
        ),
    ],
)
def test_rights(documents: DocumentScene, guest: str, grants: str, policy: str, named: str, hint: str) -> None:
    documents.fill(3, column="vector(4)")
    documents.embedder.dimension = 4
    documents.policies('[[embedding]]\ntable = "nowhere"\ntext = "x"\ninto = "y"')
    documents.env["DATABASE_URL"] = documents.url.replace("postgres@", f"{guest}@")
    documents.run()  # makes our own tables
    if grants:
        documents.sql(grants)
    refusal = refused(documents, policy)
    assert refusal["guard"] == ("hidden_rows" if "SECURITY" in grants else "privilege")
    assert named in refusal["message"] and hint in refusal["hint"], refusal


def test_a_schema_that_is_not_there(documents: DocumentScene) -> None:
    """No grant makes it: it has to be created, or the name is wrong."""
    documents.fill(3)
    for into, schema in (("Vectors.mine", "vectors"), ('\\"Odd s\\".mine', "Odd s")):
        refusal = refused(documents, INTO.replace("document_embedding", into))
        assert (refusal["guard"], f"there is no schema {schema}" in refusal["message"]) == ("unknown_table", True)
        assert refusal["hint"] == f'CREATE SCHEMA "{schema}", or correct `into`'


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
    assert "change the column's type to 6 yourself, or go back to 4" in refusal["hint"]


def test_an_inherited_table(documents: DocumentScene) -> None:
    documents.fill(3)
    documents.sql("CREATE TABLE heir () INHERITS (document)")
    refusal = refused(documents, INTO)
    assert (refusal["guard"], "inherit from it" in refusal["message"]) == ("hidden_rows", True)
    assert refusal["hint"] == "name a table from which none inherits in [[embedding]]"


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
