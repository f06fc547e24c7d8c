"""Tables that others have put before those that a policy means."""

from __future__ import annotations

import pytest

from nightshift.errors import NightshiftError
from tests.support.handler import run_job
from tests.support.house import AS_OF, House


def test_a_table_that_somebody_has_put_before_ours(house: House, guest: str) -> None:
    """A schema called as the role comes first: a table there says nothing of rows and files, until it is named."""
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    house.s3.client().put_object(Bucket=house.bucket, Key="living", Body=b"x")
    columns = "(id int PRIMARY KEY, expires_at timestamp, s3_key text)"
    house.sql(f"CREATE TABLE ticket {columns}; INSERT INTO ticket VALUES (1, '2026-09-01', 'living')")
    house.sql(f"CREATE ROLE eve; GRANT ALL ON ticket TO {guest}; CREATE SCHEMA {guest} AUTHORIZATION eve; SET ROLE eve")
    house.sql(f"CREATE TABLE {guest}.ticket {columns}; INSERT INTO {guest}.ticket VALUES (1, '2025-09-01', 'living')")
    house.sql(f"GRANT ALL ON SCHEMA {guest} TO {guest}; GRANT ALL ON {guest}.ticket TO {guest}; RESET ROLE")
    policy = '[[expiry]]\ntable = "ticket"\ntimezone = "UTC"\n[[expiry.files]]\ntable = "ticket"\nkey = "s3_key"\n'
    try:
        for text, status in ((policy, None), (policy.replace('"ticket"', '"public.ticket"'), "nothing")):
            house.policies(text)
            if status is None:
                with pytest.raises(NightshiftError, match=f"{guest}.ticket belongs to eve") as refused:
                    run_job("expire_jobs", house.env, {"scheduled_time": AS_OF})
                assert "write the schema in the policy, as in schema.table" in str(refused.value.hint)
            else:
                assert run_job("expire_jobs", house.env, {"scheduled_time": AS_OF})["status"] == status
        assert house.s3.keys(house.bucket) == ["living"]
        house.sql(f"ALTER TABLE {guest}.ticket OWNER TO {guest}")
        house.policies(policy)
        answer = run_job("expire_jobs", house.env, {"scheduled_time": AS_OF})
        assert (answer["status"], answer["tables"][0]["table"]) == ("ok", f"{guest}.ticket"), "our own may stand there"
    finally:
        house.sql("DROP OWNED BY eve CASCADE; DROP ROLE eve")
