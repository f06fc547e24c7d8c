"""The database goes away, stalls, is locked or stopped: rows come once, and the answer counts them rightly."""

from __future__ import annotations

import contextlib
import signal

import pytest

from local.chatlog import connect
from local.postgres import EmbeddedPostgres
from nightshift.progress_events import ProgressStep
from tests.support import s3_faults as faults
from tests.support.handler import Context
from tests.support.s3_proxy import S3Proxy
from tests.support.scene import OURS, TABLE, writing
from tests.support.tcp_proxy import TcpProxy
from tests.support.way_back import COMMIT, COPY, MID_COPY, OWN, TARGETS, WayBack, asked, await_trap


def terminate(back: WayBack, which: str) -> int:
    """Terminate the run's backends of one kind; how many there were."""
    return len(back.sql(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE {OURS} AND {which}"))


@pytest.mark.fast_cases("never seen-1-True", "answer lost-2-True")
@pytest.mark.parametrize(("workers", "into_original"), [(1, False), (1, True), (2, True)])
@pytest.mark.parametrize("arrived", [False, True], ids=["never seen", "answer lost"])
def test_the_connection_is_lost_at_commit(
    back: WayBack, postgres: EmbeddedPostgres, arrived: bool, workers: int, into_original: bool
) -> None:
    """Tried again, the record tells whether it went through: the run counts the object once, and goes on."""
    back.archive()
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        cut = proxy.cut_when(COMMIT, after_forward=arrived, having=COPY, skip=1)
        env = {"DATABASE_URL": proxy.through(back.env["DATABASE_URL"]), "CLEANUP_WORKERS": str(workers)}
        child = back.restoring(env, **asked(into_original))
        assert child.wait() == 0, child.log
        assert cut.happened.is_set()
    assert child.steps.count(ProgressStep.ROLLED_BACK) == 1
    assert child.answer is not None
    told = (child.answer["status"], child.answer["restored_rows"], child.answer["existing_rows"])
    assert told == ("ok", back.due.total(), 0)
    assert (child.answer["objects"], child.answer["already"]) == (len(back.contents), 0)
    assert back.finish(into_original=into_original)["status"] == "nothing"


@pytest.mark.fast_cases("never seen")
@pytest.mark.parametrize("arrived", [False, True], ids=["never seen", "answer lost"])
def test_the_server_is_lost_at_commit(back: WayBack, postgres: EmbeddedPostgres, arrived: bool) -> None:
    """Nobody can be asked: the run fails; what became of the object is for the next one to see."""
    back.archive()
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        cut = proxy.cut_when(COMMIT, after_forward=arrived, everything=True, having=COPY, skip=1)
        child = back.restoring({"DATABASE_URL": proxy.through(back.env["DATABASE_URL"])}, into_original=True)
        assert child.wait() == 1
        assert cut.happened.is_set()
    assert child.error is not None and child.error.startswith(("DatabaseUnavailable", "ConnectionLost")), child.log
    back.await_quiet()
    assert len(back.records()) == (2 if arrived else 1)
    back.finish(into_original=True)


def test_a_lost_answer_with_existing_rows(back: WayBack, postgres: EmbeddedPostgres) -> None:
    """What was left out is counted, too, though the run never heard that the object went through."""
    back.archive()
    kept = min(back.contents[back.keys[1]])
    back.sql(f"INSERT INTO {TABLE} VALUES ({kept[0]}, 'mine', now())")
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        cut = proxy.cut_when(COMMIT, after_forward=True, having=COPY, skip=1)
        child = back.restoring({"DATABASE_URL": proxy.through(back.env["DATABASE_URL"])}, into_original=True)
        assert child.wait() == 0, child.log
        assert cut.happened.is_set()
    assert child.answer is not None
    assert (child.answer["restored_rows"], child.answer["existing_rows"]) == (back.due.total() - 1, 1)


@pytest.mark.fast_cases("original")
@TARGETS
def test_terminated_in_the_middle_of_a_copy(back: WayBack, postgres: EmbeddedPostgres, into_original: bool) -> None:
    """The object is undone, and done again over another connection."""
    back.archive(20_000, width=32, days=0.5)
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        hold = proxy.hold_when(MID_COPY, having=COPY)
        child = back.restoring({"DATABASE_URL": proxy.through(back.env["DATABASE_URL"])}, **asked(into_original))
        await_trap(hold, child)
        back.await_value("SELECT count(*) FROM pg_stat_progress_copy WHERE tuples_processed > 0", 1)
        assert terminate(back, "query LIKE 'COPY %'") == 1
        hold.release()
        assert child.wait() == 0, child.log
    assert child.steps.count(ProgressStep.ROLLED_BACK) == 1
    assert child.answer is not None
    assert (child.answer["status"], child.answer["restored_rows"]) == ("ok", back.due.total())
    assert back.finish(into_original=into_original)["status"] == "nothing"


@pytest.mark.fast_cases("data and control")
@pytest.mark.parametrize(
    ("step", "which", "ends"),
    [
        (ProgressStep.COMMITTING, "state = 'idle in transaction'", 0),
        (ProgressStep.PROVEN, "query NOT LIKE '%advisory%'", 1),
        (ProgressStep.PROVEN, "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')", 0),
    ],
    ids=["data", "data and control", "locks"],
)
def test_terminated_between_statements(back: WayBack, step: ProgressStep, which: str, ends: int) -> None:
    """The data connection is replaced, the locks are a courtesy; without the control connection it fails at its end."""
    back.archive()
    child = back.restoring(hold_at=step, occurrence=2, into_original=True)
    child.await_step(step, 2)
    assert terminate(back, which) >= 1
    child.resume()
    assert child.wait() == ends, child.log
    assert child.steps.count(ProgressStep.COMMITTED) == len(back.contents)
    back.assert_promise(into_original=True)
    assert back.finish(into_original=True)["status"] == "nothing"


@pytest.mark.fast_cases("ACCESS")
@pytest.mark.parametrize("mode", ["SHARE", "ACCESS EXCLUSIVE"])
def test_the_table_is_locked(back: WayBack, mode: str) -> None:
    """Three tries of a lock time-out each; nothing is changed, and the error says what is in the way."""
    back.archive()
    back.sql(f"CREATE TABLE {OWN} (LIKE {TABLE})")
    child = back.restoring(hold_at=ProgressStep.PROVEN, occurrence=3)
    child.await_step(ProgressStep.PROVEN, 3)
    with contextlib.closing(connect(back.url)) as other:
        other.run("BEGIN")
        other.run(f"LOCK TABLE {OWN} IN {mode} MODE")
        child.resume()
        assert child.wait() == 1
        other.run("ROLLBACK")
    assert child.error is not None and child.error.startswith("RowsLocked"), child.error
    assert child.steps.count(ProgressStep.ROLLED_BACK) == 3
    assert len(back.records()) == 2
    assert [run["status"] for run in back.runs()][-1] == "failed"
    assert back.runs()[-1]["result"]["objects"] == 2
    back.finish()


def test_a_short_lock_is_waited_for(back: WayBack) -> None:
    back.archive()
    child = back.restoring({"CLEANUP_LOCK_TIMEOUT": "60"}, hold_at=ProgressStep.PROVEN, into_original=True)
    child.await_step(ProgressStep.PROVEN)
    with contextlib.closing(connect(back.url)) as other:
        other.run("BEGIN")
        other.run(f"LOCK TABLE {TABLE} IN SHARE MODE")
        child.resume()
        back.await_value(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'", 1)
        other.run("ROLLBACK")
    assert child.wait() == 0, child.log
    assert ProgressStep.ROLLED_BACK not in child.steps
    assert back.finish(into_original=True)["status"] == "nothing"


@pytest.mark.fast_cases("original")
@TARGETS
def test_time_runs_out(back: WayBack, into_original: bool) -> None:
    """No object is started that would not be through in time, going by the slowest so far; the next run goes on."""
    back.archive()
    context = Context(seconds=7.0)
    with S3Proxy(back.s3.endpoint) as proxy:
        slow = proxy.inject(faults.delay(1.2), method="GET", target=".parquet", times=None)
        env = {"AWS_ENDPOINT_URL": proxy.endpoint, "CLEANUP_WORKERS": "1"}
        answer = back.restore_with(env, context, **asked(into_original))
    assert context.get_remaining_time_in_millis() > 0
    assert slow.fired > 1
    assert (answer["status"], answer["complete"]) == ("partial", False)
    assert answer["remaining"] > 0
    assert answer["objects"] + answer["remaining"] == len(back.contents)
    assert answer["objects"] == len(back.records())
    assert back.runs()[-1]["status"] == "partial"
    second = back.finish(into_original=into_original)
    assert (second["objects"], second["remaining"]) == (answer["remaining"], 0)


@pytest.mark.slow
def test_time_runs_out_inside_a_statement(back: WayBack) -> None:
    """The server itself ends an INSERT that takes longer than what is left."""
    back.archive()
    back.sql(
        "CREATE FUNCTION dawdle() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN true; END';"
        f"ALTER TABLE {TABLE} ADD CONSTRAINT dawdle CHECK (dawdle()) NOT VALID"
    )
    context = Context(seconds=5.0)
    answer = back.restore_with({}, context, into_original=True)
    assert context.get_remaining_time_in_millis() > 0
    assert (answer["status"], answer["objects"], answer["remaining"]) == ("partial", 0, len(back.contents))
    back.sql(f"ALTER TABLE {TABLE} DROP CONSTRAINT dawdle")
    back.finish(into_original=True)


@pytest.mark.fast_cases("15")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_of_a_copy(back: WayBack, postgres: EmbeddedPostgres, number: signal.Signals) -> None:
    """By Ctrl-C, or as a container's host does: what is under way is undone, and the history says that it failed."""
    back.archive(20_000, width=32, days=0.5)
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        hold = proxy.hold_when(MID_COPY, having=COPY)
        child = back.restoring({"DATABASE_URL": proxy.through(back.env["DATABASE_URL"])})
        await_trap(hold, child)
        child.interrupt(number)
        hold.release()
        assert child.wait() == 1
    assert child.error is not None and child.error.startswith("KeyboardInterrupt"), child.log
    assert child.steps.count(ProgressStep.COMMITTED) == len(back.records()) < len(back.contents)
    assert back.runs()[-1]["status"] == "failed"
    back.finish()


def test_the_sqlite_file_is_locked(sqlite_back: WayBack) -> None:
    sqlite_back.archive(330)
    child = sqlite_back.restoring(hold_at=ProgressStep.PROVEN, occurrence=2, into_original=True)
    child.await_step(ProgressStep.PROVEN, 2)
    with writing(sqlite_back):
        child.resume()
        child.await_step(ProgressStep.ROLLED_BACK, 3)
    assert child.wait() == 1
    assert child.error is not None and child.error.startswith("RowsLocked"), child.error
    assert len(sqlite_back.records()) == 1
    sqlite_back.finish(into_original=True)
