"""Deployments and a checkout for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.shell import Shell, make_checkout
from tests.support.house import House, house, surroundings

__all__ = ["house", "surroundings"]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout after `git clone`, with the environment of `make setup`."""
    return make_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def shell(checkout: Path, house: House) -> Shell:
    """A shell whose environment leads to the test's S3 and Slack, and to no database."""
    known = ("DATABASE_URL", "ARCHIVE_BUCKET")
    return Shell(checkout, {name: value for name, value in house.env.items() if name not in known})
