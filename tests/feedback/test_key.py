"""With FEEDBACK_KEY an answer has one vote a day: the last."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from nightshift.feedback.source import disliked_documents
from nightshift.feedback.windows import window_of
from nightshift.settings import Settings
from tests.support.feedback import DAY, NEXT_DAY, VotingHouse


def _keyed(house: VotingHouse) -> None:
    house.create()
    house.env["FEEDBACK_KEY"] = "document_id"


def test_the_last_vote_counts_whatever_the_order_of_the_rows(anybody: VotingHouse) -> None:
    _keyed(anybody)
    anybody.vote(f"{DAY} 18:00:00", 1, document_id="a")
    anybody.vote(f"{DAY} 09:00:00", 0, 1, document_id="a")
    anybody.vote(f"{DAY} 09:00:00", 3, document_id="b")
    anybody.vote(f"{DAY} 10:00:00", 0, 1, document_id="b")
    answer = anybody.run()
    assert (answer["likes"], answer["dislikes"]) == (1, 1)


def test_without_it_each_row_is_a_vote(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, 3, 2, document_id="a")
    assert anybody.run()["total"] == 5


def test_a_row_without_a_key_stands_for_itself(anybody: VotingHouse) -> None:
    _keyed(anybody)
    anybody.vote(DAY, 4, 2)
    anybody.vote(DAY, 3, document_id="a")
    answer = anybody.run()
    assert (answer["likes"], answer["dislikes"]) == (5, 2)


def test_of_two_at_one_moment_the_dislike_counts(anybody: VotingHouse) -> None:
    _keyed(anybody)
    for document in "abcdef":
        anybody.vote(DAY, 2, 1, document_id=document)
    answer = anybody.run()
    assert (answer["likes"], answer["dislikes"]) == (0, 6)


def test_no_rating_takes_none_back_and_an_unknown_one_does(anybody: VotingHouse) -> None:
    _keyed(anybody)
    for document in ("a", "b"):
        anybody.vote(f"{DAY} 09:00:00", 1, document_id=document)
    anybody.vote(f"{DAY} 10:00:00", 1, document_id="a", like="NULL")
    anybody.vote(f"{DAY} 10:00:00", 1, document_id="b", like="'undone'")
    answer = anybody.run()
    assert (answer["likes"], answer["unknown"]) == (1, 1)


def test_days_keep_their_own_last_vote(anybody: VotingHouse) -> None:
    """What is decided in the morning does not change because somebody changes his mind in the afternoon."""
    _keyed(anybody)
    for document in ("a", "b", "c"):
        anybody.vote("2025-10-14", 1, document_id=document)
        anybody.vote(f"{DAY} 09:00:00", 1, document_id=document)
        anybody.vote(f"{DAY} 21:00:00", 0, 1, document_id=document)
        anybody.vote("2025-10-17", 1, document_id=document)
    anybody.run()
    assert anybody.counted_days()[DAY] == (0, 3)
    assert anybody.counted_days()["2025-10-14"] == (3, 0)
    answer = anybody.run(scheduled_time=NEXT_DAY)
    assert (answer["likes"], answer["previous"]["dislikes"]) == (3, 3)


def test_groups_comments_and_documents_are_those_of_the_last_vote(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.env |= {
        "FEEDBACK_KEY": "model",
        "FEEDBACK_GROUP": "document_id",
        "FEEDBACK_COMMENT": "comment",
        "FEEDBACK_DOCUMENT": "document_id",
        "FEEDBACK_MIN_VOTES": "1",
    }
    anybody.vote(f"{DAY} 09:00:00", 0, 1, model="1", document_id="withdrawn", comment="wrong")
    anybody.vote(f"{DAY} 10:00:00", 1, 0, model="1", document_id="withdrawn")
    anybody.vote(f"{DAY} 10:00:00", 0, 1, model="2", document_id="bad", comment="wrong")
    answer = anybody.run()
    assert (answer["likes"], answer["dislikes"], answer["comments"]) == (1, 1, 1)
    assert [one["group"] for one in answer["worst"]] == ["bad"]
    settings = Settings.from_env(anybody.env)
    database = Database(parse_database_url(anybody.env["DATABASE_URL"], connect_timeout=5), deadline=float("inf"))
    window = window_of(datetime(2025, 10, 17, 12, tzinfo=UTC), ZoneInfo("Asia/Seoul"))
    with database.connect() as connection:
        query = disliked_documents(connection, settings, window.start, window.end)
        assert [row.id for row in connection.exec_driver_sql(query)] == ["bad"]
    database.close()


def test_the_key_of_a_view(voters: VotingHouse) -> None:
    voters.create()
    voters.sql('CREATE VIEW "Votes" AS SELECT document_id AS "An""swer", feedback, created_at FROM conversation_log')
    voters.env |= {"FEEDBACK_TABLE": '"Votes"', "FEEDBACK_KEY": 'An"swer'}
    voters.vote(DAY, 3, 0, document_id="a")
    voters.vote(DAY, 0, 2, document_id="b")
    answer = voters.run()
    assert (answer["likes"], answer["dislikes"]) == (1, 1)


def test_a_key_that_is_not_there(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.env["FEEDBACK_KEY"] = "nowhere"
    answer = anybody.run()
    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "unknown_column")
