"""Whole partitions are exported, proven and dropped: in one transaction, or not at all."""

from __future__ import annotations

import contextlib
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.chatlog import connect
from local.postgres import EmbeddedPostgres
from nightshift.progress_events import ProgressStep
from tests.support.scene import TABLE, Scene
from tests.support.tcp_proxy import TcpProxy

WHOLE = ("09-10", "09-11", "09-12", "09-13")
"""Days (UTC) of partitions that are due as a whole."""
OTHERS = ("09-14", "09-15")
"""The cutoff lies in the first of these, at 15:00."""


def fill(scene: Scene, rows: int = 3000) -> None:
    """A partition a day."""
    scene.sql(f"CREATE TABLE {TABLE} (id bigint, payload text, created_at timestamptz) PARTITION BY RANGE (created_at)")
    for day, end in zip((*WHOLE, *OTHERS), (*WHOLE[1:], *OTHERS, "09-16"), strict=True):
        bounds = f"FROM ('2025-{day} 00:00+00') TO ('2025-{end} 00:00+00')"
        scene.sql(f"CREATE TABLE {name(day)} PARTITION OF {TABLE} FOR VALUES {bounds}")
    scene.insert(rows)
    scene.remember()


def name(day: str) -> str:
    return f"log_{day.replace('-', '_')}"


def partitions(scene: Scene) -> list[str]:
    """The partitions that are still there, oldest first."""
    return [
        str(row[0])
        for row in scene.sql(f"SELECT relid::text FROM pg_partition_tree('{TABLE}') WHERE isleaf ORDER BY 1")
    ]


def converge(scene: Scene) -> None:
    scene.converge()
    assert partitions(scene) == [name(day) for day in OTHERS]


@pytest.mark.fast_cases("uploaded", "committing-3", "committed")
@pytest.mark.parametrize(
    ("step", "occurrence", "dropped"),
    [
        (ProgressStep.INTENT, 1, 0),
        (ProgressStep.UPLOADED, 1, 0),
        (ProgressStep.PROVEN, 2, 1),
        (ProgressStep.COMMITTING, 1, 0),
        (ProgressStep.COMMITTING, 3, 2),
        (ProgressStep.PLANNED, 1, 4),
        (ProgressStep.COMMITTED, 1, 4),
    ],
)
def test_killed_at_a_step(scene: Scene, step: ProgressStep, occurrence: int, dropped: int) -> None:
    """Killed while a whole partition is on its way, before its drop is committed, and after."""
    fill(scene)
    child = scene.child(kill_at=step, occurrence=occurrence)
    assert child.wait() == -signal.SIGKILL
    assert (child.steps[-1], child.steps.count(step)) == (step, occurrence)
    scene.await_quiet()
    assert len(partitions(scene)) == len(WHOLE) + len(OTHERS) - dropped
    converge(scene)


def test_killed_between_two_objects_of_a_partition(scene: Scene) -> None:
    """The first object lies in S3, the second is only meant: the partition is still whole."""
    fill(scene, rows=12_000)
    child = scene.child(kill_at=ProgressStep.INTENT, occurrence=3)
    assert child.wait() == -signal.SIGKILL
    day = [
        {key.split("/dt=")[1][5:10] for key in event["keys"]}
        for event in child.events
        if event["step"] == ProgressStep.INTENT
    ]
    assert day[1] & day[2]
    scene.await_quiet()
    assert partitions(scene) == [name(day) for day in (*WHOLE[1:], *OTHERS)]
    converge(scene)


@pytest.mark.fast_cases("answer lost")
@pytest.mark.parametrize("arrived", [False, True], ids=["lost", "answer lost"])
def test_the_commit_of_a_drop(scene: Scene, postgres: EmbeddedPostgres, arrived: bool) -> None:
    fill(scene)
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        cut = proxy.cut_when(b"COMMIT\0", after_forward=arrived, having=b'" DETACH PARTITION "')
        child = scene.child({"DATABASE_URL": proxy.through(scene.env["DATABASE_URL"])})
        assert child.wait() == (0 if arrived else 1), child.log
        assert cut.happened.is_set()
    if arrived:
        assert child.answer is not None
        assert child.answer["tables"][0]["partitions_dropped"] == len(WHOLE)
        assert child.answer["tables"][0]["archived_rows"] == scene.due.total()
    else:
        assert child.error is not None and child.error.startswith("ConnectionLost")
        assert len(partitions(scene)) == len(WHOLE) + len(OTHERS)
    scene.assert_tidy()
    converge(scene)


@pytest.mark.slow
def test_a_writer_keeps_a_partition_from_being_dropped(scene: Scene) -> None:
    """Its rows go one by one instead; the next run drops what is left."""
    fill(scene)
    with contextlib.closing(connect(scene.url)) as writer:
        writer.run("BEGIN")
        writer.run(f"LOCK TABLE {name('09-12')} IN ROW EXCLUSIVE MODE")
        answer = scene.run()
        writer.run("COMMIT")
    (table,) = answer["tables"]
    assert table["partitions_dropped"] == len(WHOLE) - 1
    assert table["archived_rows"] == scene.due.total()
    assert partitions(scene) == [name(day) for day in ("09-12", *OTHERS)]
    scene.assert_tidy()
    converge(scene)


def test_a_row_written_while_its_partition_is_exported(scene: Scene) -> None:
    """Writer and run wait for each other: one gives way. The row is kept, or its writer is told that it was not."""
    fill(scene)
    child = scene.child(hold_at=ProgressStep.PROVEN)
    child.await_step(ProgressStep.PROVEN)
    with contextlib.closing(connect(scene.url)) as writer, ThreadPoolExecutor(1) as pool:
        late = pool.submit(writer.run, f"INSERT INTO {TABLE} VALUES (99001, 'late', '2025-09-10 20:00+00')")
        while not late.done() and not scene.sql("SELECT FROM pg_locks WHERE NOT granted"):
            time.sleep(0.01)
        assert not late.done()
        child.resume()
        error = late.exception()
    assert child.wait() == 0, child.log
    if error is None:
        scene.before[(99001, "late", 1_757_534_400_000_000)] += 1
    else:
        assert "deadlock detected" in str(error)
    scene.assert_nothing_lost()
    converge(scene)


def test_a_row_that_comes_while_partitions_are_dropped(scene: Scene) -> None:
    """Its writer, not done yet, keeps every partition from being detached; the row stays for the next run."""
    fill(scene)
    with contextlib.closing(connect(scene.url)) as writer:
        writer.run("BEGIN")
        writer.run(f"INSERT INTO {TABLE} VALUES (99001, 'late', '2025-09-12 12:00+00')")
        answer = scene.run()
        writer.run("COMMIT")
    assert answer["tables"][0]["archived_rows"] == scene.due.total()
    assert len(partitions(scene)) == len(WHOLE) + len(OTHERS)
    scene.assert_tidy()
    scene.before[(99001, "late", 1_757_678_400_000_000)] += 1
    converge(scene)


@pytest.mark.slow
def test_a_reader_keeps_partitions_from_being_dropped(scene: Scene) -> None:
    """DETACH waits for whoever reads the table; after the time-out all goes row by row, and S3 is tidy."""
    fill(scene)
    with contextlib.closing(connect(scene.url)) as reader:
        reader.run("BEGIN")
        reader.run(f"SELECT count(*) FROM {TABLE}")
        answer = scene.run()
        reader.run("ROLLBACK")
    (table,) = answer["tables"]
    assert "partitions_dropped" not in table
    assert table["archived_rows"] == scene.due.total()
    assert len(partitions(scene)) == len(WHOLE) + len(OTHERS)
    scene.assert_tidy()
    converge(scene)
