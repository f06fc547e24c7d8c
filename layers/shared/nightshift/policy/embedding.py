"""Policies of `reembed`: one `[[embedding]]` entry a table of documents.

    [[embedding]]
    table = "document"               # schema.table; quote odd names as in SQL
    id = "id"                        # its key: one column, unique
    text = "content"                 # or a list of columns, joined by blank lines
    updated_at = "updated_at"        # another with every edit; without it every text is compared by its hash
    embedding = "embedding"          # the column that holds the vector, of the table itself, or …
    into = "document_embedding"      # … a table of its own, made where it is missing: one row a document

`into` has the columns `document_id` and `embedding`, and may have `model`, `dimension`, `content_hash`, `embedded_at`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from nightshift.policy.retention import Name


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Columns = Annotated[tuple[Name, ...], BeforeValidator(_several), Field(min_length=1, max_length=32)]


class EmbeddingPolicy(BaseModel):
    """One table's documents; see the module's text for the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    table: Name
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
