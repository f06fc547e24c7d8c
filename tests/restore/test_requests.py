"""What is asked for wrongly is named, all of it at once, and nothing is touched."""

from __future__ import annotations

from typing import Any

import pytest

from nightshift.errors import InvalidEvent
from tests.support.handler import run_job
from tests.support.house import AS_OF
from tests.support.scene import TABLE
from tests.support.way_back import OWN, WayBack

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"table": None}, "table"),
    ({"table": ""}, "table"),
    ({"table": 7}, "table"),
    ({"since": "2025-8-1"}, "since"),
    ({"since": "yesterday"}, "since"),
    ({"since": 20250801}, "since"),
    ({"since": "2025-02-30"}, "since"),
    ({"since": "2025-08-01T00:00:00Z"}, "since"),
    ({"until": ["2025-08-01"]}, "until"),
    ({"since": "2025-08-02", "until": "2025-08-01"}, "since (2025-08-02) lies after until"),
    ({"objects": "one.parquet"}, "objects"),
    ({"objects": [7]}, "objects"),
    ({"objects": [""]}, "objects"),
    ({"into": 7}, "into"),
    ({"into": ""}, "into"),
    ({"into": "other", "into_original": True}, "into and into_original"),
    ({"into_original": "yes"}, "into_original"),
    ({"into_original": 1}, "into_original"),
    ({"hold": "7d"}, "into_original"),
    ({"hold": "7d", "into": "other"}, "into_original"),
    ({"hold": 7, "into_original": True}, "hold"),
    ({"hold": "", "into_original": True}, "hold"),
    ({"hold": "a week", "into_original": True}, "hold"),
    ({"hold": "-1d", "into_original": True}, "hold"),
    ({"hold": "7w", "into_original": True}, "hold"),
    ({"hold": "2025-13-01", "into_original": True}, "hold"),
    ({"hold": "2025-12-01T09:00:00", "into_original": True}, "zone"),
    ({"rename": ["a", "b"]}, "rename"),
    ({"rename": {"a": 1}}, "rename"),
    ({"rename": {"a": ""}}, "rename"),
    ({"rename": {"a": "c", "b": "c"}}, "rename"),
    ({"dry_run": "yes"}, "dry_run"),
    ({"tabel": TABLE}, "tabel: unknown key"),
    ({"intoOriginal": True}, "intoOriginal: unknown key"),
    ({"scheduled_time": "2025-10-15T00:00:00"}, "scheduled_time"),
    ({"scheduled_time": "2999-10-15T00:00:00Z"}, "scheduled_time"),
]


@pytest.fixture
def asked(back: WayBack) -> WayBack:
    back.archive(220)
    return back


def test_what_is_wrong_is_named_and_nothing_is_touched(asked: WayBack) -> None:
    before, runs = asked.state(), asked.runs()
    unnamed = []
    for event, named in WRONG:
        with pytest.raises(InvalidEvent) as caught:
            asked.restore(**event)
        said = f"{caught.value.message}\n{caught.value.detail}"
        if named not in said:
            unnamed.append((event, said))
    assert unnamed == []
    assert asked.state() == before
    assert (asked.runs(), asked.records(), asked.exists()) == (runs, [], False)


def test_everything_that_is_wrong_is_named_at_once(asked: WayBack) -> None:
    with pytest.raises(InvalidEvent) as caught:
        asked.restore(since="soon", objects=[7], into_original="yes", dry_run="no", colour="red")
    said = str(caught.value.detail)
    assert all(f"{name}" in said for name in ("since", "objects.0", "into_original", "dry_run", "colour: unknown key"))


def test_a_restore_without_a_table_is_refused(asked: WayBack) -> None:
    with pytest.raises(InvalidEvent, match="table"):
        run_job("restore", asked.env, {"scheduled_time": AS_OF})


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"table": "users"}, "unknown_table", "write schema.table where a name stands in several schemas"),
    ({"table": f"elsewhere.{TABLE}"}, "unknown_table", ""),
    ({"table": "a.b.c.d"}, "unknown_table", ""),
    ({"table": f"{TABLE}; DROP TABLE {TABLE}"}, "unknown_table", ""),
    ({"objects": ["nothing.parquet"]}, "unknown_object", "what the ledger does not know is none of ours"),
    ({"into": TABLE}, "same_table", "to bring its rows back into it, use --into-original"),
    ({"into": f"public.{TABLE}"}, "same_table", ""),
    ({"into": TABLE.upper()}, "same_table", ""),
    ({"into": '"unclosed'}, "unknown_table", "write it like schema.table"),
    ({"into": "nightshift_run"}, "unusable_table", "it is no place for rows: name another table"),
    ({"into": "nightshift_archive_object"}, "unusable_table", ""),
    ({"into": "a_view"}, "unusable_table", "or leave it out: one of its own is made"),
    ({"into": "a_materialized_view"}, "unusable_table", ""),
    (
        {"rename": {"nothing": "payload"}, "into": "other"},
        "impossible_columns",
        "name renamed columns with --rename OLD=NEW",
    ),
    ({"rename": {"payload": "nothing"}, "into_original": True}, "impossible_columns", ""),
    ({"rename": {"payload": "id"}, "into_original": True}, "impossible_columns", ""),
]


@pytest.mark.slow
def test_what_cannot_be_done_is_refused_and_nothing_is_touched(asked: WayBack) -> None:
    asked.sql(
        f"CREATE VIEW a_view AS TABLE {TABLE}; CREATE MATERIALIZED VIEW a_materialized_view AS TABLE {TABLE};"
        f" CREATE TABLE other (LIKE {TABLE})"
    )
    before = asked.state()
    for event, guard, hint in REFUSED:
        answer = asked.restore(**event)
        assert (answer["status"], answer["complete"], answer["restored_rows"]) == ("refused", False, 0), event
        assert (answer["refusal"]["guard"], hint in answer["refusal"]["hint"]) == (guard, True), event
        assert asked.runs()[-1]["status"] == "refused"
    assert asked.state() == before
    assert asked.records() == []


def test_days_and_names_choose_objects(asked: WayBack) -> None:
    """By key, by address, by file name; days are both included; what is chosen twice comes once."""
    asked.archive_again()
    keys = asked.keys
    days = sorted({entry["dt"] for entry in asked.ledger()})
    names = [keys[0], f"s3://{asked.bucket}/{keys[1]}", keys[2].rpartition("/")[2], keys[0]]
    assert asked.restore(objects=names)["objects"] == 3
    assert asked.rows_of() == sum((asked.contents[key] for key in keys[:3]), type(asked.due)())

    of_days = [entry["object_key"] for entry in asked.ledger() if days[1] <= entry["dt"] <= days[2]]
    assert asked.restore(since=days[1], until=days[2], into="some_days")["objects"] == len(of_days)
    assert asked.rows_of("some_days") == sum((asked.contents[key] for key in of_days), type(asked.due)())

    assert asked.restore(since="2030-01-01")["status"] == "nothing"
    assert asked.restore(until=days[0], objects=[keys[-1]])["refusal"]["guard"] == "unknown_object"
    answer = asked.finish()
    assert answer["already"] == 3


@pytest.mark.fast_cases("into2")
@pytest.mark.parametrize("into", [{}, {"into_original": True}, {"into": "elsewhere"}])
def test_a_dry_run_touches_nothing_and_tells_the_same(asked: WayBack, into: dict[str, Any]) -> None:
    before, runs = asked.state(), asked.runs()
    told = asked.restore(dry_run=True, **into)
    assert told["status"] == "dry_run"
    assert (asked.state(), asked.runs(), asked.records()) == (before, runs, [])
    done = asked.restore(**into)
    for fact in ("restored_rows", "objects", "bytes", "into", "columns", "table"):
        assert told[fact] == done[fact], fact
    assert asked.restore(dry_run=True, **into)["objects"] == 0
    assert asked.exists(OWN) is (not into)
