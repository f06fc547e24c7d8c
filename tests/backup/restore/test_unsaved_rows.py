"""What a backup does not hold is named by the restore, by the proof, and in the stamp: it is proven but for that."""

from __future__ import annotations

import json

import pytest

from tests.backup.restore.vault import AS_OF, Vault
from tests.support.handler import run_job

TABLES = """
CREATE TABLE plain AS SELECT 1 AS a;
CREATE TABLE hidden AS SELECT 1 AS a; ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
CREATE POLICY none ON hidden USING (false)
"""


@pytest.fixture
def guests(vault: Vault, guest: str) -> Vault:
    """Saved by a role that row level security stops."""
    vault.sql(f"{TABLES}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {guest}")
    vault.house.env["DATABASE_URL"] = vault.house.url.replace("postgres@", f"{guest}@")
    return vault


@pytest.mark.fast_cases("named0")
@pytest.mark.parametrize(
    ("also", "named"),
    [
        ("SELECT 1", ["public.hidden"]),
        ("CREATE TABLE shut AS SELECT 1 AS a", ["public.hidden", "public.shut"]),
        ('CREATE TABLE "Two words" AS SELECT 2; ALTER TABLE "Two words" ENABLE ROW LEVEL SECURITY', ["Two words"]),
    ],
)
def test_rows_that_could_not_be_saved(guests: Vault, also: str, named: list[str]) -> None:
    guests.sql(also)
    assert run_job("backup", guests.env, {"scheduled_time": AS_OF})["status"] == "partial"
    guests.env["REHEARSE_DATABASE_URL"] = guests.house.url

    answer = guests.rehearse()

    assert answer["proven"]
    stamp = json.loads(guests.object("proven.json"))["but_for"]
    for name in named:
        assert name in " ".join(answer["but_for"]) and name in " ".join(stamp)
    assert "warnings" not in answer
    assert guests.bring(owners=False)["but_for"] == answer["but_for"]
    assert "아래 항목을 제외하고 복원을 확인했습니다" in guests.house.slack.messages[-2].seen


@pytest.mark.fast_cases("PARTITION")
@pytest.mark.parametrize(
    ("made", "excluded"),
    [
        ("CREATE TABLE events AS SELECT 1 AS a", "public.events"),
        ("CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p DEFAULT", "public.p"),
        ("CREATE SCHEMA s; CREATE TABLE s.events AS SELECT 1 AS a", "s.events"),
    ],
)
def test_rows_that_are_left_out_on_purpose(vault: Vault, made: str, excluded: str) -> None:
    """No alarm of it, and no proof without it."""
    vault.sql(f"{made}; CREATE TABLE plain AS SELECT 1 AS a")
    vault.env["BACKUP_EXCLUDE_ROWS"] = excluded
    vault.save()

    answer = vault.rehearse()

    assert answer["proven"] and "but_for" not in answer
    for told in (answer["warnings"], json.loads(vault.object("proven.json"))["but_for"]):
        assert excluded in " ".join(told)
