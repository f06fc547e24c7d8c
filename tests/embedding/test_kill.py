"""`kill -9`, wherever it may hit: each document has its old vector or its new one, and the ledger is in step."""

from __future__ import annotations

import signal

import pytest

from nightshift.progress_events import ProgressStep
from tests.support.embedding import COLUMN, INTO, DocumentScene

STEPS = [
    (ProgressStep.TAKEN, 2),
    (ProgressStep.ANSWERED, 3),
    pytest.param(ProgressStep.ANSWERED, 1, marks=pytest.mark.slow),
    (ProgressStep.COMMITTING, 2),
    (ProgressStep.COMMITTED, 3),
]


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize(("step", "occurrence"), STEPS)
@pytest.mark.parametrize("policy", [COLUMN, INTO])
def test_killed_at_a_step(documents: DocumentScene, policy: str, step: ProgressStep, occurrence: int) -> None:
    documents.fill(30, column="vector(4)" if policy == COLUMN else None)
    child = documents.child(kill_at=step, occurrence=occurrence)
    assert child.wait() == -signal.SIGKILL
    assert (child.steps[-1], child.steps.count(step)) == (step, occurrence), child.log
    documents.await_quiet()
    written = 8 * child.steps.count(ProgressStep.COMMITTED)
    assert len(documents.vectors()) == written
    documents.assert_sound()
    assert documents.run_table()["embedded"] == 30 - written
    documents.assert_done()


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    ("step", "occurrence"),
    [
        *STEPS,
        (ProgressStep.PLANNED, 1),
        pytest.param(ProgressStep.COMMITTING, 5, marks=pytest.mark.slow),
        (ProgressStep.SETTLED, 1),
    ],
)
@pytest.mark.parametrize("policy", [pytest.param(COLUMN, marks=pytest.mark.slow), INTO])
def test_killed_in_a_switch(documents: DocumentScene, policy: str, step: ProgressStep, occurrence: int) -> None:
    documents.fill(30, column="vector(4)" if policy == COLUMN else None)
    documents.run_table()
    before = documents.vectors()
    documents.embedder.model, documents.embedder.dimension = "model-b", 6
    documents.embedder.texts.clear()
    child = documents.child(kill_at=step, occurrence=occurrence)
    assert child.wait() == -signal.SIGKILL
    assert (child.steps[-1], child.steps.count(step)) == (step, occurrence), child.log
    documents.await_quiet()
    documents.assert_sound()
    if step is not ProgressStep.SETTLED:
        assert documents.vectors() == before
    documents.run_table()
    staged = (
        30
        if step in (ProgressStep.PLANNED, ProgressStep.SETTLED) or occurrence == 5
        else 8 * child.steps.count(ProgressStep.COMMITTED)
    )
    assert len(documents.embedder.texts) == 30 - staged
    documents.assert_done()
    documents.assert_sound()


def test_killed_on_sqlite(sqlite_documents: DocumentScene) -> None:
    sqlite_documents.fill(30)
    for step in (ProgressStep.ANSWERED, ProgressStep.COMMITTING, ProgressStep.COMMITTED):
        child = sqlite_documents.child(kill_at=step, occurrence=2)
        assert child.wait() == -signal.SIGKILL
        sqlite_documents.assert_sound()
    sqlite_documents.embedder.model = "model-b"
    child = sqlite_documents.child(kill_at=ProgressStep.COMMITTING, occurrence=5)
    assert child.wait() == -signal.SIGKILL
    sqlite_documents.assert_sound()
    sqlite_documents.run_table()
    sqlite_documents.assert_done()
