"""Deployments for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.support.embedding import DocumentScene, documents, sqlite_documents
from tests.support.house import guest, house, sqlite_house, surroundings

__all__ = ["documents", "guest", "house", "sqlite_documents", "sqlite_house", "surroundings"]


@pytest.fixture(params=["documents", "sqlite_documents"], ids=["postgresql", "sqlite"])
def anywhere(request: pytest.FixtureRequest) -> DocumentScene:
    """A deployment on an empty database: once on PostgreSQL, and once on SQLite."""
    built: DocumentScene = request.getfixturevalue(request.param)
    return built
