"""`kill -9`, wherever it may hit: no object is half restored, none twice, and the next run carries on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.postgres import EmbeddedPostgres
from nightshift.progress_events import ProgressStep
from tests.support.child import JobChild
from tests.support.scene import OURS
from tests.support.tcp_proxy import Hold, TcpProxy
from tests.support.way_back import COMMIT, COPY, INSERT, MID_COPY, TARGETS, WayBack, asked, await_trap

MOMENTS = [
    (ProgressStep.PLANNED, 1),
    (ProgressStep.PROVEN, 3),
    (ProgressStep.COMMITTING, 1),
    (ProgressStep.COMMITTED, 3),
]


@pytest.mark.fast_cases("committing-1", "proven-3-original", "committed-3-own")
@TARGETS
@pytest.mark.parametrize(("step", "occurrence"), MOMENTS)
def test_killed_at_a_step(back: WayBack, step: ProgressStep, occurrence: int, into_original: bool) -> None:
    back.archive()
    child = back.restoring(kill_at=step, occurrence=occurrence, **asked(into_original))
    assert child.wait() == -signal.SIGKILL
    assert (child.steps[-1], child.steps.count(step)) == (step, occurrence)
    back.await_quiet()
    committed = child.steps.count(ProgressStep.COMMITTED)
    assert len(back.records()) == committed

    answer = back.finish(into_original=into_original)

    assert (answer["objects"], answer["already"]) == (len(back.contents) - committed, committed)


@pytest.mark.fast_cases("original")
@TARGETS
def test_killed_with_several_objects_under_way(back: WayBack, into_original: bool) -> None:
    back.archive()
    child = back.restoring(
        {"CLEANUP_WORKERS": "4"}, kill_at=ProgressStep.COMMITTING, occurrence=3, **asked(into_original)
    )
    assert child.wait() == -signal.SIGKILL
    assert child.steps.count(ProgressStep.PROVEN) > child.steps.count(ProgressStep.COMMITTED)
    back.await_quiet()
    back.finish(into_original=into_original)


@contextmanager
def held_up(back: WayBack, port: int, pattern: bytes, having: bytes, **event: Any) -> Iterator[tuple[JobChild, Hold]]:
    """A restore whose client has sent this, and whose server does not get it."""
    with TcpProxy("127.0.0.1", port) as proxy:
        hold = proxy.hold_when(pattern, having=having)
        child = back.restoring({"DATABASE_URL": proxy.through(back.env["DATABASE_URL"])}, **event)
        await_trap(hold, child)
        yield child, hold


@pytest.mark.fast_cases("original")
@TARGETS
def test_killed_in_the_middle_of_a_copy(back: WayBack, postgres: EmbeddedPostgres, into_original: bool) -> None:
    """The server has taken some rows of an object and waits for more."""
    back.archive(20_000, width=32, days=0.5)
    with held_up(back, postgres.port, MID_COPY, COPY, **asked(into_original)) as (child, hold):
        back.await_value("SELECT count(*) FROM pg_stat_progress_copy WHERE tuples_processed > 0", 1)
        assert child.kill() == -signal.SIGKILL
        assert ProgressStep.COMMITTING not in child.steps
        hold.release()
        back.await_quiet()
    back.finish(into_original=into_original)


def test_killed_between_the_stage_and_the_table(back: WayBack, postgres: EmbeddedPostgres) -> None:
    back.archive()
    with held_up(back, postgres.port, INSERT, COPY, into_original=True) as (child, hold):
        assert child.kill() == -signal.SIGKILL
        assert child.steps[-1] == ProgressStep.PROVEN
        assert back.value(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND state = 'idle in transaction'") == 1
        hold.release()
        back.await_quiet()
    assert back.records() == []
    back.finish(into_original=True)


@pytest.mark.fast_cases("original")
@TARGETS
def test_its_commit_arrives_late(back: WayBack, postgres: EmbeddedPostgres, into_original: bool) -> None:
    """Its sender is dead and another run has tried in vain when the server sees it: the rows are there once."""
    back.archive()
    with held_up(back, postgres.port, COMMIT, COPY, **asked(into_original)) as (child, hold):
        assert child.kill() == -signal.SIGKILL
        assert child.steps[-1] == ProgressStep.COMMITTING
        back.await_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)
        second = back.restoring(**asked(into_original))
        assert second.wait() == 1
        assert second.error is not None and second.error.startswith("RowsLocked"), second.error
        back.assert_promise(into_original=into_original)
        assert back.records() == []
        hold.release()
        back.await_quiet()
    assert len(back.records()) == 1
    answer = back.finish(into_original=into_original)
    assert answer["already"] == 1


@pytest.mark.fast_cases("committing-2-True", "committed-2-True")
@pytest.mark.parametrize(
    ("step", "occurrence", "into_original"),
    [
        (ProgressStep.PLANNED, 1, False),
        (ProgressStep.COMMITTING, 2, False),
        (ProgressStep.COMMITTING, 2, True),
        (ProgressStep.COMMITTED, 2, True),
    ],
)
def test_killed_on_sqlite(sqlite_back: WayBack, step: ProgressStep, occurrence: int, into_original: bool) -> None:
    sqlite_back.archive(330)
    child = sqlite_back.restoring(kill_at=step, occurrence=occurrence, **asked(into_original))
    assert child.wait() == -signal.SIGKILL
    assert (child.steps[-1], child.steps.count(step)) == (step, occurrence)
    assert len(sqlite_back.records()) == child.steps.count(ProgressStep.COMMITTED)
    sqlite_back.finish(into_original=into_original)
