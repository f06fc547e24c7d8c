"""What stands in the way of some rows is in the way of no others."""

from __future__ import annotations

import pytest

from tests.support.expiry_runs import DUE, JOB, MAKE_JOB, column, expire, expired, files_of, jobs, only, outbox, script
from tests.support.handler import Context, run_job
from tests.support.house import House

QUOTE = "'"

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'not this one' USING ERRCODE = 'LH001';
END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER DELETE ON job FOR EACH ROW WHEN (OLD.id <= 150) EXECUTE FUNCTION refuse();
"""


@pytest.mark.parametrize("moments", [1, 400], ids=["all at one moment", "one after the other"])
def test_many_refused_rows_in_front_hold_nobody_up(house: House, moments: int) -> None:
    """By a trigger with a code of its own; more of them than are left out by name."""
    script(house, MAKE_JOB + REFUSE)
    moment = f"timestamp '{DUE}' - (400 - i) % {moments} * interval '1 s'"
    house.sql(f"INSERT INTO job SELECT i, {moment} FROM generate_series(1, 400) i")
    house.policies(JOB)

    told = only(expire(house))

    if moments == 1:  # behind the hundredth the run goes on with the next moment, and there is none
        assert (told["status"], told["failed"], told["expired"]) == ("partial", 100, 0)
    else:
        assert (told["status"], told["failed"], told["expired"]) == ("partial", 150, 250)
        assert column(house, "job") == list(range(1, 151))
    assert any("not this one" in warning for warning in told["warnings"])


@pytest.mark.slow
def test_a_batch_that_takes_too_long_is_cut(house: House) -> None:
    """A second a row, and five for a batch."""
    script(house, MAKE_JOB + jobs(*range(1, 9)))
    script(
        house,
        """
        CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN OLD; END $$;
        CREATE TRIGGER dawdle AFTER DELETE ON job FOR EACH ROW EXECUTE FUNCTION dawdle();
        """,
    )
    house.policies(JOB)
    answer = run_job("expire_jobs", house.env, {"scheduled_time": "2025-10-15T05:00:00Z"}, Context(seconds=17))

    assert 0 < only(answer)["expired"] < 8
    assert answer["status"] == "partial"


def test_a_living_job_keeps_the_expired_one_it_hangs_on(house: House) -> None:
    """And by way of another table: one customer's latest job would take all the others with it."""
    script(
        house,
        MAKE_JOB
        + jobs(1, 2, 3, living=[4, 5])
        + """
        ALTER TABLE job ADD COLUMN retry_of int REFERENCES job ON DELETE CASCADE, ADD COLUMN customer_id int;
        CREATE TABLE customer (id int PRIMARY KEY, latest_job_id int REFERENCES job);
        INSERT INTO customer VALUES (10, 2), (11, NULL);
        ALTER TABLE job ADD FOREIGN KEY (customer_id) REFERENCES customer;
        UPDATE job SET retry_of = 1 WHERE id = 4;
        UPDATE job SET customer_id = 10 WHERE id IN (2, 5);
        """,
    )
    house.policies(JOB)

    told = only(expire(house))

    assert (told["expired"], told["busy"], column(house, "job")) == (1, 2, [1, 2, 4, 5])
    assert column(house, "customer") == [10, 11]


def test_a_reference_that_is_dissolved_hides_no_row(house: House) -> None:
    """A payment hangs on its job by two columns, of which a coupon that goes first would null one."""
    script(
        house,
        """
        CREATE TABLE job (tenant int, id int, expires_at timestamp, PRIMARY KEY (tenant, id));
        CREATE TABLE coupon (tenant int, id int, job_id int, PRIMARY KEY (tenant, id),
            FOREIGN KEY (tenant, job_id) REFERENCES job);
        CREATE TABLE payment (id int PRIMARY KEY, tenant int, job_id int, coupon_id int, s3_key text,
            FOREIGN KEY (tenant, job_id) REFERENCES job, FOREIGN KEY (tenant, coupon_id) REFERENCES coupon
            ON DELETE SET NULL);
        """,
    )
    script(house, f"INSERT INTO job VALUES (1, 1, '{DUE}'); INSERT INTO coupon VALUES (1, 5, 1);")
    house.sql("INSERT INTO payment VALUES (9, 1, 1, 5, 'invoice')")
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket

    told = only(expired(house, JOB + files_of("payment")))

    assert told["deleted_rows"] == {"public.payment": 1, "public.coupon": 1, "public.job": 1}


INJECTION = "\\'); DROP TABLE victim; --"
"""With `standard_conforming_strings = off` the backslash would keep our quote from ending the string."""


def test_text_keys_are_text_whatever_the_database_thinks_of_backslashes(house: House) -> None:
    """A row that is left out is named in SQL by its key."""
    script(house, "CREATE TABLE job (id text PRIMARY KEY, expires_at timestamp); CREATE TABLE victim (id int);")
    script(house, REFUSE.replace("OLD.id <= 150", "true"))
    house.sql(f"INSERT INTO job VALUES ('{INJECTION.replace(QUOTE, QUOTE * 2)}', '{DUE}'), ('b', '{DUE}')")
    house.sql(f"ALTER DATABASE {house.database} SET standard_conforming_strings = off")
    house.policies(JOB)

    assert only(expire(house))["failed"] == 2
    assert house.value("SELECT count(*) FROM victim") == 0


def test_a_table_that_may_not_be_read_may_name_any_file(house: House, guest: str) -> None:
    script(house, MAKE_JOB + jobs(1) + "CREATE TABLE other (id int, s3_key text); ALTER TABLE job ADD s3_key text;")
    house.sql("UPDATE job SET s3_key = 'f1'")
    house.sql(f"GRANT SELECT, UPDATE, DELETE ON job TO {guest}")
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    other = '[[expiry]]\ntable = "other"\n' + files_of("other")
    house.policies(JOB + files_of("job") + other)

    answer = expire(house)

    assert answer["files"] | {"warnings": []} == {
        "queued": 1,
        "deleted": 0,
        "looked_up": 1,
        "absent": 1,
        "kept": 0,
        "failed": 0,
        "waiting": 1,
        "failures": [],
        "warnings": [],
    }
    assert "public.other may not be read" in answer["files"]["warnings"][0]
    assert outbox(house) == [(house.bucket, "f1")]


@pytest.mark.parametrize(
    "asleep",
    [
        "ALTER TABLE job DISABLE TRIGGER ALL",
        "ALTER TABLE step DROP CONSTRAINT step_job_id_fkey,"
        " ADD FOREIGN KEY (job_id) REFERENCES job ON DELETE CASCADE NOT ENFORCED",
    ],
    ids=["triggers disabled", "not enforced"],
)
def test_a_cascade_that_the_database_does_not_carry_out(house: House, asleep: str) -> None:
    """What it says it deletes by itself, it does not: then the rows are deleted by statements of ours."""
    if "NOT ENFORCED" in asleep and int(house.value("SHOW server_version_num")) < 180_000:
        pytest.skip("foreign keys are enforced before PostgreSQL 18")
    script(house, MAKE_JOB + jobs(1, living=[2]))
    script(
        house,
        """
        CREATE TABLE step (id int PRIMARY KEY, job_id int REFERENCES job ON DELETE CASCADE);
        INSERT INTO step VALUES (10, 1), (11, 2);
        """,
    )
    house.sql(asleep)

    told = only(expired(house, JOB))

    assert told["deleted_rows"] == {"public.step": 1, "public.job": 1}
    assert column(house, "step") == [11]
