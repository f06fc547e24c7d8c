"""Somebody else holds a lock: what is free goes, what is locked waits for the next run, and the report says so."""

from __future__ import annotations

import contextlib

import pytest

from local.chatlog import connect
from nightshift.progress_events import ProgressStep
from tests.support.multiset import rows_in_table
from tests.support.scene import CUTOFF_US, TABLE, Scene

LOCKED = "rows locked by somebody else were left for the next run"


@pytest.mark.fast_cases("by place")
@pytest.mark.parametrize("indexed", [False, True], ids=["by place", "by time"])
def test_one_row_is_locked(scene: Scene, indexed: bool) -> None:
    scene.fill(indexed=indexed)
    with contextlib.closing(connect(scene.url)) as other:
        other.run("BEGIN")
        other.run(f"SELECT FROM {TABLE} WHERE id = 777 FOR UPDATE")
        answer = scene.run()
        assert other.run("SELECT pg_current_xact_id_if_assigned() IS NOT NULL") == [[True]], (
            "the lock was held throughout"
        )
    assert (answer["status"], answer["complete"]) == ("partial", False)
    (table,) = answer["tables"]
    assert table["warnings"] == [LOCKED]
    assert table["archived_rows"] == scene.due.total() - 1
    due = [row for row in rows_in_table(scene.url, TABLE) if row[2] < CUTOFF_US]
    assert [row[0] for row in due] == [777]
    assert table["oldest_overdue"] is not None
    assert scene.converge()["tables"][0]["archived_rows"] == 1


def test_the_table_is_locked_when_the_run_begins(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightshift.database.connect.CONTROL_LOCK_TIMEOUT_S", 1)
    scene.fill(300)
    with contextlib.closing(connect(scene.url)) as other:
        other.run("BEGIN")
        other.run(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        answer = scene.run()
        other.run("ROLLBACK")
    assert (answer["status"], answer["complete"]) == ("partial", False)
    assert answer["tables"][0]["warnings"] == [LOCKED]
    assert scene.archived_rows() == 0
    scene.converge()


def test_the_table_is_locked_in_mid_run(scene: Scene) -> None:
    """The chunk under way gives up after its lock time-out; committed ones stay."""
    scene.fill()
    child = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=ProgressStep.COMMITTED)
    child.await_step(ProgressStep.COMMITTED)
    with contextlib.closing(connect(scene.url)) as other:
        other.run("BEGIN")
        other.run(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        child.resume()
        child.await_step(ProgressStep.ROLLED_BACK, 2)
        other.run("ROLLBACK")
    assert child.wait() == 0, child.log
    assert child.answer is not None and child.answer["status"] == "partial"
    assert child.answer["tables"][0]["warnings"] == [LOCKED]
    assert 0 < scene.archived_rows() < scene.due.total()
    scene.converge()
