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


def test_rows_that_are_left_out_on_purpose(vault: Vault) -> None:
    """No alarm of it, and no proof without it."""
    vault.sql("CREATE TABLE events AS SELECT 1 AS a; CREATE TABLE plain AS SELECT 1 AS a; SELECT lo_create(0)")
    vault.env["BACKUP_EXCLUDE_ROWS"] = "public.events"
    vault.save()

    answer = vault.rehearse()

    assert answer["proven"] and "but_for" not in answer
    stamp = json.loads(vault.object("proven.json"))["but_for"]
    for name in ("public.events", "large object"):
        assert name in " ".join(answer["warnings"]) and name in " ".join(stamp)
