"""SQLite locks its whole file: rows are read and uploaded first, and deleted afterwards only if none has changed."""

from __future__ import annotations

import signal

import pytest

from nightshift.progress_events import ProgressStep
from tests.support.scene import TABLE, Scene, writing


@pytest.mark.fast_cases("committing-2", "committed-2", "uploaded-2")
@pytest.mark.parametrize(
    ("step", "occurrence"),
    [
        (ProgressStep.STREAMED, 1),
        (ProgressStep.INTENT, 2),
        (ProgressStep.UPLOADED, 2),
        (ProgressStep.PROVEN, 1),
        (ProgressStep.PROVEN, 2),
        (ProgressStep.COMMITTING, 2),
        (ProgressStep.COMMITTED, 2),
    ],
)
def test_killed_at_a_step(sqlite_scene: Scene, step: ProgressStep, occurrence: int) -> None:
    sqlite_scene.fill_sqlite()
    child = sqlite_scene.child(kill_at=step, occurrence=occurrence)
    assert child.wait() == -signal.SIGKILL
    assert (child.steps[-1], child.steps.count(step)) == (step, occurrence)
    assert (sqlite_scene.archived_rows() > 0) == (ProgressStep.COMMITTED in child.steps)
    sqlite_scene.converge()


@pytest.mark.fast_cases("content", "delete")
@pytest.mark.parametrize(
    "sql",
    [
        f"UPDATE {TABLE} SET payload = 'changed' WHERE id = 7",
        f"UPDATE {TABLE} SET created_at = '2025-09-15 00:00:00' WHERE id = 7",
        f"DELETE FROM {TABLE} WHERE id = 7",
        f"INSERT INTO {TABLE} VALUES (8, 'between two others', '2025-09-01 00:00:00')",
    ],
    ids=["content", "timestamp", "delete", "insert"],
)
def test_rows_change_between_reading_and_deleting(sqlite_scene: Scene, sql: str) -> None:
    """The chunk is done again: what was uploaded is not what would be deleted."""
    sqlite_scene.fill_sqlite()
    sqlite_scene.sql(f"DELETE FROM {TABLE} WHERE id = 8")
    child = sqlite_scene.child(hold_at=ProgressStep.PROVEN)
    child.await_step(ProgressStep.PROVEN)
    sqlite_scene.sql(sql)
    sqlite_scene.remember()
    child.resume()
    assert child.wait() == 0, child.log
    first = set(child.events[child.steps.index(ProgressStep.PROVEN)]["keys"])
    assert {entry["state"] for entry in sqlite_scene.ledger() if entry["object_key"] in first} == {"swept"}
    sqlite_scene.assert_tidy()
    sqlite_scene.converge()


def test_the_database_is_locked(sqlite_scene: Scene) -> None:
    """The chunk under way gives up; what was committed before it stays."""
    sqlite_scene.fill_sqlite()
    child = sqlite_scene.child(hold_at=ProgressStep.PROVEN, occurrence=2)
    child.await_step(ProgressStep.PROVEN, 2)
    with writing(sqlite_scene):
        child.resume()
        child.await_step(ProgressStep.ROLLED_BACK)
    assert child.wait() == 0, child.log
    assert child.answer is not None
    assert (child.answer["status"], child.answer["complete"]) == ("partial", False)
    assert 0 < sqlite_scene.archived_rows() < sqlite_scene.due.total()
    sqlite_scene.converge()


def test_the_second_run_is_refused(sqlite_scene: Scene) -> None:
    sqlite_scene.fill_sqlite()
    first = sqlite_scene.child(hold_at=ProgressStep.UPLOADED)
    first.await_step(ProgressStep.UPLOADED)
    assert sqlite_scene.run()["status"] == "refused"
    first.resume()
    assert first.wait() == 0, first.log
    assert sqlite_scene.converge()["status"] == "nothing"
