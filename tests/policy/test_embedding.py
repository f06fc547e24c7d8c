"""The [[embedding]] part of a policy file: read as written, or refused with every mistake named."""

from __future__ import annotations

import pytest

from nightshift.errors import InvalidSettings
from nightshift.policy.embedding import EmbeddingPolicy
from nightshift.policy.file import load_policies, parse_policies
from nightshift.settings import Settings

SETTINGS = Settings.from_env({})

WHOLE = """
[[embedding]]
table = "app.document"
id = "key"
text = ["title", "body"]
updated_at = "edited"
embedding = "vector"

[[embedding]]
table = "faq"
text = "answer"
into = "faq_embedding"
"""


def test_a_file_says_it_all() -> None:
    policies = parse_policies(WHOLE, SETTINGS, source="policies.toml")

    document, faq = policies.embedding
    assert (document.table, document.id, document.text) == ("app.document", "key", ("title", "body"))
    assert (document.updated_at, document.embedding, document.into) == ("edited", "vector", None)
    assert faq == EmbeddingPolicy(table="faq", id="id", text=("answer",), into="faq_embedding")
    assert (faq.updated_at, faq.embedding) == (None, None)
    assert [policy.table for policy in policies.retention] == ["conversation_log"]
    assert policies.expiry == ()


def test_without_a_file_nothing_is_embedded() -> None:
    assert load_policies(SETTINGS, lambda source: pytest.fail(f"nothing to read at {source}")).embedding == ()


ENTRY = '[[embedding]]\ntable = "a"\ntext = "t"\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[[embedding]]\ntext = "t"\ninto = "b"', "[[embedding]] 1 (?): table"),
        ('[[embedding]]\ntable = "a"\ninto = "b"', "[[embedding]] 1 (a): text"),
        (ENTRY, "give embedding or into"),
        (ENTRY + 'embedding = "e"\ninto = "b"', "give embedding or into"),
        (ENTRY.replace('"t"', "[]") + 'into = "b"', "text"),
        (ENTRY.replace('"t"', '["t", 1]') + 'into = "b"', "text.1"),
        (ENTRY.replace('"t"', "1") + 'into = "b"', "text"),
        (ENTRY + 'into = ""', "into"),
        (ENTRY + 'into = "b"\nmodel = "x"', "model: unknown key"),
        (ENTRY + 'into = "b"\n' + ENTRY + 'into = "c"', "table a has more than one policy"),
        ('[embedding]\ntable = "a"', "no [[embedding]]"),
        ('[[expiry]]\ntable = "a"\n[embedding]\ntable = "a"', "should be written [[embedding]]"),
        ('[[embeddings]]\ntable = "a"', "embeddings"),
    ],
)
def test_what_is_wrong_is_named(text: str, named: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        parse_policies(text, SETTINGS, source="policies.toml")
    assert named in str(caught.value)
    assert "policies.toml" in str(caught.value)
    assert ("[[retention]], [[expiry]] or [[embedding]], in two brackets" in str(caught.value)) is (
        text.startswith("[embedding]") or "[[embeddings]]" in text
    )
