"""Chunks of one row, of two, of everything; one, two and four workers: the promise is the same, and so is a kill."""

from __future__ import annotations

import signal

import pytest

from nightshift.progress_events import ProgressStep
from tests.support.scene import Scene
from tests.support.small_chunks import SmallChunks

ROW = 1700
"""Arrow bytes of one row, about: a chunk of one byte is as small as a chunk gets, one of two rows a little larger."""

SIZES = pytest.mark.parametrize("chunk_bytes", [1, 2 * ROW, 1 << 30], ids=["1 row", "2 rows", "all"])


WAYS = pytest.mark.parametrize(
    ("workers", "indexed"),
    [
        pytest.param(1, False, marks=pytest.mark.slow),
        pytest.param(1, True, marks=pytest.mark.slow),
        (2, True),
        pytest.param(4, False, marks=pytest.mark.slow),
    ],
    ids=["1 by place", "1 by time", "2 by time", "4 by place"],
)


@pytest.mark.fast_cases("2 rows")
@SIZES
@WAYS
def test_every_size_with_any_number_of_workers(scene: Scene, chunk_bytes: int, workers: int, indexed: bool) -> None:
    scene.fill(33, indexed=indexed)
    child = scene.child({"CLEANUP_WORKERS": str(workers)}, work=SmallChunks(chunk_bytes))
    assert child.wait() == 0, child.log
    assert child.answer is not None
    (table,) = child.answer["tables"]
    assert (child.answer["status"], table["archived_rows"]) == ("ok", 30)
    chunks = [event["rows"] for event in child.events if event["step"] == ProgressStep.COMMITTED]
    if chunk_bytes == 1 and indexed:
        assert chunks == [1] * 30
    elif chunk_bytes == 1 << 30:
        assert len(chunks) == 1
    else:
        assert 2 < len(chunks) <= 30
    assert scene.converge()["status"] == "nothing"


@pytest.mark.fast_cases("2 rows")
@SIZES
@WAYS
def test_killed_with_every_size(scene: Scene, chunk_bytes: int, workers: int, indexed: bool) -> None:
    scene.fill(33, indexed=indexed)
    child = scene.child(
        {"CLEANUP_WORKERS": str(workers)},
        work=SmallChunks(chunk_bytes),
        kill_at=ProgressStep.COMMITTING,
        occurrence=1 if chunk_bytes == 1 << 30 else 5,
    )
    assert child.wait() == -signal.SIGKILL
    assert child.steps[-1] == ProgressStep.COMMITTING
    assert scene.archived_rows() < scene.due.total()
    scene.converge()
