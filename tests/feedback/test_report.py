"""The report, number by number, on both databases."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from local.feedback_data import SETTINGS, TOPICS, create_votes
from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from nightshift.errors import InvalidSettings
from nightshift.feedback.source import disliked_documents
from nightshift.feedback.windows import window_of
from nightshift.settings import Settings
from tests.support.feedback import BAD, DAY, GOOD, VotingHouse

FORM = """🧠 AI Feedback Loop Report
- 👍 좋아요: 87
- 👎 싫어요: 13
- 총 피드백: 100
- 부정 비율: 13.0%
- 상태: ✅ 정상 유지
- 생성 시각: 2025-10-17 09:00
📊 실시간 Dashboard 보기"""

TODAY = date.fromisoformat(DAY)


def ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


def test_the_example_to_the_letter(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, *GOOD)
    anybody.env["FEEDBACK_DASHBOARD_URL"] = "https://example.org/dashboard"
    answer = anybody.run()
    assert (answer["status"], answer["complete"]) == ("ok", True)
    assert (answer["likes"], answer["dislikes"], answer["total"], answer["ratio"]) == (87, 13, 100, 0.13)
    assert (answer["state"], answer["reason"], answer["started"]) == ("healthy", "within", False)
    assert anybody.message().startswith(FORM)
    assert anybody.events() == []


def test_the_days_before(anybody: VotingHouse) -> None:
    anybody.create()
    for back in range(40):
        anybody.vote(ago(back), 10 + back, back)
    answer = anybody.run()
    assert (answer["previous"]["likes"], answer["previous"]["dislikes"]) == (11, 1)
    assert (answer["week"]["likes"], answer["week"]["dislikes"]) == (7 * 10 + 28, 28)
    assert anybody.counted_days() == {ago(back): (10 + back, back) for back in range(30)}


def test_a_day_is_counted_once_and_yesterday_twice(anybody: VotingHouse) -> None:
    """What is known of past days outlives their rows; votes that come later than a day late are not waited for."""
    anybody.create()
    for back in range(30):
        anybody.vote(ago(back), 50, back)
    anybody.run()
    anybody.sql("DELETE FROM conversation_log WHERE model IS NULL")
    anybody.vote(DAY, 1, 0)
    answer = anybody.run(scheduled_time="2025-10-18T00:00:00Z")
    assert (answer["total"], answer["previous"]["total"]) == (0, 1)
    assert answer["week"]["likes"] == 6 * 50 + 1
    assert anybody.counted_days()[DAY] == (1, 0)
    assert anybody.counted_days()[ago(29)] == (50, 29)


def test_days_that_no_run_has_counted_are_made_up_for(anybody: VotingHouse) -> None:
    """Between days that are known, and at either end."""
    anybody.create()
    for back in range(40):
        anybody.vote(ago(back), back, 1)
    for back in (20, 12):
        anybody.run(scheduled_time=f"{ago(back - 1)}T00:00:00Z")
    known = anybody.counted_days()
    anybody.run()
    assert len(known) == 30 + 8
    assert {day: votes for day, votes in anybody.counted_days().items() if day >= ago(29)} == {
        ago(back): (back, 1) for back in range(30)
    }


def test_what_is_counted_otherwise_is_not_mixed(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(ago(3), 50, 50)
    anybody.run()
    anybody.env |= {"FEEDBACK_LIKES": "dislike", "FEEDBACK_DISLIKES": "no"}
    answer = anybody.run()
    assert (answer["week"]["likes"], answer["week"]["dislikes"], answer["decided_before"]) == (50, 0, False)


def test_the_worst_groups(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.env |= {"FEEDBACK_GROUP": "model", "FEEDBACK_MIN_VOTES": "10"}
    groups = {"a": (9, 1), "b": (10, 0), "c": (1, 8), "d": (5, 15), "e": (10, 30), "f": (0, 10), "g'%s": (5, 5)}
    for name, votes in groups.items():
        anybody.vote(DAY, *votes, model=name)
    anybody.vote(DAY, 20, 0)  # of no group: they count, and are not named
    answer = anybody.run()
    assert (answer["likes"], answer["dislikes"]) == (60, 69)
    # "c" has too few votes, and the others do better than all together.
    assert [(one["group"], one["total"]) for one in answer["worst"]] == [("f", 10), ("e", 40), ("d", 20)]


def test_one_group_is_as_bad_as_all(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.env["FEEDBACK_GROUP"] = "model"
    anybody.vote(DAY, *BAD, model="only")
    assert [one["group"] for one in anybody.run()["worst"]] == ["only"]


def test_groups_of_nobody(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.env["FEEDBACK_GROUP"] = "model"
    answer = anybody.run()
    assert (answer["total"], answer["worst"]) == (0, [])


def test_a_hundred_thousand_groups_are_counted_where_they_are(voters: VotingHouse) -> None:
    voters.create()
    voters.env["FEEDBACK_GROUP"] = "model"
    voters.sql(
        "INSERT INTO conversation_log (feedback, created_at, model)"
        f" SELECT 'like', {voters.moment(DAY)}, i FROM generate_series(1, 100000) i"
    )
    voters.vote(DAY, 20, 20, model="x" * 300)
    answer = voters.run()
    assert answer["total"] == 100_040
    assert [one["group"] for one in answer["worst"]] == ["x" * 200]


def test_comments_beside_dislikes(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.env["FEEDBACK_COMMENT"] = "comment"
    anybody.vote(DAY, 5, 3, comment="wrong year")
    anybody.vote(DAY, 0, 2, comment="  ")
    anybody.vote(DAY, 0, 4)
    assert anybody.run()["comments"] == 3
    assert "wrong year" not in anybody.message()


def test_the_documents_behind_dislikes(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.env["FEEDBACK_DOCUMENT"] = "document_id"
    anybody.vote(DAY, 3, 2, document_id="it's one")
    anybody.vote(DAY, 3, 0, document_id="liked")
    anybody.vote(DAY, 0, 3)
    anybody.vote("2025-10-14", 0, 3, document_id="earlier")
    settings = Settings.from_env(anybody.env)
    database = Database(parse_database_url(anybody.env["DATABASE_URL"], connect_timeout=5), deadline=float("inf"))
    window = window_of(datetime(2025, 10, 17, 12, tzinfo=UTC), ZoneInfo("Asia/Seoul"))
    with database.connect() as connection:
        query = disliked_documents(connection, settings, window.start, window.end)
        assert [row.id for row in connection.exec_driver_sql(query)] == ["it's one"]
        for wrong in ({"feedback_document": None}, {"feedback_document": "nowhere"}, {"feedback_table": "nowhere"}):
            with pytest.raises(InvalidSettings, match=r"which documents|nowhere") as raised:
                disliked_documents(connection, settings.model_copy(update=wrong), window.start, window.end)
            assert ("name the column that says which document" in str(raised.value.hint)) == (None in wrong.values())
    database.close()


def test_the_chart_comes_with_the_message(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, *GOOD)
    anybody.env["FEEDBACK_CHART"] = "on"
    anybody.run()
    (chart,) = anybody.slack.files
    assert (chart.filename, chart.content[:8]) == (f"feedback_{DAY}.png", b"\x89PNG\r\n\x1a\n")


def test_a_chart_that_cannot_be_drawn_is_a_warning(voters: VotingHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the function has no layer for it: the report, the decision and the event are there all the same."""
    voters.create()
    voters.vote(DAY, *BAD)
    voters.env["FEEDBACK_CHART"] = "on"
    for name in [name for name in sys.modules if name.startswith(("nightshift.charts", "PIL"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)
    answer = voters.run()
    assert (answer["status"], answer["started"], len(voters.events())) == ("ok", True, 1)
    assert answer["warnings"] == ["the chart could not be drawn: ModuleNotFoundError"]
    assert voters.slack.files == []


def test_no_index_is_told_of_a_large_table_alone(voters: VotingHouse) -> None:
    voters.create()
    voters.sql("DROP INDEX log_created_at")
    assert "warnings" not in voters.run()
    voters.sql(
        "ALTER TABLE conversation_log ADD COLUMN ballast text; ALTER TABLE conversation_log ALTER ballast"
        " SET STORAGE EXTERNAL"
    )
    voters.sql("INSERT INTO conversation_log (ballast) SELECT repeat('x', 10000000) FROM generate_series(1, 28)")
    assert voters.run()["warnings"] == [
        "no index begins with public.conversation_log.created_at: the whole table is read for each count"
    ]
    voters.sql("CREATE INDEX ON conversation_log (created_at)")
    assert "warnings" not in voters.run()


def test_the_demos_votes_are_what_they_say(anybody: VotingHouse) -> None:
    documents = [f"doc-{number}" for number in range(10)]
    days = {TODAY - timedelta(days=back): (95, 5) for back in range(1, 8)} | {TODAY: BAD}
    create_votes(anybody.url, days, documents=documents)
    anybody.env |= SETTINGS
    answer = anybody.run()
    assert (answer["likes"], answer["dislikes"], answer["started"]) == (*BAD, True)
    assert (answer["week"]["likes"], answer["week"]["dislikes"]) == (7 * 95, 7 * 5)
    assert answer["worst"][0]["group"] == TOPICS[0]
    assert 0 < answer["comments"] < BAD[1]
