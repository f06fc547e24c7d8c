"""Rows are archived with the references that they had: what would dissolve them before is refused."""

from __future__ import annotations

import pytest

from tests.cleanup.test_guards import LOG
from tests.support.house import House


@pytest.mark.parametrize("action", ["SET NULL", "SET DEFAULT"])
def test_a_row_that_would_lose_a_reference_to_its_own_table(house: House, action: str) -> None:
    """A chunk ends somewhere: the row behind its end would be archived as the chunk's deletion leaves it."""
    house.sql(
        f"{LOG} ALTER TABLE log ADD parent int REFERENCES log ON DELETE {action};"
        "UPDATE log SET parent = id - 1 WHERE id > 7"
    )
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')
    assert house.run_table()["archived_rows"] == 5, "living rows alone reference others"

    house.sql(
        "INSERT INTO log SELECT n, '2025-09-01', 0, 'w', CASE n WHEN 21 THEN 20 END FROM generate_series(20, 21) n"
    )
    before = house.state()["tables"]
    for dry_run in (True, False):
        (table,) = house.run(dry_run=dry_run)["tables"]
        assert table["refusal"]["guard"] == "dissolves"
        assert "archive the table by an [[expiry]] entry with" in table["refusal"]["hint"]
        assert (
            f"without their parent: they reference due rows of log (log_parent_fkey, ON DELETE {action})"
            in (table["refusal"]["message"])
        )
    assert house.state()["tables"] == before


@pytest.mark.fast_cases("names3")
@pytest.mark.parametrize(
    "names", [("log", "child"), ("LOG", "Child"), ("app.log", 'app."child"'), ('"log"', "APP.CHILD")]
)
def test_a_later_policy_is_known_however_it_writes_its_table(house: House, names: tuple[str, str]) -> None:
    house.sql(f"CREATE SCHEMA app; ALTER DATABASE {house.database} SET search_path = app; SET search_path = app")
    house.sql(LOG + "CREATE TABLE child AS SELECT id AS log_id, created_at FROM log")
    house.sql("ALTER TABLE child ADD FOREIGN KEY (log_id) REFERENCES log ON DELETE SET NULL")
    house.policies("".join(f"[[retention]]\ntable = '{name}'\nkeep_days = 30\n" for name in names))

    first, second = house.run()["tables"]

    assert first["refusal"]["guard"] == "dissolves" and "put app.child first" in first["refusal"]["hint"]
    assert second["archived_rows"] == 5
    assert sorted(row["log_id"] for row in house.archived("app.child")) == list(range(5))


def test_a_row_of_a_later_policy_that_would_lose_its_reference(house: House) -> None:
    """In the order that the guard's hint names, it is archived as it was."""
    house.sql(
        LOG + "CREATE TABLE child (id int, log_id int REFERENCES log ON DELETE SET NULL, created_at timestamptz);"
        "INSERT INTO child SELECT id, id, created_at FROM log"
    )
    parent, child = (f'[[retention]]\ntable = "{name}"\nkeep_days = 30\n' for name in ("log", "public.child"))
    house.policies(parent + child)
    first, second = house.run()["tables"]
    assert first["refusal"]["guard"] == "dissolves" and "put public.child first" in first["refusal"]["hint"]
    assert second["archived_rows"] == 5

    house.policies(child + parent)
    assert [table["archived_rows"] for table in house.run()["tables"]] == [0, 5]
    assert all(row["log_id"] == row["id"] for row in house.archived("public.child"))
