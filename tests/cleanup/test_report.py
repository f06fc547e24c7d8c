"""What a run leaves behind for people: the CSV, the ledger, the history, a vacuumed table."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from nightshift.errors import NightshiftError
from tests.support.house import House

LOG = """
CREATE TABLE conversation_log
  (id int, session uuid, raw bytea, price numeric(6,2), extra jsonb, created_at timestamptz);
INSERT INTO conversation_log
SELECT n, '00000000-0000-4000-8000-000000000001', '\\x00ff', n + 0.5, '{"k": "v"}',
       timestamptz '2025-09-14 00:00+09' + n * interval '1 minute'
FROM generate_series(0, 99) n
"""


def test_the_file_is_an_excerpt_and_says_so(house: House) -> None:
    house.sql(LOG)
    house.env["SLACK_CSV_ROWS"] = "10"

    house.run()

    (file,) = house.slack.files
    lines = file.content.decode("utf-8-sig").splitlines()
    assert lines[0] == '"id","session","raw","price","extra","created_at"'
    assert len(lines) == 1 + 10
    first = lines[1].split(",")
    assert first[0] == "0" and first[3].strip('"') == "0.50" and first[2].strip('"') == "00ff"
    assert "00000000-0000-4000-8000-000000000001" in first[1]
    assert "전체 100행 중 처음 10행" in house.slack.messages[0].seen


@pytest.mark.parametrize("switch", ["off", "false", "0"])
def test_no_file_where_none_is_wanted(house: House, switch: str) -> None:
    house.sql(LOG)
    house.env["SLACK_ATTACH_CSV"] = switch

    assert house.run()["status"] == "ok"

    assert house.slack.files == []
    seen = house.slack.messages[0].seen
    assert "📎" not in seen and "- 백업 파일: archive/table=public.conversation_log/dt=2025-09-14/" in seen


def test_the_ledger_describes_every_object(house: House) -> None:
    house.sql(LOG)
    before = datetime.now(UTC)
    answer = house.run()

    (entry,) = house.ledger()
    body = house.s3.objects(house.bucket)[entry["object_key"]]
    assert entry["bucket"] == house.bucket
    assert entry["table_name"] == "public.conversation_log"
    assert (entry["state"], entry["dt"], entry["run_id"]) == ("archived", "2025-09-14", answer["run_id"])
    assert (entry["row_count"], entry["byte_count"]) == (100, len(body))
    assert entry["sha256"] == hashlib.sha256(body).hexdigest()
    assert entry["min_timestamp"] == "2025-09-14T00:00:00+09:00"
    assert entry["max_timestamp"] == "2025-09-14T01:39:00+09:00"
    assert entry["version_id"] is None
    assert before <= entry["created_at"] <= datetime.now(UTC)
    assert before <= entry["archived_at"] <= datetime.now(UTC)


def test_the_ledger_names_the_version(house: House) -> None:
    house.s3.create_bucket(f"{house.bucket}-v", versioned=True)
    house.env["ARCHIVE_BUCKET"] = f"{house.bucket}-v"
    house.sql(LOG)
    house.run()

    (entry,) = house.ledger()
    head = house.s3.client().head_object(Bucket=entry["bucket"], Key=entry["object_key"])
    assert entry["version_id"] == head["VersionId"]


def test_a_shape_has_a_fingerprint(house: House) -> None:
    """The same for every object of a shape, another once a column comes."""
    house.sql(LOG)
    house.run(scheduled_time="2025-10-15T00:00:00Z")
    house.sql("INSERT INTO conversation_log (id, created_at) VALUES (1000, '2025-09-01')")
    house.run()
    house.sql("ALTER TABLE conversation_log ADD COLUMN late int")
    house.sql("INSERT INTO conversation_log (id, created_at) VALUES (1001, '2025-09-01')")
    house.run()

    first, second, third = (entry["schema_fingerprint"] for entry in house.ledger())
    assert first == second != third


def test_the_history_tells_failures_too(house: House) -> None:
    house.sql(LOG)
    house.env["ARCHIVE_BUCKET"] = "nowhere-at-all"
    with pytest.raises(NightshiftError):
        house.run()
    (failed,) = house.runs()

    assert (failed["status"], failed["complete"], failed["attempt"]) == ("failed", False, 1)
    assert "NoSuchBucket" in failed["error"] and "ARCHIVE_BUCKET" in failed["error"]
    assert failed["finished_at"] >= failed["started_at"]
    assert failed["result"]["tables"][0]["status"] == "failed"


def vacuums(house: House) -> int:
    house.sql("SELECT pg_stat_force_next_flush()")
    return int(house.value("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'conversation_log'"))


@pytest.mark.parametrize(("switch", "vacuumed"), [("on", 1), ("off", 0)])
def test_vacuum_after_a_large_deletion(house: House, switch: str, vacuumed: int) -> None:
    house.sql(LOG)
    house.sql(
        "INSERT INTO conversation_log SELECT n, NULL, NULL, NULL, NULL, '2025-10-10' FROM generate_series(100, 600) n"
    )
    house.sql("ANALYZE conversation_log")
    house.env["CLEANUP_VACUUM"] = switch

    table = house.run_table()

    assert table.get("vacuumed", False) == bool(vacuumed)
    assert vacuums(house) == vacuumed
    assert ("VACUUM: 완료" in house.slack.messages[0].seen) == bool(vacuumed)


def test_no_vacuum_after_a_small_deletion(house: House) -> None:
    house.sql(LOG)
    house.sql(
        "INSERT INTO conversation_log SELECT n, NULL, NULL, NULL, NULL, '2025-10-10' FROM generate_series(100, 2000) n"
    )
    house.sql("ANALYZE conversation_log")

    assert "vacuumed" not in house.run_table()
    assert vacuums(house) == 0
