"""Ratings of every type mean what the settings say, and nothing else is a vote."""

from __future__ import annotations

import pytest

from tests.support.feedback import DAY, VotingHouse

TYPES = [
    ("text", "like", "dislike", "'like'", "'dislike'", ["'Like'", "'meh'", "''", "'like '"]),
    ("varchar(9)", "like", "dislike", "'like'", "'dislike'", ["'liked'"]),
    ("char(9)", "like", "dislike", "'like'", "'dislike'", ["'liked'"]),
    ("boolean", "true", "false", "true", "false", []),
    ("boolean", "1", "0", "true", "false", []),
    ("smallint", "1", "-1", "1", "-1", ["0", "11"]),
    ("integer", "4, 5", "1,2", "5", "1", ["3"]),
    ("bigint", "1", "0", "1", "0", ["2"]),
    ("numeric(3,1)", "1", "-1", "1.0", "-1.0", ["0.5"]),
    ("double precision", "1.0", "0.5", "1", "0.5", ["0.25", "'NaN'"]),
    ("vote", "like", "dislike", "'like'", "'dislike'", ["'none'"]),
    ("text", "좋아요,👍", "싫어요,👎", "'👍'", "'싫어요'", ["'좋'"]),
    ("text", "it's, 100%s", ":no, \"no\"", "'it''s'", "':no'", ["'100%%s'", "'no'"]),
]  # fmt: skip


@pytest.mark.fast_cases("like]", "boolean true", "numeric", "integer")
@pytest.mark.parametrize(
    ("kind", "likes", "dislikes", "like", "dislike", "others"), TYPES, ids=[f"{t[0]} {t[1]}" for t in TYPES]
)
def test_a_type_of_rating(
    voters: VotingHouse, kind: str, likes: str, dislikes: str, like: str, dislike: str, others: list[str]
) -> None:
    voters.sql("CREATE TYPE vote AS ENUM ('like', 'dislike', 'none')")
    voters.create(rating=kind)
    voters.env |= {"FEEDBACK_LIKES": likes, "FEEDBACK_DISLIKES": dislikes}
    voters.vote(DAY, 3, 2, like=like, dislike=dislike)
    for other in [*others, "NULL"]:
        voters.vote(DAY, 1, like=other)
    answer = voters.run()
    assert (answer["likes"], answer["dislikes"]) == (3, 2)


def test_a_domain_is_what_it_is_made_of(voters: VotingHouse) -> None:
    voters.sql("CREATE DOMAIN score AS smallint CHECK (value IN (1, -1))")
    voters.create(rating="score")
    voters.env |= {"FEEDBACK_LIKES": "1", "FEEDBACK_DISLIKES": "-1"}
    voters.vote(DAY, 3, 2, like="1", dislike="-1")
    assert (voters.run()["likes"], voters.run()["dislikes"]) == (3, 2)


SQLITE_TYPES = [
    ("TEXT", "like", "dislike", "'like'", "'dislike'", ["'Like'"]),
    ("TEXT", "1", "-1", "1", "-1", ["'11'"]),
    ("INTEGER", "1", "-1", "'1'", "-1", ["11"]),
    ("BOOLEAN", "true", "false", "1", "0", ["2"]),
    ("REAL", "1", "0", "1", "0.0", ["0.5"]),
    ("", "1", "no", "1", "'no'", ["1.5"]),
    ("ENUM", "up", "down", "'up'", "'down'", ["'x'"]),
]


@pytest.mark.parametrize(
    ("kind", "likes", "dislikes", "like", "dislike", "others"),
    SQLITE_TYPES,
    ids=[f"{t[0] or 'no type'} {t[1]}" for t in SQLITE_TYPES],
)
def test_a_type_of_rating_on_sqlite(
    sqlite_voters: VotingHouse, kind: str, likes: str, dislikes: str, like: str, dislike: str, others: list[str]
) -> None:
    sqlite_voters.create(rating=kind)
    sqlite_voters.env |= {"FEEDBACK_LIKES": likes, "FEEDBACK_DISLIKES": dislikes}
    sqlite_voters.vote(DAY, 3, 2, like=like, dislike=dislike)
    for other in [*others, "NULL"]:
        sqlite_voters.vote(DAY, 1, like=other)
    answer = sqlite_voters.run()
    assert (answer["likes"], answer["dislikes"]) == (3, 2)
