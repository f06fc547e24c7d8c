"""Back into the original, held there, archived again, and back once more: at each step every row is somewhere, once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightshift.rows.row_connection import StatementRefused
from tests.support.handler import run_job
from tests.support.house import AS_OF, House
from tests.support.scene import CUTOFF_US, TABLE
from tests.support.way_back import OWN, WayBack

LATER: dict[str, Any] = {"scheduled_time": "2025-10-16T00:00:00Z"}
"""The next night; by its cutoff another day of rows is due."""

HELD = "rows of restored days are left alone until 2025-10-15 21:00"
"""What a cleanup says, in the policy's zone, while rows of the table wait."""


def table_of(answer: dict[str, Any]) -> dict[str, Any]:
    (table,) = answer["tables"]
    return dict(table)


@pytest.mark.fast_cases("indexed")
@pytest.mark.parametrize("kind", ["indexed", "plain", "sqlite"])
def test_there_and_back_again(request: pytest.FixtureRequest, kind: str) -> None:
    at: WayBack = request.getfixturevalue("sqlite_back" if kind == "sqlite" else "back")
    at.archive()
    if kind == "indexed":
        at.sql(f"CREATE INDEX ON {TABLE} (created_at)")
    due = at.archived_now
    for turn in range(2):
        first = at.restore(into_original=True, hold="2025-10-15T12:00:00Z")
        assert (first["restored_rows"], first["existing_rows"]) == (due.total(), 0)
        at.assert_promise(into_original=True)

        held = table_of(at.run())
        assert held["archived_rows"] == 0, "held rows are left alone"
        assert held["warnings"] == [HELD]
        at.assert_promise(into_original=True)
        assert at.restore(into_original=True)["status"] == "nothing"

        over = table_of(at.archive_again(**LATER))
        assert over["archived_rows"] >= due.total()
        at.assert_promise(into_original=True)
        due = at.archived_now
        states = Counter(entry["state"] for entry in at.ledger())
        assert states["restored"] == len(at.records()) > 0, turn
    at.assert_tidy()


@pytest.mark.fast_cases("None-", "12h")
@pytest.mark.parametrize(
    ("hold", "span"),
    [(None, timedelta(days=7)), ("12h", timedelta(hours=12)), ("30d", timedelta(days=30)), ("0", None)],
)
def test_how_long_it_is_held(back: WayBack, hold: str | None, span: timedelta | None) -> None:
    """Counted from the restore; a cleanup of any earlier time leaves the rows alone."""
    back.archive(220)
    held: dict[str, Any] = {} if hold is None else {"hold": hold}
    before = datetime.now(UTC)
    answer = back.restore(into_original=True, **held)
    after = datetime.now(UTC)
    if span is None:
        assert "hold_until" not in answer
        assert table_of(back.run())["archived_rows"] == back.due.total()
        back.assert_promise(into_original=True)
        return
    until = datetime.fromisoformat(answer["hold_until"])
    assert before + span - timedelta(seconds=1) <= until <= after + span
    assert {record["hold_until"].replace(microsecond=0) for record in back.records()} == {until.replace(microsecond=0)}
    assert table_of(back.run())["archived_rows"] == 0


@pytest.mark.fast_cases("True")
@pytest.mark.parametrize(
    ("hold", "held"),
    [
        ("2025-10-15T00:00:00Z", False),
        ("2025-10-15T09:00:01+09:00", True),
        ("2025-10-16", True),
    ],
)
def test_a_hold_ends_at_the_cleanups_own_time(back: WayBack, hold: str, held: bool) -> None:
    """A day begins in the policy's zone: 15 October in Seoul has been 9 hours old when the cleanup of 09:00 comes."""
    back.archive(220)
    back.restore(into_original=True, hold=hold)
    assert table_of(back.run())["archived_rows"] == (0 if held else back.due.total())
    back.assert_promise(into_original=True)


def test_the_longer_of_two_holds_counts_and_a_hold_can_be_set_anew(back: WayBack) -> None:
    back.archive()
    days = sorted({entry["dt"] for entry in back.ledger()})
    back.restore(into_original=True, until=days[1], hold="2025-10-15T06:00:00Z")
    back.restore(into_original=True, since=days[2], hold="2025-12-01")
    assert table_of(back.run())["archived_rows"] == 0
    again = back.restore(into_original=True, until=days[1], hold="2025-12-01")
    assert (again["status"], again["already"]) == ("nothing", len(back.contents) - back_of(back, days[2]))
    assert table_of(back.run(**LATER))["archived_rows"] == len(due_by(back, LATER) - back.due)
    back.assert_promise(into_original=True)


def back_of(back: WayBack, since: str) -> int:
    return sum(entry["dt"] >= since for entry in back.ledger() if entry["object_key"] in back.contents)


def due_by(back: WayBack, event: dict[str, str]) -> Counter[Any]:
    nights = (datetime.fromisoformat(event["scheduled_time"]) - datetime(2025, 10, 15, tzinfo=UTC)).days
    return Counter({row: 1 for row in back.before if row[2] < CUTOFF_US + nights * 86_400_000_000})


@pytest.mark.slow
def test_other_days_are_archived_as_usual(back: WayBack) -> None:
    """Only the days that came back wait; rows that are late for other days go."""
    back.archive()
    days = sorted({entry["dt"] for entry in back.ledger()})
    back.restore(into_original=True, since=days[1], until=days[2], hold="2025-12-01")
    held = [entry for entry in back.ledger() if entry["state"] == "restored"]
    back.sql(
        f"INSERT INTO {TABLE} VALUES (9001, 'late, of a day that is held', '{days[1]} 12:00+09'),"
        f" (9002, 'late, of another', '{days[3]} 12:00+09'), (9003, 'older than all', '2025-01-01 12:00+09')"
    )
    back.note("> 9000")
    dry = table_of(back.run(dry_run=True))
    assert dry["estimate"]["rows"] == 2

    went = table_of(back.archive_again())

    assert went["archived_rows"] == 2
    assert back.value(f"SELECT array_agg(id) FROM {TABLE} WHERE id > 9000") == [9001]
    assert [entry for entry in back.ledger() if entry["state"] == "restored"] == held
    back.assert_promise(into_original=True)
    table_of(back.archive_again(scheduled_time="2025-12-02T00:00:00Z", force=True))
    assert back.value(f"SELECT count(*) FROM {TABLE}") == 0
    back.assert_promise(into_original=True)


def test_keys_that_exist_again_are_left_alone(back: WayBack) -> None:
    """The application has written them anew: its rows stay, ours are counted, and can still be looked at."""
    back.archive()
    key = back.keys[1]
    same, *others = sorted(back.contents[key])[:3]
    back.sql(f"INSERT INTO {TABLE} VALUES ({others[0][0]}, 'mine', now()), ({others[1][0]}, 'mine, too', now())")
    back.sql(
        f"INSERT INTO {TABLE} VALUES ({same[0]}, $p${same[1]}$p$, timestamptz 'epoch' + {same[2]} * interval '1 us')"
    )

    answer = back.restore(into_original=True)

    assert (answer["status"], answer["existing_rows"]) == ("ok", 3)
    assert answer["restored_rows"] == back.due.total() - 3
    rows = back.rows_of(TABLE)
    assert rows[same] == 1
    assert {row[1] for row in rows if row[0] in (others[0][0], others[1][0])} == {"mine", "mine, too"}
    assert rows.total() == back.before.total()
    (warning,) = [warning for warning in answer["warnings"] if "differ" in warning]
    assert warning.startswith("2 archived rows") and key in warning
    seen = back.restore(objects=[key])
    assert seen["restored_rows"] == back.contents[key].total()
    assert back.rows_of(OWN) == back.contents[key]


def test_two_archived_rows_with_one_key(back: WayBack) -> None:
    """The key became unique after they were archived: one finds a place, and nobody is told that both did."""
    back.archive(columns="id bigint, payload text NOT NULL, created_at timestamptz NOT NULL")
    twin = min(back.contents[back.keys[0]])
    back.restore(into_original=True, hold="0")
    back.sql(f"UPDATE {TABLE} SET id = {twin[0]} WHERE id = {twin[0] + 1}")
    back.remember()
    back.archive_again()
    back.sql(f"CREATE UNIQUE INDEX ON {TABLE} (id)")
    answer = back.restore(into_original=True)
    assert (answer["existing_rows"], answer["restored_rows"]) == (1, back.due.total() - 1)
    assert any("differ" in warning for warning in answer["warnings"]), answer


@pytest.mark.slow
def test_the_original_was_dropped_and_the_copy_takes_its_place(back: WayBack) -> None:
    back.archive()
    back.sql(f"DROP TABLE {TABLE}")
    back.before = back.archived_now
    refused = back.restore(into_original=True)
    assert (refused["status"], refused["refusal"]["guard"]) == ("refused", "unknown_table")
    assert back.restore()["restored_rows"] == back.before.total()
    back.sql(f"ALTER TABLE {OWN} RENAME TO {TABLE}")
    answer = back.restore(into_original=True)
    assert answer["restored_rows"] == 0
    assert back.rows_of(TABLE) == back.before
    back.assert_promise(into_original=True)
    assert back.restore(into_original=True)["status"] == "nothing"


def test_a_partition_that_is_held_is_not_dropped(house: House) -> None:
    months = "".join(
        f"CREATE TABLE log_{name} PARTITION OF log FOR VALUES FROM ('{first} 00:00+09') TO ('{end} 00:00+09');"
        for name, first, end in (("june", "2025-06-01", "2025-07-01"), ("july", "2025-07-01", "2025-08-01"))
    )
    house.sql(
        "CREATE TABLE log (id bigint, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
        f"{months} CREATE TABLE log_rest PARTITION OF log DEFAULT;"
        "INSERT INTO log SELECT i, timestamptz '2025-06-10 12:00+09' + i * interval '5 days'"
        " FROM generate_series(0, 9) i"
    )
    house.policies('[[retention]]\ntable = "log"\ntimestamp = "at"\nkeep_days = 30')
    before = house.texts("log")
    assert house.run_table()["partitions_dropped"] == 2
    house.sql(months)
    event = {"scheduled_time": AS_OF, "table": "log", "into_original": True, "hold": "2025-11-01"}
    answer = run_job("restore", house.env, {**event, "until": "2025-06-30"})
    assert answer["status"] == "ok"
    assert house.value("SELECT count(*) FROM log_june") == answer["restored_rows"] == 5

    held = house.run_table()
    assert (held["archived_rows"], held["partitions_dropped"]) == (0, 1)
    assert house.value("SELECT count(*) FROM log_june") == 5
    run_job("restore", house.env, {**event, "since": "2025-07-01", "hold": "0"})
    assert house.texts("log") == before
    over = house.run_table(scheduled_time="2025-11-01T00:00:00Z", force=True)
    assert (over["archived_rows"], house.value("SELECT count(*) FROM log")) == (10, 0)


def test_a_child_needs_its_parent(house: House) -> None:
    """Rows whose parents are gone are refused by the database; with their parents back, they come, too."""
    house.sql(
        "CREATE TABLE parent (id int PRIMARY KEY, at timestamptz NOT NULL);"
        "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent, at timestamptz NOT NULL);"
        "INSERT INTO parent SELECT i, '2025-08-01 12:00+09' FROM generate_series(1, 5) i;"
        "INSERT INTO child SELECT i, i, '2025-08-01 12:00+09' FROM generate_series(1, 5) i"
    )
    policies = [f'[[retention]]\ntable = "{t}"\ntimestamp = "at"\nkeep_days = 30' for t in ("child", "parent")]
    house.policies("\n".join(policies))
    before = house.texts("child"), house.texts("parent")
    assert house.run()["status"] == "ok"

    def restore(table: str) -> dict[str, Any]:
        event = {"scheduled_time": AS_OF, "table": table, "into_original": True, "hold": "2025-12-01"}
        return run_job("restore", house.env, event)

    with pytest.raises(StatementRefused) as caught:
        restore("child")
    assert caught.value.hint is not None and "referenced" in caught.value.hint
    assert house.value("SELECT count(*) FROM nightshift_restored_object") == 0
    assert restore("parent")["restored_rows"] == restore("child")["restored_rows"] == 5
    assert (house.texts("child"), house.texts("parent")) == before
    assert [table["archived_rows"] for table in house.run()["tables"]] == [0, 0]
    assert (house.texts("child"), house.texts("parent")) == before
