"""Somebody stops the run: by Ctrl-C, or by SIGTERM, as a container's host does. What is under way is undone."""

from __future__ import annotations

import signal

import pytest

from local.postgres import EmbeddedPostgres
from nightshift.progress_events import ProgressStep
from tests.support.scene import Scene, stuck_in_copy

both = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.mark.fast_cases("15")
@both
def test_stopped_in_mid_stream(scene: Scene, postgres: EmbeddedPostgres, number: signal.Signals) -> None:
    """The rows that were on their way are back in the table, and the history says that the run failed."""
    with stuck_in_copy(scene, postgres.port) as (child, hold):
        child.interrupt(number)
        hold.release()
        assert child.wait() == 1
    assert child.error is not None and child.error.startswith("KeyboardInterrupt"), child.log
    assert ProgressStep.COMMITTED not in child.steps
    (run,) = scene.runs()
    assert run["status"] == "failed"
    assert scene.archived_rows() == 0
    scene.converge()


@pytest.mark.fast_cases("15")
@both
def test_stopped_between_two_chunks(scene: Scene, number: signal.Signals) -> None:
    """What was committed stays, and no chunk is begun any more."""
    scene.fill()
    child = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=ProgressStep.COMMITTED, occurrence=2)
    child.await_step(ProgressStep.COMMITTED, 2)
    child.interrupt(number)
    child.resume()
    assert child.wait() == 1
    assert child.error is not None and child.error.startswith("KeyboardInterrupt")
    assert child.steps.count(ProgressStep.STREAMED) == 2
    assert [run["status"] for run in scene.runs()] == ["failed"]
    scene.converge()
