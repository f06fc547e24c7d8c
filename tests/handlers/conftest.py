"""What every handler test runs from is built once, before any test changes HOME, where pip keeps its cache."""

from __future__ import annotations

import pytest

from local.artefact import Artefact, best


@pytest.fixture(scope="session", autouse=True)
def artefact() -> Artefact:
    """The best that this machine can run."""
    return best()
