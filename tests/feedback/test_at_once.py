"""Two runs at once, on one day or on two, without the run's lock: one decision a day, and one start."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from datetime import datetime

from local.chatlog import connect
from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from nightshift.event_bus import EventBus
from nightshift.feedback.evaluation import FeedbackContext, evaluate_feedback
from nightshift.results.feedback import FeedbackResult
from nightshift.run import JobRun
from nightshift.settings import Settings
from tests.support.feedback import AS_OF, BAD, NEXT_DAY, VotingHouse
from tests.support.handler import environ_of

GATE = """
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$;
CREATE TRIGGER gate BEFORE INSERT ON nightshift_feedback_run FOR EACH ROW EXECUTE FUNCTION gate()
"""
"""Stops whoever writes a decision, after it has decided, until the test lets go of lock 42."""
STOPPED = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def concurrent(house: VotingHouse, moments: list[str]) -> list[FeedbackResult]:
    """Runs at once: while one is stopped with its decision in hand, the others have come as far as they can."""
    results: list[FeedbackResult] = []
    house.sql(GATE)
    with environ_of(house.env), closing(connect(house.url)) as somebody:
        settings, bus = Settings.from_env(house.env), EventBus("default")

        def work(moment: datetime) -> None:
            run = JobRun(job="feedback", as_of=moment)
            target = parse_database_url(house.env["DATABASE_URL"], connect_timeout=5)
            with closing(Database(target, deadline=run.deadline)) as database:
                ports = FeedbackContext(settings=settings, database=database, bus=lambda: bus, now=lambda: moment)
                results.append(evaluate_feedback(run, ports))

        somebody.run("SELECT pg_advisory_lock(42)")
        threads = [threading.Thread(target=work, args=[datetime.fromisoformat(moment)]) for moment in moments]
        for thread in threads:
            thread.start()
        while house.value(STOPPED) < len(threads) and all(thread.is_alive() for thread in threads):
            time.sleep(0.01)
        somebody.run("SELECT pg_advisory_unlock(42)")
        for thread in threads:
            thread.join()
    assert len(results) == len(moments), "a run failed"
    return results


def test_two_at_once_decide_once(bad_day: VotingHouse) -> None:
    """Without the run's lock, which is a courtesy."""
    bad_day.run(scheduled_time="2025-10-16T00:00:00Z")  # makes our tables
    results = concurrent(bad_day, [AS_OF, AS_OF])
    assert sorted(result.decided_before for result in results) == [False, True]
    (record,) = [row for row in bad_day.decisions() if row["state"] == "retraining"]
    assert {result.decision for result in results} == set(bad_day.announced()) == {record["decision"]}


def test_two_days_at_once_start_once(bad_day: VotingHouse) -> None:
    """The one that decides second sees that the first has started: it is held back, or history."""
    bad_day.vote("2025-10-17", *BAD)
    bad_day.run(scheduled_time="2025-10-16T00:00:00Z")
    answers = concurrent(bad_day, [AS_OF, NEXT_DAY])
    reasons = sorted(answer.reason.value for answer in answers)
    assert reasons in (["certain", "cooling_down"], ["certain", "superseded"])
    assert len(set(bad_day.announced())) == 1
