"""A dry run of a restore says what a table of today does not take, and the run agrees."""

from __future__ import annotations

import pytest

from nightshift.errors import NightshiftError
from tests.restore.simple import archive, restore
from tests.support.house import House

MADE = (
    "CREATE TYPE mood AS ENUM ('glad', 'sad')",
    "CREATE DOMAIN short AS varchar(10)",
    "CREATE TABLE owner (id int PRIMARY KEY)",
    "INSERT INTO owner VALUES (1)",
    "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL, word short, feeling mood, amount int, owner_id int)",
    "INSERT INTO t VALUES (1, '2025-01-01', 'abcdef', 'glad', 5, 1), (2, '2025-01-01', NULL, 'sad', NULL, 1)",
)


@pytest.mark.fast_cases("reference", "check")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", "mood"),
        ("ALTER TABLE t ADD CONSTRAINT positive CHECK (amount < 5)", 'public.t" violates check constraint "positive"'),
        ("ALTER DOMAIN short ADD CONSTRAINT shorter CHECK (length(VALUE) < 6)", "shorter"),
        ("ALTER TABLE t ALTER amount SET NOT NULL", "amount"),
        (
            "DELETE FROM owner; ALTER TABLE t ADD CONSTRAINT owned FOREIGN KEY (owner_id) REFERENCES owner",
            "public.owner",
        ),
        ("ALTER TABLE t ADD twice int GENERATED ALWAYS AS (amount * 2) STORED CHECK (twice < 10)", "twice"),
    ],
    ids=["renamed label", "check", "domain", "not null", "reference", "generated"],
)
def test_values_that_no_longer_fit(house: House, change: str, named: str) -> None:
    archive(house, "t", *MADE)
    house.sql(change)

    answer = restore(house, "t", into_original=True, dry_run=True)

    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "impossible_values")
    assert named in answer["refusal"]["message"] and "public.t" in answer["refusal"]["message"]
    first = "restore the referenced table's rows first"
    cure = first if named == "public.owner" else "leave out --into and --into-original): everything comes back"
    assert cure in answer["refusal"]["hint"]
    with pytest.raises(NightshiftError) as caught:
        restore(house, "t", into_original=True)
    assert (first in str(caught.value.hint)) is (cure == first)
    assert "public.t" in str(caught.value) and "table of its own" in str(caught.value)
    assert house.value("SELECT count(*) FROM t") == 0
    into = {}
    if "TYPE" in change or "DOMAIN" in change:  # what the type itself does not take any more comes back as text
        house.sql("CREATE TABLE own (id int, at timestamptz, word text, feeling text, amount int, owner_id int)")
        into = {"into": "own"}
    assert restore(house, "t", **into)["restored_rows"] == 2


@pytest.mark.fast_cases("domain")
@pytest.mark.parametrize(
    "change",
    [
        "SELECT 1",
        "ALTER TABLE t ADD CONSTRAINT fine CHECK (amount > 0)",
        "ALTER TABLE t ADD more int NOT NULL DEFAULT 3 CHECK (more > 2)",
        "CREATE DOMAIN given AS int NOT NULL DEFAULT 1; ALTER TABLE t ADD more given",
        "ALTER TABLE t ADD serial bigserial",
    ],
    ids=["nothing", "check", "default with a check", "domain with a default", "sequence"],
)
def test_values_that_fit(house: House, change: str) -> None:
    """And nothing is left of the trial: neither a table nor a moved sequence."""
    archive(house, "t", *MADE)
    house.sql(change)
    answer = restore(house, "t", into_original=True, dry_run=True)
    assert (answer["status"], answer["restored_rows"]) == ("dry_run", 2), answer
    if "serial" in change:
        assert house.value("SELECT is_called FROM t_serial_seq") is False
    assert restore(house, "t", into_original=True)["restored_rows"] == 2
