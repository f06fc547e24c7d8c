"""Ratings that no setting names are counted and named, and many of them decide nothing."""

from __future__ import annotations

import pytest

from tests.support.feedback import BAD, DAY, VotingHouse

SPELLINGS = [
    ("'Dislike'", "Dislike", "dislike"),
    ("'dislike '", "dislike ", "dislike"),
    ("'DIS_LIKE'", "DIS_LIKE", "dislike"),
    ("'ｄｉｓｌｉｋｅ'", "ｄｉｓｌｉｋｅ", "dislike"),
    ("'thumbs_down'", "thumbs_down", None),
    ("'{\"vote\": -1}'", '{"vote": -1}', None),
]


@pytest.mark.parametrize(("written", "value", "resembles"), SPELLINGS, ids=[one[1] for one in SPELLINGS])
def test_another_spelling_is_no_vote_and_is_named(
    anybody: VotingHouse, written: str, value: str, resembles: str | None
) -> None:
    anybody.create()
    anybody.vote(DAY, 80, 120, dislike=written)
    answer = anybody.run()
    assert (answer["likes"], answer["dislikes"], answer["unknown"]) == (80, 0, 120)
    assert (answer["state"], answer["reason"], answer["started"]) == ("too_few_votes", "unknown_values", False)
    (named,) = answer["unknown_ratings"]
    assert (named["value"], named["count"], named.get("resembles")) == (value, 120, resembles)
    assert "표본 부족" in anybody.message()
    assert value.strip() in anybody.message()


@pytest.mark.parametrize("variant", ["👎🏽", "👎\ufe0f", "👎🏿\ufe0f"], ids=["skin tone", "variation selector", "both"])
def test_a_variant_of_an_emoji_is_told_from_it(anybody: VotingHouse, variant: str) -> None:
    anybody.create()
    anybody.env |= {"FEEDBACK_LIKES": "👍", "FEEDBACK_DISLIKES": "👎"}
    anybody.vote(DAY, 70, 30, like="'👍'", dislike=f"'{variant}'")
    answer = anybody.run()
    (named,) = answer["unknown_ratings"]
    assert (named["value"], named["count"], named["resembles"]) == (variant, 30, "👎")
    assert f"U+{ord(variant[-1]):04X}" in anybody.message(), "else nobody could tell the two apart"
    anybody.env["FEEDBACK_DISLIKES"] = f"👎,{variant}"
    again = anybody.run()
    assert (again["dislikes"], again["unknown"], again["decided_before"]) == (30, 0, False)


def test_nothing_but_other_values_is_not_a_day_without_feedback(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, 130, 70, like="'thumbs_up'", dislike="'thumbs_down'")
    answer = anybody.run()
    assert (answer["status"], answer["total"], answer["unknown"]) == ("ok", 0, 200)
    assert answer["reason"] == "unknown_values"
    assert [(one["value"], one["count"]) for one in answer["unknown_ratings"]] == [
        ("thumbs_up", 130),
        ("thumbs_down", 70),
    ]
    (record,) = anybody.decisions()
    assert (record["state"], record["unknown"]) == ("too_few_votes", 200)


def test_a_few_are_named_and_do_not_keep_a_day_from_its_decision(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, *BAD)
    anybody.vote(DAY, 11, like="'meh'")
    answer = anybody.run()
    assert (answer["state"], answer["started"], answer["unknown"]) == ("retraining", True, 11)
    assert "meh" in anybody.message()


def test_one_more_does(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, *BAD)
    anybody.vote(DAY, 12, like="'meh'")
    answer = anybody.run()
    assert (answer["state"], answer["reason"], answer["unknown"]) == ("too_few_votes", "unknown_values", 12)
    assert anybody.events() == []


def test_values_that_are_said_to_be_neither_are_not_unknown(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.env["FEEDBACK_NEUTRAL"] = "meh, none"
    anybody.vote(DAY, *BAD)
    for neither in ("'meh'", "'none'", "''", "'   '", "NULL"):
        anybody.vote(DAY, 100, like=neither)
    answer = anybody.run()
    assert (answer["total"], answer["unknown"], answer["started"]) == (100, 0, True)
    assert answer["unknown_ratings"] == []


def test_a_number_in_between_is_unknown_until_it_is_neutral(voters: VotingHouse) -> None:
    voters.create(rating="smallint")
    voters.env |= {"FEEDBACK_LIKES": "4,5", "FEEDBACK_DISLIKES": "1,2"}
    voters.vote(DAY, 60, 5, like="5", dislike="1")
    voters.vote(DAY, 40, like="3")
    answer = voters.run()
    assert (answer["unknown"], answer["unknown_ratings"]) == (40, [{"value": "3", "count": 40}])
    voters.env["FEEDBACK_NEUTRAL"] = "3"
    answer = voters.run()
    assert (answer["unknown"], answer["state"], answer["decided_before"]) == (0, "healthy", False)


@pytest.mark.parametrize("both", ["FEEDBACK_LIKES", "FEEDBACK_DISLIKES"])
def test_a_value_is_not_neutral_and_something_else(anybody: VotingHouse, both: str) -> None:
    anybody.create()
    anybody.env |= {both: "yes", "FEEDBACK_NEUTRAL": "yes"}
    answer = anybody.run()
    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "overlap")


def test_five_are_named_shortened(anybody: VotingHouse) -> None:
    """Where the wrong column is set, values are what users wrote: not much of it is shown."""
    anybody.create()
    for number in range(8):
        anybody.vote(DAY, 8 - number, like=f"'{number} {'long ' * 40}'")
    answer = anybody.run()
    assert answer["unknown"] == 36
    assert [one["count"] for one in answer["unknown_ratings"]] == [8, 7, 6, 5, 4]
    assert {len(one["value"]) for one in answer["unknown_ratings"]} == {32}


def test_groups_count_what_is_known(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.env |= {"FEEDBACK_GROUP": "model", "FEEDBACK_MIN_VOTES": "10"}
    anybody.vote(DAY, 9, 31, model="a")
    anybody.vote(DAY, 2, model="a", like="'x'")
    anybody.vote(DAY, 2, model="b", like="'x'")
    answer = anybody.run()
    assert (answer["unknown"], [(one["group"], one["total"]) for one in answer["worst"]]) == (4, [("a", 40)])
