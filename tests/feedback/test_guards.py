"""What cannot be counted is refused by name, and nothing is written or sent."""

from __future__ import annotations

import pytest

from local.postgres import EmbeddedPostgres
from nightshift.errors import NightshiftError
from tests.support.feedback import BAD, DAY, VotingHouse

TABLE = "write FEEDBACK_TABLE as the database has it: a table or view"
TIME = "FEEDBACK_TIME needs a number with FEEDBACK_EPOCH, or without it timestamptz, timestamp or date"
ONE_OF = "one of FEEDBACK_LIKES, FEEDBACK_DISLIKES and FEEDBACK_NEUTRAL only"
VALUES = "correct FEEDBACK_LIKES, FEEDBACK_DISLIKES and FEEDBACK_NEUTRAL, or FEEDBACK_RATING"
REFUSALS = [
    ("unknown_table", {"FEEDBACK_TABLE": "nowhere"}, "nowhere", TABLE),
    ("unknown_table", {"FEEDBACK_TABLE": "a.b.c"}, "a.b.c", TABLE),
    ("unknown_table", {"FEEDBACK_TABLE": "x; DROP TABLE conversation_log"}, "DROP TABLE", TABLE),
    ("unknown_table", {"FEEDBACK_TABLE": "nightshift_run"}, "own tables", TABLE),
    ("unknown_column", {"FEEDBACK_RATING": "stars"}, "stars", "FEEDBACK_RATING has to be one of these: "),
    ("unknown_column", {"FEEDBACK_TIME": "voted_at"}, "voted_at", "FEEDBACK_TIME has to be one of these: "),
    ("unknown_column", {"FEEDBACK_GROUP": "topic"}, "topic", "FEEDBACK_GROUP has to be one of these: "),
    ("unknown_column", {"FEEDBACK_COMMENT": "words"}, "words", "FEEDBACK_COMMENT has to be one of these: "),
    (
        "unknown_column",
        {"FEEDBACK_DOCUMENT": 'document_id" OR 1=1 --'},
        "1=1",
        "FEEDBACK_DOCUMENT has to be one of these: ",
    ),
    ("wrong_type", {"FEEDBACK_TIME": "id"}, "the time column id is", TIME),
    ("wrong_type", {"FEEDBACK_EPOCH": "s"}, "created_at", None),
    ("overlap", {"FEEDBACK_DISLIKES": "no,like"}, "like", ONE_OF),
    ("impossible_value", {"FEEDBACK_RATING": "id"}, "cannot hold the value like", VALUES),
]


@pytest.mark.fast_cases("postgresql-unknown", "sqlite-wrong_type")
@pytest.mark.parametrize(
    ("guard", "env", "named", "hint"), REFUSALS, ids=[f"{g} {next(iter(e.values()))}" for g, e, _, _ in REFUSALS]
)
def test_a_refusal(anybody: VotingHouse, guard: str, env: dict[str, str], named: str, hint: str | None) -> None:
    """SQLite's columns have no type of time, so that it is a value which says that FEEDBACK_EPOCH is wrong."""
    hint = hint or ("; for times that are none, unset it" if anybody.on_sqlite else TIME)
    anybody.create()
    anybody.vote(DAY, *BAD)
    anybody.env |= env
    before = anybody.state()
    answer = anybody.run()
    assert (answer["status"], answer["complete"], answer["refusal"]["guard"]) == ("refused", False, guard)
    assert named in answer["refusal"]["message"] and hint in answer["refusal"]["hint"]
    untouched(anybody, before)


@pytest.mark.parametrize("kind", ["jsonb", "bytea", "text[]", "uuid", "timestamptz", "interval"])
def test_a_type_that_is_no_rating(voters: VotingHouse, kind: str) -> None:
    voters.create(rating=kind)
    refusal = voters.run()["refusal"]
    assert (refusal["guard"], kind in refusal["message"] or "timestamp" in refusal["message"]) == ("wrong_type", True)
    assert refusal["hint"] == "FEEDBACK_RATING needs text, a boolean, a number or an enum"


@pytest.mark.parametrize("kind", ["text", "time", "interval", "numeric", "uuid", "timestamptz[]"])
def test_a_type_that_is_no_time(voters: VotingHouse, kind: str) -> None:
    voters.sql(f"CREATE TABLE conversation_log (id int, feedback text, created_at {kind})")
    assert voters.run()["refusal"]["guard"] == "wrong_type"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("boolean", "like"),
        ("smallint", "40000"),
        ("smallint", "1.5"),
        ("bigint", "1e40"),
        ("numeric", "NaN"),
        ("vote", "up"),
    ],
)
def test_a_value_that_the_column_cannot_hold(voters: VotingHouse, kind: str, value: str) -> None:
    voters.sql("CREATE TYPE vote AS ENUM ('like', 'dislike')")
    voters.create(rating=kind)
    voters.env |= {"FEEDBACK_LIKES": value, "FEEDBACK_DISLIKES": "0"}
    refusal = voters.run()["refusal"]
    assert refusal["guard"] == "impossible_value"
    assert refusal["message"].endswith(f"the value {value}")


@pytest.mark.parametrize(("kind", "likes", "dislikes"), [("boolean", "true", "1"), ("integer", "1", "1.0")])
def test_two_spellings_of_one_value(voters: VotingHouse, kind: str, likes: str, dislikes: str) -> None:
    voters.create(rating=kind)
    voters.env |= {"FEEDBACK_LIKES": likes, "FEEDBACK_DISLIKES": dislikes}
    assert voters.run()["refusal"]["guard"] == "overlap"


@pytest.mark.parametrize("odd", ["2025-10-16T05:00:00Z", "2025-10-16 05:00:00+09:00", "2025-10-16, noon"])
def test_sqlite_times_that_would_be_counted_wrongly(sqlite_voters: VotingHouse, odd: str) -> None:
    sqlite_voters.create("timestamp")
    sqlite_voters.vote(DAY, *BAD)
    sqlite_voters.vote(f"'{odd}'", 1)
    before = sqlite_voters.state()
    refusal = sqlite_voters.run()["refusal"]
    assert refusal["guard"] == "wrong_type"
    assert refusal["hint"] == "store local times without a zone; for numbers, set FEEDBACK_EPOCH"
    untouched(sqlite_voters, before)


def test_rows_that_are_hidden_from_our_role(voters: VotingHouse, guest: str) -> None:
    voters.create()
    voters.sql(f"GRANT SELECT ON conversation_log TO {guest}; ALTER TABLE conversation_log ENABLE ROW LEVEL SECURITY")
    voters.env["DATABASE_URL"] = voters.url.replace("postgres@", f"{guest}@")
    refusal = voters.run()["refusal"]
    assert (refusal["guard"], "or let it be a member of the table's owner" in refusal["hint"]) == ("hidden_rows", True)


def test_a_table_that_our_role_may_not_read(voters: VotingHouse, guest: str) -> None:
    voters.create()
    voters.vote(DAY, *BAD)
    voters.env["DATABASE_URL"] = voters.url.replace("postgres@", f"{guest}@")
    refusal = voters.run()["refusal"]
    hint = 'GRANT SELECT ON "public"."conversation_log", and USAGE on its schema, TO nightshift\'s role'
    assert (refusal["guard"], refusal["hint"]) == ("privilege", hint)
    voters.sql(f"GRANT SELECT ON conversation_log TO {guest}")
    assert voters.run()["total"] == sum(BAD)


def test_a_view_will_do(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, *BAD)
    anybody.sql("CREATE VIEW votes AS SELECT feedback, created_at FROM conversation_log")
    anybody.env["FEEDBACK_TABLE"] = "votes"
    assert anybody.run()["total"] == sum(BAD)


def test_names_that_are_odd(anybody: VotingHouse) -> None:
    """None of them is taken for a parameter, a comment or the end of a name."""
    names = {"t": 'the "%s" :votes', "rating": "rate%(x)s;--", "time": "at :when", "group": "top'ic%", "document": '"'}
    table, rating, time, group, document = ('"' + name.replace('"', '""') + '"' for name in names.values())
    key, moment = ("timestamp", "'2025-10-16 12:00'") if anybody.on_sqlite else ("timestamptz", "'2025-10-16 12:00+09'")
    anybody.sql(f"CREATE TABLE {table} ({rating} text, {time} {key}, {group} text, {document} text)")
    anybody.sql(f"INSERT INTO {table} VALUES " + ", ".join([f"('dislike', {moment}, 'a%:b', '%s')"] * 30))
    anybody.env |= {
        "FEEDBACK_TABLE": table,
        "FEEDBACK_RATING": names["rating"],
        "FEEDBACK_TIME": names["time"],
        "FEEDBACK_GROUP": names["group"],
        "FEEDBACK_DOCUMENT": names["document"],
    }
    answer = anybody.run()
    assert (answer["dislikes"], answer["started"]) == (30, True)
    assert [one["group"] for one in answer["worst"]] == ["a%:b"]


def test_names_are_folded_as_the_database_would(voters: VotingHouse) -> None:
    voters.create()
    voters.vote(DAY, *BAD)
    voters.env |= {"FEEDBACK_TABLE": "PUBLIC.Conversation_Log", "FEEDBACK_RATING": "Feedback"}
    assert voters.run()["table"] == "public.conversation_log"


def test_secrets_stay_out_of_errors(voters: VotingHouse, postgres: EmbeddedPostgres) -> None:
    voters.env["DATABASE_URL"] = f"postgresql://postgres:hunter2@127.0.0.1:{postgres.port}/nowhere"
    with pytest.raises(NightshiftError) as raised:
        voters.run()
    assert "nowhere" in str(raised.value)
    assert "hunter2" not in str(raised.value) + voters.message()


def untouched(house: VotingHouse, before: dict[str, object]) -> None:
    assert house.state() == before
    assert (house.decisions(), house.counted_days(), house.bus.requests) == ([], {}, 0)
