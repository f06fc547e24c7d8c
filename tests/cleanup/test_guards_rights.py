"""The guards that ask what nightshift's role may do, and what it may see."""

from __future__ import annotations

import pytest

from tests.cleanup.test_guards import LOG
from tests.support.house import House
from tests.support.refusals import refused


@pytest.mark.parametrize("grant", ["", "GRANT SELECT ON log TO {0}", "GRANT DELETE ON log TO {0}"])
def test_without_privilege(house: House, guest: str, grant: str) -> None:
    house.sql(LOG + grant.format(guest))

    refusal = refused(house)

    assert refusal["guard"] == "privilege"
    assert refusal["hint"].startswith('GRANT SELECT, DELETE ON "public"."log"')


def test_without_privilege_on_the_whole(house: House, guest: str) -> None:
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz) PARTITION BY RANGE (created_at);"
        "CREATE TABLE log_all PARTITION OF log FOR VALUES FROM (MINVALUE) TO (MAXVALUE);"
        f"INSERT INTO log VALUES (1, '2025-01-01'); GRANT SELECT, DELETE ON log_all TO {guest}"
    )

    refusal = refused(house)
    assert refusal["message"] == "nightshift's role may not read public.log"
    assert refusal["hint"].startswith('GRANT USAGE ON SCHEMA "public", and SELECT ON "public"."log", TO')


def test_without_privilege_on_the_schema(house: House, guest: str) -> None:
    house.sql(
        "CREATE SCHEMA app; CREATE TABLE app.log (id int, created_at timestamptz); INSERT INTO app.log"
        f" VALUES (1, '2025-01-01'); GRANT SELECT, DELETE ON app.log TO {guest}"
    )

    refusal = refused(house, 'table = "app.log"\nkeep_days = 30')

    assert refusal["guard"] == "privilege"
    assert '"app"."log", and USAGE on its schema, TO nightshift\'s role' in refusal["hint"]


def test_without_privilege_on_one_partition(house: House, guest: str) -> None:
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz) PARTITION BY RANGE (created_at);"
        "CREATE TABLE log_all PARTITION OF log FOR VALUES FROM (MINVALUE) TO (MAXVALUE);"
        f"INSERT INTO log VALUES (1, '2025-01-01'); GRANT SELECT, DELETE ON log TO {guest}"
    )

    assert "log_all" in refused(house)["message"]


def test_row_level_security_that_binds_us(house: House, guest: str) -> None:
    house.sql(
        LOG + f"GRANT SELECT, DELETE ON log TO {guest}; ALTER TABLE log ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY a_part ON log USING (id > 3)"
    )

    refusal = refused(house)

    assert refusal["guard"] == "hidden_rows"
    assert "row-level security" in refusal["message"]
    assert "ALTER ROLE … BYPASSRLS for nightshift's role" in refusal["hint"]
