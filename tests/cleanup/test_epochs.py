"""Numbers that tell the time: in the unit that the policy says, in another, in several, in none; marks among them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.support.handler import run_job
from tests.support.house import AS_OF, House

CUTOFF = 1_757_862_000
"""The beginning of 15 September 2025 in Seoul, in seconds."""

RECENT = 1_760_000_000
"""9 October 2025: not due."""


def entry(table: str, epoch: str, more: str = "") -> str:
    return f'[[retention]]\ntable = "{table}"\ntimestamp = "at"\nkeep_days = 30\nepoch = "{epoch}"\n{more}'


@dataclass(frozen=True)
class Wrong:
    """A column whose numbers are not in the policy's unit.

    Attributes:
        values: SQL for the value of row `n`, of 2,000.
        named: what the refusal says, message and hint.
    """

    type: str
    epoch: str
    values: str
    named: tuple[str, ...]


S, MS, US, NS = (f"({RECENT} - n * 400)::bigint * {unit}" for unit in (1, 10**3, 10**6, 10**9))
WRONG = {
    "seconds as ms": Wrong(
        "bigint", "ms", S, ("holds seconds", "says milliseconds", 'these are seconds: set epoch = "s"')
    ),
    "int4 seconds as us": Wrong("int", "us", S, ("holds seconds", 'epoch = "s"')),
    "ms as seconds": Wrong("bigint", "s", MS, ("holds milliseconds", 'epoch = "ms"')),
    "ns as seconds": Wrong("bigint", "s", NS, ("holds nanoseconds", 'epoch = "ns"')),
    "ns as ms": Wrong("bigint", "ms", NS, ("holds nanoseconds", 'epoch = "ns"')),
    "ms as ns": Wrong("bigint", "ns", MS, ("holds milliseconds", 'epoch = "ms"')),
    "us as ns": Wrong("bigint", "ns", US, ("holds microseconds", 'epoch = "us"')),
    "float seconds as ms": Wrong("float8", "ms", f"{S} + 0.25", ("holds seconds", 'epoch = "s"')),
    "real seconds as ms": Wrong("real", "ms", S, ("holds seconds", 'epoch = "s"')),
    "numeric ms as seconds": Wrong("numeric", "s", f"{MS} + 0.5", ("holds milliseconds", 'epoch = "ms"')),
    "mixed, half and half": Wrong(
        "bigint",
        "ms",
        f"CASE n % 2 WHEN 0 THEN {S} ELSE {MS} END",
        ("seconds beside milliseconds", "bring them into one unit: UPDATE", "* 1000 WHERE"),
    ),
    "mixed, the old ones": Wrong(
        "bigint", "s", f"CASE WHEN n > 1900 THEN {MS} ELSE {S} END", ("milliseconds beside seconds", "/ 1000 WHERE")
    ),
    "calendar dates": Wrong("int", "s", "20250101 + n % 28", ("no times since 2000",)),
    "minutes": Wrong("bigint", "ms", f"{S} / 60", ("name a column of times in",)),
}


@pytest.mark.fast_cases("by index")
@pytest.mark.parametrize("indexed", [False, True], ids=["by page", "by index"])
def test_another_unit(house: House, indexed: bool) -> None:
    """Refused with the unit that fits, nothing touched, the dry run alike; mended as the hint says, it goes."""
    names = [f"log{n}" for n in range(len(WRONG))]
    for name, wrong in zip(names, WRONG.values(), strict=True):
        house.sql(f"CREATE TABLE {name} (id int, at {wrong.type})")
        house.sql(f"INSERT INTO {name} SELECT n, {wrong.values} FROM generate_series(1, 2000) n")
        if indexed:
            house.sql(f"CREATE INDEX ON {name} (at)")
    entries = dict(zip(names, (wrong.epoch for wrong in WRONG.values()), strict=True))
    house.policies("".join(entry(name, epoch) for name, epoch in entries.items()))
    before = house.state()["tables"]

    answers = [house.run(dry_run=True), house.run()]

    assert house.state()["tables"] == before
    assert [t["refusal"] for t in answers[0]["tables"]] == [t["refusal"] for t in answers[1]["tables"]]
    for (what, wrong), name, table in zip(WRONG.items(), names, answers[1]["tables"], strict=True):
        assert (table["status"], table["refusal"]["guard"], table["archived_rows"]) == ("refused", "wrong_type", 0), (
            what
        )
        said = table["refusal"]["message"] + table["refusal"]["hint"]
        assert f"{name}.at" in said, what
        assert [part for part in wrong.named if part not in said] == [], (what, said)
        if statement := re.search("UPDATE .*", table["refusal"]["hint"]):
            house.sql(statement.group())
        if unit := re.search('epoch = "(.*)"', table["refusal"]["hint"]):
            entries[name] = unit.group(1)

    mended = [name for (_, wrong), name in zip(WRONG.items(), names, strict=True) if len(wrong.named) > 1]
    house.policies("".join(entry(name, entries[name]) for name in mended))
    for name, table in zip(mended, house.run()["tables"], strict=True):
        assert (table["status"], table["archived_rows"]) == ("nothing", 0), (name, table)
        assert house.value(f"SELECT count(*) FROM {name}") == 2000


MARKS = [
    ("bigint", "ms", 1000, ["0", "-1", "1", "2147483647", "9999999999", "9999999999999", "253402300799999", "NULL"]),
    ("bigint", "s", 1, ["0", "-1", "1", "2147483647", "9999999999", "9223372036854775807", "-9223372036854775808"]),
    ("float8", "s", 1, ["0", "'NaN'", "'Infinity'", "'-Infinity'", "9999999999", "NULL"]),
    ("numeric", "us", 10**6, ["0", "'NaN'", "-1", "9999999999999999999999", "-9999999999999999999999"]),
]


def test_marks_stay_and_hold_nothing_up(house: House) -> None:
    """Among times, and alone; as a single stray time in another unit does, which is told."""
    policies, due, total = "", {}, {"stray": 202}
    for n, (type_, epoch, unit, marks) in enumerate(MARKS):
        for name, rows in ((f"log{n}", [str(CUTOFF * unit - 1), str(CUTOFF * unit)]), (f"mark{n}", [])):
            house.sql(f"CREATE TABLE {name} (id int GENERATED ALWAYS AS IDENTITY, at {type_})")
            values = ", ".join(f"({value})" for value in rows + (marks * 30 if rows else marks[:3] * 30))
            house.sql(f"INSERT INTO {name} (at) VALUES {values}")
            due[name], total[name] = [1] if rows else [], values.count("(")
            policies += entry(name, epoch)
    house.sql(f"CREATE TABLE stray AS SELECT n AS id, {RECENT * 1000} + n::bigint AS at FROM generate_series(1, 200) n")
    house.sql(f"INSERT INTO stray VALUES (201, {CUTOFF * 1000 - 1}), (202, {CUTOFF - 1})")
    house.policies(policies + entry("stray", "ms"))
    due["stray"] = [201]

    answer = house.run()

    for table, (name, ids) in zip(answer["tables"], due.items(), strict=True):
        assert table["status"] == ("ok" if ids else "nothing"), (name, table)
        assert list(house.archived_days(f"public.{name}")) == ids, name
        assert house.value(f"SELECT count(*) FROM {name}") == total[name] - len(ids)
        assert table["oldest_overdue"] is None
    assert answer["tables"][-1]["warnings"] == [
        "stray.at: values that are no times since 2000 in milliseconds are left alone"
    ]


def test_a_float_is_never_taken_for_an_earlier_moment(house: House) -> None:
    """A `real` knows seconds to two minutes: what lies after the cutoff may stand for a moment before it. In Kathmandu
    the cutoff itself is rounded down."""
    cutoff = 1_757_873_700
    house.sql("CREATE TABLE log (id int, at real)")
    house.sql(
        f"INSERT INTO log SELECT n, {cutoff} + n FROM generate_series(-600, 600) n;"
        "CREATE INDEX ON log (at); ANALYZE log"
    )
    house.policies(entry("log", "s", 'timezone = "Asia/Kathmandu"'))

    taken = set(house.archived_days("public.log")) if house.run_table()["archived_rows"] else set()

    assert {n for n in taken if n >= 0} == set()
    assert taken >= set(range(-600, -128)), "no more than two minutes wait for another day"


@pytest.mark.slow
@pytest.mark.parametrize("type_", ["float8", "numeric", "bigint"])
def test_partitions_holds_and_the_way_back(house: House, type_: str) -> None:
    """A partition that is due goes whole, one with a mark by rows; restored rows are held, and go again."""
    unit, epoch = (10**9, "ns") if type_ == "bigint" else (1, "s")
    day = 86_400
    house.sql(f"CREATE TABLE log (id int, at {type_}) PARTITION BY RANGE (at)")
    for n, (lo, hi) in enumerate(
        [(-10, CUTOFF - 2 * day), (CUTOFF - 2 * day, CUTOFF - day), (CUTOFF - day, 2 * CUTOFF)]
    ):
        house.sql(f"CREATE TABLE log{n} PARTITION OF log FOR VALUES FROM ({lo * unit}) TO ({hi * unit})")
    part = "/ 8.0" if unit == 1 else "/ 8"
    house.sql(
        f"INSERT INTO log SELECT n, ({CUTOFF}::{type_} - 3 * {day} + n::bigint * 3600) * {unit}"
        f" + n::bigint * {unit} {part} FROM generate_series(0, 80) n"
    )
    house.sql("INSERT INTO log VALUES (1000, 0), (1001, -1)")
    rows = sorted(house.texts("log"))
    house.policies(entry("log", epoch))

    first = house.run_table()

    assert (first["status"], first["archived_rows"], first["partitions_dropped"]) == ("ok", 72, 1)
    assert sorted(house.archived_days("public.log")) == list(range(72))
    assert house.value("SELECT to_regclass('log0') IS NOT NULL AND to_regclass('log1') IS NULL")
    house.sql(
        f"CREATE TABLE log1 PARTITION OF log FOR VALUES FROM ({(CUTOFF - 2 * day) * unit}) TO ({(CUTOFF - day) * unit})"
    )
    back = {"scheduled_time": AS_OF, "table": "log", "into_original": True, "hold": "14d"}
    assert run_job("restore", house.env, {**back, "since": "2025-09-13"})["restored_rows"] == 48
    assert house.run_table()["archived_rows"] == 0
    run_job("restore", house.env, back)
    assert sorted(house.texts("log")) == rows
    assert house.run_table(scheduled_time="2025-10-16T00:00:00Z")["archived_rows"] == 9


SQLITE = {
    # declared type, epoch, values of due rows, of rows that stay, whether it is warned
    "INTEGER": ("ms", [f"{CUTOFF * 1000 - 1}"], [f"{CUTOFF * 1000}", "0", "NULL", "9999999999999"], False),
    "DATETIME": ("ms", [f"{CUTOFF * 1000 - 1}", f"'{CUTOFF * 1000 - 1}'"], [f"{CUTOFF * 1000}", "'0'"], False),
    "TEXT": ("s", [f"'{CUTOFF - 1}'", f"'{CUTOFF - 1}.999'", f"{CUTOFF - 1}"], [f"'{CUTOFF}'", f"'{CUTOFF}.0'"], False),
    "REAL": ("s", [f"{CUTOFF - 1}", f"{CUTOFF - 0.5}"], [f"{CUTOFF}", "9e999", "-9e999", "0"], True),
    "NUMERIC": ("ns", [f"{CUTOFF}000000000 - 1"], [f"{CUTOFF}000000000", "0.5"], False),
    "": (
        "us",
        [f"{CUTOFF * 10**6 - 1}", f"'{CUTOFF * 10**6 - 1}'"],
        [f"{CUTOFF * 10**6}", f"'{CUTOFF * 10**6}'"],
        False,
    ),
    "BIGINT": ("s", [f"{CUTOFF - 1}"] * 200, ["'2025-01-01'", "x'00'"][:1], True),
}


def test_sqlite_values_of_every_class(sqlite_house: House) -> None:
    house, policies = sqlite_house, ""
    for n, (declared, (epoch, due, stays, _)) in enumerate(SQLITE.items()):
        house.sql(f"CREATE TABLE log{n} (id INTEGER PRIMARY KEY, at {declared})")
        values = ", ".join(f"({value})" for value in [*due, *stays])
        house.sql(f"INSERT INTO log{n} (at) VALUES {values}")
        policies += entry(f"log{n}", epoch)
    house.policies(policies)
    before = {n: house.sql(f"SELECT id, at, typeof(at) FROM log{n}") for n in range(len(SQLITE))}

    answer = house.run()

    for n, (table, (declared, (_, due, stays, warned))) in enumerate(
        zip(answer["tables"], SQLITE.items(), strict=True)
    ):
        assert (table["status"], table["oldest_overdue"]) == ("ok", None), (declared, table)
        assert house.archived_days(f"log{n}") == dict.fromkeys(range(1, len(due) + 1), "2025-09-14"), declared
        assert house.value(f"SELECT count(*) FROM log{n}") == len(stays)
        assert bool(table.get("warnings")) == warned
        run_job("restore", house.env, {"scheduled_time": AS_OF, "table": f"log{n}", "into_original": True})
        assert house.sql(f"SELECT id, at, typeof(at) FROM log{n}") == before[n], declared


WRONG_ON_SQLITE = {
    "seconds as ms": ("INTEGER", "ms", [f"{RECENT}"], "holds seconds"),
    "ms as seconds in a DATETIME": ("DATETIME", "s", [f"{RECENT}000"], "holds milliseconds"),
    "dates beside numbers": ("DATETIME", "ms", [f"{RECENT}000", "'2025-01-01 09:00:00'"], "text that is no number"),
    "dates alone": ("TEXT", "s", ["'2025-01-01'"], "store numbers alone, or local times without a zone"),
    "digits in another unit": ("TEXT", "s", [f"'{RECENT}000'"], "holds milliseconds"),
    "mixed": ("INTEGER", "ms", [f"{RECENT}000", f"{RECENT}"], "seconds beside milliseconds"),
}


def test_another_unit_on_sqlite(sqlite_house: House) -> None:
    house = sqlite_house
    for n, (declared, _, values, _) in enumerate(WRONG_ON_SQLITE.values()):
        house.sql(f"CREATE TABLE log{n} (id INTEGER PRIMARY KEY, at {declared})")
        house.sql(f"INSERT INTO log{n} (at) VALUES {', '.join(f'({value})' for value in values)}")
    house.policies("".join(entry(f"log{n}", epoch) for n, (_, epoch, _, _) in enumerate(WRONG_ON_SQLITE.values())))
    before = house.state()["tables"]

    answer = house.run()

    for table, (what, (_, _, _, named)) in zip(answer["tables"], WRONG_ON_SQLITE.items(), strict=True):
        assert table["refusal"]["guard"] == "wrong_type", what
        assert named in table["refusal"]["message"] + table["refusal"]["hint"], what
    assert house.state()["tables"] == before


@pytest.mark.parametrize("declared", ["DATETIME", "TEXT", ""])
def test_held_rows_stay_whatever_their_numbers_are_kept_in(sqlite_house: House, declared: str) -> None:
    """Restored by `at`, due by `expires_at` to another job: which has no policy that tells what `at` holds."""
    house = sqlite_house
    house.sql(f"CREATE TABLE log (id INTEGER PRIMARY KEY, at {declared}, expires_at INTEGER)")
    house.sql(f"INSERT INTO log VALUES (1, {CUTOFF * 1000 - 1}, {CUTOFF}), (2, {RECENT * 1000}, {CUTOFF})")
    house.policies(entry("log", "ms"))
    assert house.run_table()["archived_rows"] == 1
    run_job(
        "restore",
        house.env,
        {"scheduled_time": AS_OF, "table": "log", "into_original": True, "hold": "2099-01-01T00:00Z"},
    )
    house.policies('[[expiry]]\ntable = "log"\nepoch = "s"')

    run_job("expire_jobs", house.env, {"scheduled_time": AS_OF})

    assert 1 in [row[0] for row in house.sql("SELECT id FROM log")]
