"""Somebody alters the table in the middle of a run: nothing leaves that the guards have not seen as it is now."""

from __future__ import annotations

import pytest

from nightshift.progress_events import ProgressStep
from tests.support.scene import TABLE, Scene

CHILD = "CREATE TABLE child (parent bigint REFERENCES conversation_log (id) ON DELETE {action})"


def altered_in_mid_run(scene: Scene, statement: str) -> int:
    """Fill, run up to the first chunk's COMMIT, alter, go on; returns how many rows had left by then."""
    scene.fill(columns="id bigint PRIMARY KEY, payload text NOT NULL, created_at timestamptz NOT NULL")
    run = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=ProgressStep.COMMITTED)
    run.await_step(ProgressStep.COMMITTED)
    gone = scene.archived_rows()
    scene.sql(statement)
    run.resume()
    assert run.wait() != 0, run.log
    assert run.error is not None
    assert run.error.startswith("TableChanged"), run.error
    assert "nothing of this chunk was deleted; the next run takes the table" in run.error
    assert 0 < gone == scene.archived_rows() < sum(scene.due.values())
    scene.assert_nothing_lost()
    return gone


def test_a_column_that_comes_is_not_lost(scene: Scene) -> None:
    gone = altered_in_mid_run(scene, f"ALTER TABLE {TABLE} ADD COLUMN secret text DEFAULT 'precious'")

    scene.converge()

    with_it = [row for item in scene.archived() for row in [item] if "secret" in row]
    assert {row["secret"] for row in with_it} == {"precious"}
    assert len(with_it) == sum(scene.due.values()) - gone


@pytest.mark.fast_cases("several")
@pytest.mark.parametrize(
    "statement",
    [
        f"ALTER TABLE {TABLE} ALTER COLUMN payload TYPE varchar(5000)",
        f"ALTER TABLE {TABLE} RENAME COLUMN payload TO message; ALTER TABLE {TABLE} RENAME COLUMN message TO payload;"
        f" ALTER TABLE {TABLE} ADD COLUMN n int",
    ],
    ids=["type", "several"],
)
def test_the_next_run_takes_the_table_as_it_is_then(scene: Scene, statement: str) -> None:
    altered_in_mid_run(scene, statement)
    scene.converge()


def test_a_cascade_that_comes_deletes_nothing(scene: Scene) -> None:
    due = f"INSERT INTO child SELECT max(id) FROM {TABLE} WHERE created_at = (SELECT max(created_at) FROM {TABLE}"
    due += " WHERE created_at < '2025-09-14')"
    altered_in_mid_run(scene, f"{CHILD.format(action='CASCADE')}; {due}")

    answer = scene.run()

    assert (answer["status"], answer["tables"][0]["refusal"]["guard"]) == ("refused", "cascade")
    assert scene.value("SELECT count(*) FROM child") == 1
    scene.assert_nothing_lost()


def test_a_trigger_that_comes_is_respected(scene: Scene) -> None:
    function = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"
    trigger = f"CREATE TRIGGER keep BEFORE DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION keep()"
    altered_in_mid_run(scene, f"{function}; {trigger}")

    assert scene.run()["tables"][0]["refusal"]["guard"] == "hidden_rows"


def test_rows_that_move_behind_the_run_make_it_partial(scene: Scene) -> None:
    """The application rewrites the whole table: every row lies behind the pages that the run knows of."""
    scene.fill()
    run = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=ProgressStep.COMMITTED)
    run.await_step(ProgressStep.COMMITTED)
    scene.sql(f"UPDATE {TABLE} SET created_at = created_at")
    run.resume()

    assert run.wait() == 0, run.log
    assert run.answer is not None
    assert (run.answer["status"], run.answer["complete"]) == ("partial", False)
    assert run.answer["tables"][0]["oldest_overdue"] is not None
    scene.converge()
