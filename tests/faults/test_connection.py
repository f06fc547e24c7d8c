"""The server ends a connection: in mid-stream, between two statements, on each of the connections that a run has."""

from __future__ import annotations

import pytest

from local.postgres import EmbeddedPostgres
from nightshift.progress_events import ProgressStep
from tests.support.scene import OURS, Scene, stuck_in_copy

DATA = "state <> 'idle'"
"""In a transaction, while the control plane's connections wait for work."""
LOCK = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
CONTROL = "state = 'idle' AND NOT " + LOCK


def terminate(scene: Scene, which: str) -> int:
    """Terminate the run's backends of one kind; how many there were."""
    return len(scene.sql(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE {OURS} AND {which}"))


def test_terminated_in_mid_stream(scene: Scene, postgres: EmbeddedPostgres) -> None:
    with stuck_in_copy(scene, postgres.port) as (child, hold):
        assert terminate(scene, DATA) == 1
        hold.release()
        assert child.wait() == 1
    assert child.error is not None and child.error.startswith("ConnectionLost")
    assert ProgressStep.STREAMED not in child.steps
    assert [run["status"] for run in scene.runs()] == ["failed"]
    assert scene.archived_rows() == 0
    scene.converge()


@pytest.mark.fast_cases("proven", "committing")
@pytest.mark.parametrize(
    "step", [ProgressStep.STREAMED, ProgressStep.INTENT, ProgressStep.PROVEN, ProgressStep.COMMITTING]
)
def test_the_data_connection_is_terminated_between_statements(scene: Scene, step: ProgressStep) -> None:
    scene.fill()
    child = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=step, occurrence=2)
    child.await_step(step, 2)
    assert terminate(scene, DATA) == 1
    child.resume()
    assert child.wait() == 1
    assert child.error is not None and child.error.startswith("ConnectionLost")
    assert child.steps.count(ProgressStep.COMMITTED) == 1
    assert [run["status"] for run in scene.runs()] == ["failed"]
    scene.assert_tidy()
    scene.converge()


def test_the_control_connections_are_terminated_between_statements(scene: Scene) -> None:
    scene.fill()
    child = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=ProgressStep.STREAMED, occurrence=2)
    child.await_step(ProgressStep.STREAMED, 2)
    assert terminate(scene, CONTROL) > 1
    child.resume()
    assert child.wait() == 1
    assert child.steps.count(ProgressStep.COMMITTED) == 1
    assert [run["status"] for run in scene.runs()] == ["failed"]
    scene.converge()


@pytest.mark.slow
def test_the_lock_is_a_courtesy(scene: Scene) -> None:
    """Without the connections that hold the locks of the run and of its table the run goes on, and ends well."""
    scene.fill()
    # Its only worker stands still: another would ask for the lock again meanwhile.
    child = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=ProgressStep.UPLOADED)
    child.await_step(ProgressStep.UPLOADED)
    assert terminate(scene, LOCK) == 2
    child.resume()
    assert child.wait() == 0, child.log
    assert child.answer is not None and child.answer["status"] == "ok"
    assert scene.converge()["status"] == "nothing"
