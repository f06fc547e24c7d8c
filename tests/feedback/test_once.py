"""A window is decided on once, and what was decided is told until it is heard: whatever is delivered twice, or dies."""

from __future__ import annotations

import json
import signal
from contextlib import closing

import pytest

from local.chatlog import connect
from local.event_bus import Trouble
from nightshift.feedback.decision_log import DECIDING
from tests.support.child import JobChild
from tests.support.feedback import AS_OF, BAD, DAY, GOOD, KIND, NEXT_DAY, VotingHouse
from tests.support.running import OURS

AFTER_THE_COOL_DOWN = "2025-10-20T00:00:00Z"
AS_TOLD = {
    Trouble.ENTRY: "InternalFailure",
    Trouble.INTERNAL: "InternalFailure",
    Trouble.CUT: "ConnectionClosedError",
    Trouble.LOST: "ConnectionClosedError",
}


def test_the_event_has_what_its_readers_need(bad_day: VotingHouse) -> None:
    answer = bad_day.run()
    assert (answer["state"], answer["started"]) == ("retraining", True)
    (event,) = bad_day.events()
    assert (event["source"], event["detail-type"], event["time"]) == ("nightshift", KIND, AS_OF)
    assert event["detail"] == {
        "decision": answer["decision"],
        "table": "public.conversation_log",
        "window": {"start": "2025-10-16T00:00:00+09:00", "end": "2025-10-17T00:00:00+09:00", "zone": "Asia/Seoul"},
        "likes": 59,
        "dislikes": 41,
        "total": 100,
        "ratio": 0.41,
        "threshold": 0.3,
        "interval": {"low": 0.318673, "high": 0.507986, "confidence": 0.95},
        "worst": [
            {"group": "coach-small", "likes": 19, "dislikes": 37, "total": 56, "ratio": 0.660714},
        ],
    }
    (record,) = bad_day.decisions()
    assert (record["event_id"], record["likes"], record["dislikes"]) == (event["id"], 59, 41)
    assert record["event_sent_at"] is not None


def test_a_second_delivery_starts_nothing_and_says_so(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, *BAD)
    first = anybody.run()
    anybody.vote(DAY, 200, 0)  # late votes; the decision stands
    second = anybody.run()
    assert (first["started"], second["started"]) == (True, False)
    assert (first["decided_before"], second["decided_before"]) == (False, True)
    assert (second["decision"], second["state"], second["reason"]) == (first["decision"], "retraining", "certain")
    assert (second["likes"], second["dislikes"], second["interval"]) == (59, 41, first["interval"])
    assert (second["since"]["likes"], second["since"]["dislikes"]) == (259, 41)
    assert "41.0%" in anybody.message()
    assert "지금 다시 집계하면: 👍 259, 👎 41, 부정 13.7%" in anybody.message()
    assert anybody.announced() == [first["decision"]]
    (record,) = anybody.decisions()
    assert (record["likes"], record["dislikes"]) == BAD
    assert "재학습 시작" in anybody.message()


def test_votes_that_come_late_do_not_start_what_was_not_decided(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, *GOOD)
    anybody.run()
    anybody.vote(DAY, 0, 500)
    assert anybody.run()["state"] == "healthy"
    assert anybody.run(scheduled_time=NEXT_DAY)["late"] == 500
    assert anybody.run(scheduled_time=NEXT_DAY)["late"] == 500
    assert anybody.events() == []


@pytest.mark.fast_cases("and the connection is closed", "taken, and the connection")
@pytest.mark.parametrize("trouble", AS_TOLD)
def test_a_bus_that_is_down_fails_the_run_and_the_retry_tells_it(bad_day: VotingHouse, trouble: Trouble) -> None:
    bad_day.bus.fail_next(trouble, times=9)
    error = bad_day.fail()
    assert set(bad_day.bus.suffered) == {trouble}
    assert (AS_TOLD[trouble] in error.message, error.hint) == (True, "the next run sends it again")
    (record,) = bad_day.decisions()
    assert (record["state"], record["event_sent_at"]) == ("retraining", None)
    assert bad_day.message().startswith("🚨")
    assert "41.0%" in bad_day.message()
    (run,) = bad_day.runs()
    assert (run["status"], run["result"]["decision"]) == ("failed", record["decision"])

    bad_day.bus.heal()
    answer = bad_day.run()
    assert (answer["started"], answer["decided_before"]) == (True, True)
    assert set(bad_day.announced()) == {record["decision"]}
    details = [event["detail"] for event in bad_day.events()]
    assert all(detail == details[0] for detail in details)
    assert bad_day.run()["started"] is False
    assert len(bad_day.events()) == len(details)
    assert len(bad_day.decisions()) == 1


def test_a_retry_tells_what_was_decided_not_what_is_counted_since(bad_day: VotingHouse) -> None:
    bad_day.bus.fail_next(Trouble.INTERNAL, times=9)
    bad_day.fail()
    bad_day.bus.heal()
    bad_day.vote(DAY, 300, 0, model="coach-small")
    bad_day.env["FEEDBACK_THRESHOLD"] = "0.9"
    assert bad_day.run(scheduled_time="2025-10-17T03:00:00Z")["started"] is True
    (event,) = bad_day.events()
    assert (event["detail"]["total"], event["detail"]["threshold"], event["time"]) == (100, 0.3, AS_OF)


@pytest.mark.parametrize(("votes", "reason"), [(GOOD, "within"), (BAD, "cooling_down")])
def test_the_next_days_run_tells_what_was_never_heard(
    bad_day: VotingHouse, votes: tuple[int, int], reason: str
) -> None:
    bad_day.bus.fail_next(Trouble.DENIED)
    assert "events:PutEvents" in str(bad_day.fail().hint)
    bad_day.vote("2025-10-17", *votes)
    answer = bad_day.run(scheduled_time=NEXT_DAY)
    assert (answer["reason"], answer["started"]) == (reason, False)
    assert "2025-10-16" in answer["warnings"][0]
    assert bad_day.announced() == [bad_day.decisions()[0]["decision"]]
    assert bad_day.events()[0]["time"] == AS_OF
    assert bad_day.run()["started"] is False
    assert len(bad_day.events()) == 1


def test_what_was_never_heard_is_history_after_its_cool_down(bad_day: VotingHouse) -> None:
    bad_day.bus.fail_next(Trouble.DENIED)
    bad_day.fail()
    assert bad_day.run(scheduled_time=AFTER_THE_COOL_DOWN)["state"] == "too_few_votes"
    bad_day.vote("2025-10-20", *BAD)
    later = bad_day.run(scheduled_time="2025-10-21T00:00:00Z")
    assert later["started"] is True
    assert bad_day.run()["started"] is False, "a later start has taken its place"
    assert bad_day.announced() == [later["decision"]]


def test_a_dry_run_says_what_would_be_and_leaves_no_trace(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, *BAD)
    before = anybody.state()
    dry = anybody.run(dry_run=True)
    assert (dry["status"], dry["state"], dry["started"], dry["decided_before"]) == (
        "dry_run",
        "retraining",
        False,
        False,
    )
    assert (anybody.state(), anybody.decisions(), anybody.bus.requests) == (before, [], 0)
    real = anybody.run()
    assert (real["decision"], real["started"]) == (dry["decision"], True)
    assert anybody.run(dry_run=True)["decided_before"] is True
    assert len(anybody.events()) == 1


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [("THRESHOLD", "0.9", "기준 90%"), ("MIN_VOTES", "500", "최소 500건"), ("CONFIDENCE", "0.5", "신뢰도 50%")],
)
def test_settings_that_changed_since_are_told_beside_the_decision(
    anybody: VotingHouse, name: str, value: str, told: str
) -> None:
    anybody.create()
    anybody.vote(DAY, *BAD)
    first = anybody.run()
    anybody.env[f"FEEDBACK_{name}"] = value
    second = anybody.run()
    same = ("likes", "dislikes", "threshold", "min_votes", "interval", "state", "reason")
    assert [second[key] for key in same] == [first[key] for key in same]
    assert second["since"][name.lower()] == float(value)
    assert told in anybody.message()


def test_a_second_report_without_a_change_tells_of_none(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, *BAD)
    anybody.run()
    assert "since" not in anybody.run()
    assert "지금 다시 집계하면" not in anybody.message()


def test_the_week_of_a_decision_is_the_one_that_it_rests_on(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote("2025-10-14", 95, 5)
    anybody.vote("2025-10-15", 95, 5)
    anybody.vote(DAY, 75, 25)
    first = anybody.run()
    anybody.vote("2025-10-15", 0, 300)
    second = anybody.run()
    assert first["reason"] == second["reason"] == "worse"
    assert second["week"] == first["week"]


def test_a_dry_run_decides_anew_by_the_settings_at_hand(anybody: VotingHouse) -> None:
    """And tells what is on record; that stays as it was, and so does what it started."""
    anybody.create()
    anybody.vote(DAY, *BAD)
    first = anybody.run()
    for threshold, state in (("0.35", "caution"), ("0.9", "healthy"), ("0.3", "retraining")):
        anybody.env["FEEDBACK_THRESHOLD"] = threshold
        dry = anybody.run(dry_run=True)
        assert (dry["state"], dry["threshold"], dry["decided_before"]) == (state, float(threshold), True)
        assert (dry["on_record"]["state"], dry["on_record"]["threshold"]) == ("retraining", 0.3)
        assert "기록된 판단: 🔁 재학습 시작 · 👍 59, 👎 41" in anybody.message()
    anybody.vote(DAY, 400, 0)
    dry = anybody.run(dry_run=True)
    assert (dry["total"], dry["state"], dry["on_record"]["total"]) == (500, "healthy", 100)
    assert anybody.announced() == [first["decision"]]
    (record,) = anybody.decisions()
    assert (record["state"], record["likes"]) == ("retraining", 59)


def test_killed_while_it_counts(bad_day: VotingHouse) -> None:
    bad_day.run(scheduled_time="2025-10-16T00:00:00Z")
    with closing(connect(bad_day.url)) as somebody:
        somebody.run("BEGIN; LOCK TABLE conversation_log IN ACCESS EXCLUSIVE MODE")
        child = bad_day.child()
        bad_day.await_value(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'", 1)
        assert child.kill() == -signal.SIGKILL
        somebody.run("ROLLBACK")
    bad_day.await_quiet()
    assert [row["state"] for row in bad_day.decisions()] == ["too_few_votes"]
    converge(bad_day, sent=0)


def test_cut_off_while_it_decides(bad_day: VotingHouse) -> None:
    """It has counted, and waits for somebody else's decision when the server ends its connection."""
    bad_day.run(scheduled_time="2025-10-16T00:00:00Z")
    with closing(connect(bad_day.url)) as somebody:
        somebody.run("SELECT pg_advisory_lock(:key)", key=DECIDING)
        child = bad_day.child()
        waiting = f"{OURS} AND wait_event_type = 'Lock'"
        bad_day.await_value(f"SELECT count(*) FROM pg_stat_activity WHERE {waiting}", 1)
        assert bad_day.terminate("wait_event_type = 'Lock'") == 1
        assert child.wait() == 1, child.log
    assert child.error is not None and "Traceback" not in child.error
    assert [row["state"] for row in bad_day.decisions()] == ["too_few_votes"]
    assert DAY not in bad_day.counted_days()
    bad_day.await_quiet()
    converge(bad_day, sent=0)


@pytest.mark.parametrize("heard", [False, True], ids=["before the bus has it", "before its answer"])
def test_killed_while_it_tells(bad_day: VotingHouse, heard: bool) -> None:
    """Between the decision and the note that it was sent: it is sent again, word for word."""
    child: JobChild

    def kill() -> None:
        child.process.kill()

    if heard:
        bad_day.bus.fail_next(Trouble.LOST)
        bad_day.bus.call_next(lambda: None)
        bad_day.bus.call_next(kill)  # it has heard no answer, and asks again
        bad_day.bus.fail_next(Trouble.CUT)
    else:
        bad_day.bus.call_next(kill)
        bad_day.bus.fail_next(Trouble.CUT)
    child = bad_day.child()
    assert child.wait() == -signal.SIGKILL, child.log
    assert bad_day.bus.suffered == [Trouble.LOST, Trouble.CUT][not heard :]
    bad_day.await_quiet()
    (record,) = bad_day.decisions()
    assert (record["state"], record["event_sent_at"], len(bad_day.events())) == ("retraining", None, int(heard))
    converge(bad_day, sent=int(heard))


def converge(house: VotingHouse, *, sent: int) -> None:
    """The next delivery does what is left, and the one after it nothing."""
    answer = house.run()
    assert (answer["state"], answer["started"]) == ("retraining", True)
    assert house.run()["started"] is False
    assert house.announced() == [answer["decision"]] * (sent + 1)
    assert len({json.dumps(event["detail"]) for event in house.events()}) == 1
    (record,) = [row for row in house.decisions() if row["state"] == "retraining"]
    assert record["event_id"] == house.events()[-1]["id"]


def test_tables_do_not_hold_each_other_back(voters: VotingHouse) -> None:
    voters.create()
    voters.vote(DAY, *BAD)
    voters.sql("CREATE TABLE other_log AS SELECT * FROM conversation_log")
    for table, moment in (("other_log", NEXT_DAY), ("other_log", AS_OF), ("conversation_log", AS_OF)):
        voters.env["FEEDBACK_TABLE"] = table
        if moment == NEXT_DAY:
            voters.sql(f"UPDATE other_log SET created_at = {voters.moment('2025-10-17')}")
        voters.run(scheduled_time=moment)
    decided = {(row["table_name"].split(".")[-1], row["reason"]) for row in voters.decisions()}
    assert decided == {("other_log", "certain"), ("other_log", "no_votes"), ("conversation_log", "certain")}
    assert len(set(voters.announced())) == 2
