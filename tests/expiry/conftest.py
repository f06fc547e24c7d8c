"""Deployments for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.support.expiry_files import uploads
from tests.support.house import House, guest, house, sqlite_house, surroundings

__all__ = ["guest", "home", "house", "sqlite_house", "surroundings", "uploads"]


@pytest.fixture(params=["house", "sqlite_house"], ids=["postgresql", "sqlite"])
def home(request: pytest.FixtureRequest) -> House:
    """A deployment on an empty database: once on PostgreSQL, and once on SQLite."""
    built: House = request.getfixturevalue(request.param)
    return built
