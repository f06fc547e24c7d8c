"""A short soak; `python -m tests.embedding.soak --kills 20 --documents 20000` is the long one."""

from __future__ import annotations

import pytest

from local.documents import POLICY, create_documents
from tests.embedding.soak import NOW, Soak
from tests.support.embedding import DocumentScene
from tests.support.telling import telling_work


@pytest.mark.slow
def test_kills_at_random_moments(documents: DocumentScene) -> None:
    create_documents(documents.url, 300, end=NOW)
    documents.policies(POLICY)
    documents.env["TEST_MODEL"] = "model-a"
    tally = Soak(documents, telling_work, documents=300, dimensions=(8, 16), seed=20_251_015).run(12)
    assert tally.kills.total == 12
    assert tally.edits > 0
    assert (tally.again, tally.documents > 100) == (0, True)
