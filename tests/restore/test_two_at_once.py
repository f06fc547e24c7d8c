"""A restore beside another, beside a cleanup, beside writers: every row comes once, and nobody takes it back."""

from __future__ import annotations

from contextlib import closing

import pytest

from local.chatlog import connect
from local.postgres import EmbeddedPostgres
from nightshift.progress_events import ProgressStep
from tests.support.house import AS_OF
from tests.support.multiset import rows_in_table
from tests.support.scene import OURS, TABLE
from tests.support.tcp_proxy import TcpProxy
from tests.support.way_back import OWN, TARGETS, WayBack, asked, await_trap

LOCKS = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"


def lose_locks(back: WayBack) -> None:
    """End the connections that hold the run's locks, as a failing network would."""
    lost = back.sql(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE {OURS} AND {LOCKS}")
    assert len(lost) >= 1


@pytest.mark.fast_cases("original")
@TARGETS
def test_the_second_is_refused(back: WayBack, into_original: bool) -> None:
    back.archive()
    first = back.restoring(hold_at=ProgressStep.COMMITTING, **asked(into_original))
    first.await_step(ProgressStep.COMMITTING)
    second = back.restore(**asked(into_original))
    assert (second["status"], second["complete"]) == ("refused", False)
    assert back.records() == []
    first.resume()
    assert first.wait() == 0, first.log
    assert back.finish(into_original=into_original)["status"] == "nothing"


@pytest.mark.fast_cases("original")
@TARGETS
def test_both_restore_the_same_object(back: WayBack, into_original: bool) -> None:
    """The lock is lost: the second waits for the first one's record, finds the object there, and the first stops."""
    back.archive()
    first = back.restoring(hold_at=ProgressStep.COMMITTING, occurrence=2, **asked(into_original))
    first.await_step(ProgressStep.COMMITTING, 2)
    lose_locks(back)
    second = back.restoring({"CLEANUP_LOCK_TIMEOUT": "300"}, **asked(into_original))
    back.await_value(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'", 1)
    first.resume()
    assert (first.wait(), second.wait()) == (1, 0), first.log + second.log
    assert first.error is not None and first.error.startswith("LockLost")
    assert second.answer is not None
    assert (second.answer["already"], second.answer["objects"]) == (2, len(back.contents) - 2)
    assert back.finish(into_original=into_original)["status"] == "nothing"


def test_both_find_the_table_empty(back: WayBack, postgres: EmbeddedPostgres) -> None:
    """The second forgets what an empty table once held, when it is empty no more: what came meanwhile stays known."""
    back.archive()
    back.restore()
    back.sql(f"TRUNCATE {OWN}")
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        held = proxy.hold_when(b"DELETE FROM public.nightshift_restored_object")
        second = back.restoring({"DATABASE_URL": proxy.through(back.env["DATABASE_URL"])})
        await_trap(held, second)
        lose_locks(back)
        assert back.restore()["restored_rows"] == back.due.total()
        held.release()
        assert second.wait() in (0, 1), second.log
    back.await_quiet()
    assert back.rows_of() == back.due
    back.finish()


def test_into_the_original_waits_for_a_cleanup(back: WayBack) -> None:
    """It is refused, and touches nothing; a table of its own may be filled meanwhile."""
    back.archive()
    back.insert(660, first=1001, days=6, width=100)
    back.note("> 1000")
    cleanup = back.child(hold_at=ProgressStep.PROVEN)
    cleanup.await_step(ProgressStep.PROVEN)
    archived = back.due - back.rows_of(TABLE)

    refused = back.restore(into_original=True)
    assert (refused["status"], refused["refusal"]["guard"]) == ("refused", "busy")
    assert "try again when it is done, or restore" in refused["refusal"]["hint"]
    assert back.records() == []
    own = back.restore()
    assert (own["status"], own["restored_rows"]) == ("ok", archived.total())

    cleanup.resume()
    assert cleanup.wait() == 0, cleanup.log
    back.archive_again()
    back.finish(into_original=True)


def test_a_cleanup_waits_for_a_restore_into_the_original(back: WayBack) -> None:
    back.archive()
    first = back.restoring(hold_at=ProgressStep.COMMITTED, occurrence=2, into_original=True, hold="0")
    first.await_step(ProgressStep.COMMITTED, 2)
    refused = back.run()
    assert (refused["status"], refused["tables"][0]["refusal"]["hint"]) == (
        "refused",
        "no need to do anything: the next run takes the table",
    )
    back.assert_promise(into_original=True)
    first.resume()
    assert first.wait() == 0, first.log
    back.finish(into_original=True)


@pytest.mark.slow
def test_a_cleanup_goes_on_beside_a_restore_into_its_own_table(back: WayBack) -> None:
    back.archive()
    back.insert(660, first=1001, days=6, width=100)
    back.note("> 1000")
    first = back.restoring(hold_at=ProgressStep.COMMITTED, occurrence=2)
    first.await_step(ProgressStep.COMMITTED, 2)
    back.archive_again()
    first.resume()
    assert first.wait() == 0, first.log
    back.assert_promise()
    back.finish()


@TARGETS
def test_writers_go_on(back: WayBack, into_original: bool) -> None:
    """They insert while an object is under way, and their sequence runs on beside ours."""
    columns = "id bigserial PRIMARY KEY, payload text NOT NULL, created_at timestamptz NOT NULL"
    back.archive(columns=columns)
    back.sql(f"SELECT setval('{TABLE}_id_seq', 10000)")
    target = TABLE if into_original else OWN
    child = back.restoring(hold_at=ProgressStep.COMMITTING, occurrence=2, **asked(into_original))
    child.await_step(ProgressStep.COMMITTING, 2)
    with closing(connect(back.url)) as writer:
        for number in range(20):
            writer.run(
                f"INSERT INTO {target} (id, payload, created_at)"
                f" VALUES (nextval('{TABLE}_id_seq'), 'writer {number}', '2025-10-14 12:00+00')"
            )
    written = rows_in_table(back.url, f"{target} WHERE id > 10000")
    child.resume()
    assert child.wait() == 0, child.log
    assert child.answer is not None
    assert (child.answer["restored_rows"], child.answer["existing_rows"]) == (back.due.total(), 0)
    expected = back.before if into_original else back.due
    assert back.rows_of(target) == expected + written
    assert written.total() == 20


def test_a_writer_takes_a_key_that_is_under_way(back: WayBack) -> None:
    """Its INSERT waits for our transaction, and fails as it should: the archived row was first."""
    back.archive()
    child = back.restoring(hold_at=ProgressStep.COMMITTING, into_original=True)
    child.await_step(ProgressStep.COMMITTING)
    key = min(back.contents[back.keys[0]])[0]
    with closing(connect(back.url)) as writer:
        writer.run("SET lock_timeout = '50ms'")
        with pytest.raises(Exception, match="lock timeout"):
            writer.run(f"INSERT INTO {TABLE} VALUES ({key}, 'late', now())")
    child.resume()
    assert child.wait() == 0, child.log
    back.finish(into_original=True)


def test_a_key_comes_to_exist_while_its_object_is_under_way(back: WayBack) -> None:
    """Our INSERT waits for the writer's transaction; when it commits, its row is left alone and ours counted."""
    back.archive()
    child = back.restoring({"CLEANUP_LOCK_TIMEOUT": "300"}, hold_at=ProgressStep.PROVEN, into_original=True)
    child.await_step(ProgressStep.PROVEN)
    key = min(back.contents[back.keys[0]])[0]
    with closing(connect(back.url)) as writer:
        writer.run("BEGIN")
        writer.run(f"INSERT INTO {TABLE} VALUES ({key}, 'first', '{AS_OF}')")
        child.resume()
        back.await_value(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'", 1)
        writer.run("COMMIT")
    assert child.wait() == 0, child.log
    assert child.answer is not None
    assert (child.answer["status"], child.answer["existing_rows"]) == ("ok", 1)
    assert child.answer["restored_rows"] == back.due.total() - 1
    assert back.value(f"SELECT payload FROM {TABLE} WHERE id = {key}") == "first"
    assert any("differ" in warning for warning in child.answer["warnings"]), child.answer["warnings"]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE {} ADD COLUMN extra int NOT NULL DEFAULT 1",
        "CREATE FUNCTION empty() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.payload = ''; RETURN NEW; END $$;"
        " CREATE TRIGGER empty BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION empty()",
        "CREATE RULE nothing AS ON INSERT TO {} DO INSTEAD NOTHING",
    ],
    ids=["column", "trigger", "rule"],
)
def test_the_table_is_altered_in_mid_run(back: WayBack, change: str) -> None:
    """What was judged holds no longer: the run stops before a row goes in that nobody has judged."""
    back.archive()
    child = back.restoring(hold_at=ProgressStep.COMMITTED, occurrence=2, into_original=True)
    child.await_step(ProgressStep.COMMITTED, 2)
    before = back.value(f"SELECT count(*) FROM {TABLE}")
    back.sql(change.format(TABLE))
    child.resume()
    assert child.wait() == 1
    assert child.error is not None
    # A rule is found by the server, as the rows arrive: INSERT … ON CONFLICT knows none.
    assert ("run it again, and the rest goes into the table" in child.error) is ("RULE" not in change)
    assert len(back.records()) == 2
    assert back.value(f"SELECT count(*) FROM {TABLE}") == before
    assert back.runs()[-1]["status"] == "failed"
