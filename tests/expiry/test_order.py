"""Policies of one run whose tables reference each other: each row is archived as it was, whatever the file's order."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.expiry.test_closing import archived, values
from tests.support.expiry_runs import DUE, LATER, MAKE_JOB, column, expire, jobs, script
from tests.support.house import House

ARCHIVE = "archive = true\n"


def policy(table: str, more: str = "") -> str:
    return f'[[expiry]]\ntable = "{table}"\ntimezone = "UTC"\n{more}\n'


def told(answer: dict[str, object]) -> list[str]:
    """The tables, in the order of their turns."""
    tables = answer["tables"]
    assert isinstance(tables, list)
    return [str(one["table"]).removeprefix("public.") for one in tables]


def reports(action: str, due: int = 5, name: str = "report", parent: str = "job") -> str:
    """SQL for a table whose rows expire by themselves and reference another's, and for some rows."""
    return (
        f"CREATE TABLE {name} (id int PRIMARY KEY, expires_at timestamp,"
        f" parent_id int DEFAULT 99 REFERENCES {parent} ON DELETE {action});"
        f"INSERT INTO {name} SELECT i, timestamp '{DUE}', i FROM generate_series(1, {due}) i;"
        f"INSERT INTO {name} VALUES (50, '{LATER}', 2), (51, '{LATER}', 99);"
    )


@pytest.mark.fast_cases("archive")
@pytest.mark.parametrize("action", ["SET NULL", "SET DEFAULT"])
@pytest.mark.parametrize("more", ["", ARCHIVE])
def test_a_reference_that_another_policys_turn_would_dissolve(house: House, action: str, more: str) -> None:
    script(house, MAKE_JOB + jobs(*range(1, 10), living=[99]) + reports(action))
    before = values(house, "report", "parent_id")
    house.policies(policy("job", more) + policy("report", ARCHIVE))

    assert told(expire(house, dry_run=True)) == ["report", "job"]
    answer = expire(house)

    assert (answer["status"], told(answer)) == ("ok", ["report", "job"]), answer
    assert archived(house, "report", "parent_id") == {n: before[n] for n in range(1, 6)}
    living = {50: None if action == "SET NULL" else 99, 51: 99}
    assert values(house, "report", "parent_id") == living, "as the application's own DELETE would leave them"
    assert not any("warnings" in one for one in answer["tables"])


def test_rows_that_another_policy_would_delete_without_an_archive(house: House) -> None:
    script(house, MAKE_JOB + jobs(*range(1, 10), living=[99]) + reports("CASCADE"))
    house.policies(policy("job") + policy("report", ARCHIVE))

    answer = expire(house)

    assert (answer["status"], told(answer)) == ("ok", ["report", "job"]), answer
    assert sorted(archived(house, "report", "parent_id")) == [1, 2, 3, 4, 5], (
        "50 goes with its job, as job's policy says"
    )
    assert column(house, "report") == [51]


def test_a_table_that_hangs_on_both(house: House) -> None:
    """Its rows go with whichever of the two has its turn first."""
    script(house, MAKE_JOB + jobs(1, 2, 3) + reports("CASCADE", due=3).replace("REFERENCES job ON DELETE CASCADE", ""))
    script(
        house,
        "CREATE TABLE page (id int PRIMARY KEY, report_id int REFERENCES report, job_id int REFERENCES job);"
        "INSERT INTO page SELECT i, i, i FROM generate_series(1, 3) i",
    )
    house.policies(policy("job") + policy("report", ARCHIVE))

    answer = expire(house)

    assert (answer["status"], told(answer)) == ("ok", ["report", "job"]), answer
    assert archived(house, "page", "job_id") == {1: 1, 2: 2, 3: 3}


@pytest.mark.fast_cases("order0", "order4")
@pytest.mark.parametrize("order", list(permutations(["job", "report", "note"])))
def test_a_chain_in_whatever_order_it_is_written(house: House, order: tuple[str, ...]) -> None:
    script(house, MAKE_JOB + jobs(*range(1, 10), living=[99]) + reports("SET NULL"))
    script(house, "INSERT INTO report (id, expires_at) VALUES (99, '2099-01-01')")
    script(house, reports("SET NULL", name="note", parent="report"))
    house.policies("".join(policy(name, ARCHIVE) for name in order))

    answer = expire(house)

    assert (answer["status"], told(answer)) == ("ok", ["note", "report", "job"]), answer
    for name in ("report", "note"):
        assert archived(house, name, "parent_id") == {n: n for n in range(1, 6)}


def test_tables_that_reference_each_other(house: House) -> None:
    """No order keeps both references: the file's is kept, and what is lost is named."""
    script(house, MAKE_JOB + jobs(1, 2, 3, living=[99]) + reports("SET NULL", due=3))
    script(house, "ALTER TABLE job ADD best_id int REFERENCES report ON DELETE SET NULL; UPDATE job SET best_id = 1")
    for names in (("report", "job"), ("job", "report")):
        house.policies("".join(policy(name, ARCHIVE) for name in names))
        answer = expire(house, dry_run=True)
        assert told(answer) == list(names)

    answer = expire(house)

    first, second = answer["tables"]
    assert (answer["status"], "warnings" in second) == ("ok", False), answer
    (warning,) = first["warnings"]
    assert warning == (
        "rows of public.report that the policy for report archives later lose their parent_id where it names a row that"
        " is deleted now (report_parent_id_fkey)"
    )
    assert archived(house, "job", "best_id") == {1: 1, 2: 1, 3: 1}
    assert archived(house, "report", "parent_id") == {1: None, 2: None, 3: None}


def test_a_policy_that_is_refused_has_no_say(house: House) -> None:
    script(house, MAKE_JOB + jobs(1, 2, living=[99]) + reports("SET NULL", due=2))
    house.policies(policy("job", ARCHIVE) + policy("gone", ARCHIVE) + policy("report", ARCHIVE) + policy("public.job"))

    tables = expire(house)["tables"]

    assert [one["table"].removeprefix("public.") for one in tables] == ["gone", "report", "job", "job"]
    assert [one.get("refusal", {}).get("guard") for one in tables] == ["unknown_table", None, None, "repeated"]
    assert archived(house, "report", "parent_id") == {1: 1, 2: 2}


def test_without_an_archive_the_order_is_the_files(house: House) -> None:
    script(house, MAKE_JOB + jobs(1, 2, living=[99]) + reports("SET NULL", due=2))
    for names in (("job", "report"), ("report", "job")):
        house.policies("".join(map(policy, names)))
        assert told(expire(house, dry_run=True)) == list(names)
