"""Defines the policies of `reembed`: one `[[embedding]]` entry per table of documents.

    [[embedding]]
    table = "document"               # schema.table; quote odd names as in SQL
    id = "id"                        # unique column that identifies a document
    text = "content"                 # or a list of columns, joined by blank lines
    updated_at = "updated_at"        # changes with every edit; if omitted, hashes of all texts are compared
    embedding = "embedding"          # column of the same table that receives the vector; or instead:
    into = "document_embedding"      # separate table with one row per document, created if missing

An entry has either `embedding` or `into`. The table in `into` has the columns `document_id` and `embedding`, and may
have the columns `model`, `dimension`, `content_hash` and `embedded_at`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from nightshift.policy.retention import Name, PolicyEntry


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Columns = Annotated[tuple[Name, ...], BeforeValidator(_several), Field(min_length=1, max_length=32)]


class EmbeddingPolicy(PolicyEntry):
    """Policy for one table of documents. The module's docstring describes the fields."""

    id: Name = "id"
    text: Columns
    updated_at: Name | None = None
    embedding: Name | None = None
    into: Name | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.embedding is None) == (self.into is None):
            raise ValueError("give embedding or into: a column of the table, or a table of its own")
        return self
