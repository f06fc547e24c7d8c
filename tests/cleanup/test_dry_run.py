"""A dry run looks, counts and tells, and writes nothing anywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.chatlog import create_conversation_log
from tests.support.house import House

END = datetime(2025, 10, 15, tzinfo=UTC)


def make_log(house: House, rows: int) -> None:
    """Sixty days of chat, half of which a run at `END` takes."""
    create_conversation_log(house.url, rows, days=60, end=END)


def test_nothing_is_written_because_nothing_can_be(house: House, guest: str) -> None:
    """The role may create nothing, and the server refuses its every write."""
    make_log(house, 2000)
    house.sql(f"REVOKE CREATE ON SCHEMA public FROM {guest}; GRANT SELECT, DELETE ON conversation_log TO {guest}")
    house.sql(f"ALTER DATABASE {house.database} SET default_transaction_read_only = on")
    before = house.state()

    answer = house.run(dry_run=True)

    (table,) = answer["tables"]
    assert (answer["status"], answer["complete"], table["status"]) == ("dry_run", False, "dry_run")
    assert table["archived_rows"] == table["deleted_rows"] == table["objects"] == table["bytes"] == 0
    assert table["estimate"]["rows"] == house.value(
        "SELECT count(*) FROM conversation_log WHERE created_at < '2025-09-15 00:00+09'"
    )
    assert table["oldest_overdue"][:10] == "2025-08-16"
    assert house.state() == before
    assert house.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'nightshift%'") == 0
    (message,) = house.slack.messages
    assert "🧪 DB Cleanup Report (미리보기)" in message.seen
    assert "- 백업 예정:" in message.seen and "저장하거나 삭제한 데이터는 없습니다" in message.seen
    assert house.slack.files == []


@pytest.mark.slow
def test_the_estimate_is_near_the_truth(house: House) -> None:
    make_log(house, 20_000)
    first = house.run(dry_run=True)["tables"][0]["estimate"]
    truth = house.run(scheduled_time="2025-10-14T00:00:00Z")["tables"][0]
    second = house.run(dry_run=True)["tables"][0]["estimate"]
    truth_of_second = house.run_table()

    assert first["rows"] == truth["archived_rows"] + truth_of_second["archived_rows"]
    assert first["share"] == pytest.approx(first["rows"] / 20_000, abs=0.0001)
    assert first["bytes"] == pytest.approx(truth["bytes"] + truth_of_second["bytes"], rel=1.0)
    assert first["objects"] == pytest.approx(truth["objects"] + truth_of_second["objects"], abs=2)
    assert 0 < first["usd"] < 0.01
    assert second["rows"] == truth_of_second["archived_rows"]
    assert second["bytes"] == pytest.approx(truth_of_second["bytes"], rel=0.2), "the ledger knows better"
    assert second["objects"] == truth_of_second["objects"] == 1


def test_guards_speak_as_in_a_real_run(house: House) -> None:
    make_log(house, 500)
    house.policies('[[retention]]\ntable = "conversation_log"\nkeep_days = 30\nmax_share = 0.1')

    (first,) = house.run(dry_run=True)["tables"]
    assert first["refusal"]["guard"] == "abnormal_volume", "a set limit needs no run history"
    assert house.run()["status"] == "refused"

    (table,) = house.run(dry_run=True)["tables"]
    assert table["refusal"]["guard"] == "abnormal_volume"
    assert table["estimate"]["rows"] > 0
    assert house.run(dry_run=True, force=True)["status"] == "dry_run"


def test_an_empty_table_and_a_missing_one(house: House) -> None:
    house.sql("CREATE TABLE log (created_at timestamptz)")
    entry = '[[retention]]\ntable = "{}"\nkeep_days = 30\n'
    house.policies(entry.format("log") + entry.format("missing"))

    answer = house.run(dry_run=True)

    log, missing = answer["tables"]
    assert log["estimate"] == {"rows": 0, "bytes": 0, "objects": 0, "seconds": 0.0, "share": 0, "usd": 0}
    assert missing["refusal"]["guard"] == "unknown_table"
    assert answer["status"] == "refused"


def test_sqlite_keeps_its_file(sqlite_house: House) -> None:
    house = sqlite_house
    make_log(house, 1000)
    file = Path(house.url.removeprefix("sqlite:///"))
    before, beside = file.read_bytes(), set(file.parent.iterdir())

    answer = house.run(dry_run=True)

    assert answer["tables"][0]["estimate"]["rows"] == house.value(
        "SELECT count(*) FROM conversation_log WHERE created_at < '2025-09-15'"
    )
    assert file.read_bytes() == before
    assert set(file.parent.iterdir()) == beside
    assert house.s3.keys(house.bucket) == []
