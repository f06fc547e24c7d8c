"""`cleanup` from the event to the answer: rows, objects, ledger, run history and Slack all tell the same story."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import SlackServer
from nightshift.errors import NightshiftError
from tests.conftest import POSTGRES_VERSION
from tests.support.house import House

LOG = """
CREATE TABLE conversation_log (id bigint PRIMARY KEY, role text, content text, created_at timestamptz NOT NULL);
CREATE INDEX ON conversation_log (created_at);
INSERT INTO conversation_log
SELECT n, CASE n % 2 WHEN 0 THEN 'user' ELSE 'assistant' END, '안녕하세요 "' || n || '"',
       timestamptz '2025-09-12 00:00:00+09' + n * interval '1 hour'
FROM generate_series(0, 119) n
"""
"""One row an hour for five days in Seoul, three of which are due."""

DUE, KEPT = 72, 48


def _other_servers() -> list[str]:
    """Servers beside the suite's own: PostgreSQL 16 from the wheel, and what the system has."""
    installed = sorted(str(path) for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists())
    return [*(["16"] if POSTGRES_VERSION != 16 and "PG_BIN" not in os.environ else []), *installed]


@pytest.fixture(params=_other_servers())
def other_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedPostgres]:
    if "/" in request.param:
        monkeypatch.setenv("PG_BIN", request.param)
    with EmbeddedPostgres(16, settings=DISPOSABLE) as server:
        yield server


def assert_archived_once(house: House, answer: dict[str, Any], *, table: str) -> None:
    """All that a run over `LOG` must leave behind."""
    (done,) = answer.pop("tables")
    objects = house.objects()
    assert answer.pop("duration_ms") >= 0
    assert len(answer.pop("run_id")) == 32
    assert answer == {
        "job": "cleanup",
        "status": "ok",
        "as_of": "2025-10-15T00:00:00Z",
        "complete": True,
        "orphans_removed": 0,
    }
    assert done["table"] == table
    assert done["cutoff"] == "2025-09-15T00:00:00+09:00"
    assert done["archived_rows"] == done["deleted_rows"] == DUE
    assert done["objects"] == len(objects) == len(house.s3.keys(house.bucket)) == 3
    assert done["bytes"] == sum(len(body) for body in house.s3.objects(house.bucket).values())
    assert done["oldest_overdue"] is None
    assert sorted(row["id"] for row in house.archived()) == list(range(DUE))
    assert house.texts("conversation_log", "id") == [str(n) for n in range(DUE, DUE + KEPT)]
    assert [one.day for one in objects] == ["2025-09-12", "2025-09-13", "2025-09-14"]
    for one in objects:
        assert one.key.startswith(f"archive/table={table}/dt={one.day}/")
        assert one.entry["row_count"] == one.rows.num_rows == 24


def test_rows_objects_ledger_history_and_slack_agree(house: House) -> None:
    house.sql(LOG)

    answer = house.run()

    (run,) = house.runs()
    assert run["status"] == "ok" and run["complete"] is True and run["error"] is None
    assert run["result"]["tables"] == answer["tables"]
    assert run["run_id"] == answer["run_id"] == house.ledger()[0]["run_id"]
    assert run["attempt"] == 1
    assert run["as_of"].isoformat() == "2025-10-15T00:00:00+00:00"
    assert run["started_at"] <= run["finished_at"]
    (message,) = house.slack.messages
    seen = message.seen
    assert seen.startswith(
        "💾 DB Cleanup Report\n- 백업 파일: conversation_log_backup_20250915.csv\n- 백업 수: 72 rows"
    )
    assert "- 삭제 기준일: 2025-09-15" in seen
    assert "- 실행 시간: 2025-10-15 09:00:00 KST" in seen
    assert "- 가장 오래된 미처리 행: 없음" in seen
    (file,) = house.slack.files
    assert file.filename == "conversation_log_backup_20250915.csv"
    assert file.content.decode("utf-8-sig").count("\n") == 1 + DUE
    assert_archived_once(house, answer, table="public.conversation_log")


def test_a_second_run_finds_nothing(house: House) -> None:
    house.sql(LOG)
    house.run()
    before = house.state()

    answer = house.run()

    assert answer["status"] == "nothing"
    assert answer["complete"] is True
    assert answer["tables"][0]["archived_rows"] == 0
    assert house.state() == before
    assert [(run["status"], run["attempt"]) for run in house.runs()] == [("ok", 1), ("nothing", 2)]
    assert house.slack.messages[-1].seen == "✅ 백업할 오래된 로그가 없습니다. (기준: 2025-09-15)"
    assert len(house.slack.files) == 1


def test_the_next_day_takes_the_next_day(house: House) -> None:
    house.sql(LOG)
    house.run()

    answer = house.run(scheduled_time="2025-10-16T00:00:00Z")

    assert answer["tables"][0]["cutoff"] == "2025-09-16T00:00:00+09:00"
    assert answer["tables"][0]["archived_rows"] == 24
    assert sorted(row["id"] for row in house.archived()) == list(range(96))


def test_other_servers_give_the_same(
    other_server: EmbeddedPostgres, surroundings: dict[str, str], s3: EmbeddedS3, slack: SlackServer, tmp_path: Path
) -> None:
    house = House({**surroundings, "DATABASE_URL": other_server.create_database("app")}, s3, slack, tmp_path)
    house.sql(LOG)

    answer = house.run()

    assert_archived_once(house, answer, table="public.conversation_log")
    assert house.run()["status"] == "nothing"
    house.close()


def test_sqlite(sqlite_house: House) -> None:
    house = sqlite_house
    house.sql("CREATE TABLE conversation_log (id INTEGER PRIMARY KEY, role TEXT, content TEXT, created_at DATETIME)")
    house.sql(
        "WITH RECURSIVE n(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM n WHERE n < 119) INSERT INTO conversation_log"
        " SELECT n, 'user', '안녕 ' || n, datetime('2025-09-12', n || ' hours') FROM n"
    )

    answer = house.run()

    seen = house.slack.messages[0].seen
    assert "- 백업 수: 72 rows" in seen
    assert house.runs()[0]["status"] == "ok"
    assert house.slack.files[0].content.decode("utf-8-sig").count("\n") == 1 + DUE
    (done,) = answer["tables"]
    assert done["table"] == "conversation_log"
    assert done["archived_rows"] == done["deleted_rows"] == DUE
    assert sorted(row["id"] for row in house.archived()) == list(range(DUE))
    assert [id_ for (id_,) in house.sql("SELECT id FROM conversation_log ORDER BY id")] == list(range(DUE, DUE + KEPT))
    assert {(row["dt"], row["created_at"][:10]) for row in house.archived()} == {
        (day, day) for day in ("2025-09-12", "2025-09-13", "2025-09-14")
    }
    assert house.run()["status"] == "nothing"


def test_without_a_slack_token_the_message_goes_to_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.sql(LOG)
    del house.env["SLACK_BOT_TOKEN"]

    answer = house.run()

    assert answer["status"] == "ok"
    assert house.slack.messages == []
    assert "DB Cleanup Report" in caplog.text


SEVERAL = """
[[retention]]
table = "events"
timestamp = "at"
keep_days = 10

[[retention]]
table = "missing"
keep_days = 30

[[retention]]
table = "broken"
timestamp = "at"
keep_days = 30

[[retention]]
table = "audit.log"
timestamp = "at"
keep_days = 365
"""

SEVERAL_TABLES = """
CREATE TABLE events (id int, at timestamptz);
INSERT INTO events SELECT n, timestamptz '2025-10-01 12:00+09' + n * interval '1 day' FROM generate_series(0, 9) n;
CREATE SCHEMA audit;
CREATE TABLE audit.log (id int, at timestamp);
INSERT INTO audit.log SELECT n, timestamp '2024-10-10 12:00' + n * interval '1 day' FROM generate_series(0, 9) n;
CREATE TABLE broken (id int, at timestamptz);
INSERT INTO broken VALUES (1, '2025-01-01'), (2, '2025-10-10');
"""


def test_several_tables_in_one_run(house: House) -> None:
    house.sql(SEVERAL_TABLES)
    house.policies(SEVERAL)

    answer = house.run()

    by_table = {table["table"]: table for table in answer["tables"]}
    assert answer["status"] == "refused" and answer["complete"] is False
    assert {name: table["status"] for name, table in by_table.items()} == {
        "public.events": "ok",
        "missing": "refused",
        "public.broken": "ok",
        "audit.log": "ok",
    }
    assert by_table["public.events"]["archived_rows"] == 4
    assert by_table["audit.log"]["archived_rows"] == 5
    assert by_table["missing"]["refusal"]["guard"] == "unknown_table"
    assert [row["id"] for row in house.archived("audit.log")] == [0, 1, 2, 3, 4]
    assert [row["id"] for row in house.archived("public.events")] == [0, 1, 2, 3]
    seen = house.slack.messages[0].seen
    for name in ("public.events", "missing", "public.broken", "audit.log"):
        assert name in seen
    assert {file.filename for file in house.slack.files} == {
        "events_backup_20251005.csv",
        "broken_backup_20250915.csv",
        "audit.log_backup_20241015.csv",
    }
    assert seen.count("📎") == 3, "each table's part names its file"


def test_a_failing_table_does_not_stop_the_others(house: House) -> None:
    house.sql(SEVERAL_TABLES)
    house.sql(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE disk_full; END$$;"
        "CREATE TRIGGER stubborn AFTER DELETE ON broken FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    house.policies(SEVERAL)

    with pytest.raises(NightshiftError) as raised:
        house.run()

    assert "refused a statement" in raised.value.message
    (run,) = house.runs()
    statuses = {table["table"]: table["status"] for table in run["result"]["tables"]}
    assert run["status"] == "failed" and run["complete"] is False
    assert statuses == {"public.events": "ok", "missing": "refused", "public.broken": "failed", "audit.log": "ok"}
    assert len(house.archived("public.events")) == 4
    assert len(house.archived("audit.log")) == 5
    assert house.archived("public.broken") == []
    assert house.texts("broken", "id") == ["1", "2"]
    assert {one.key for one in house.objects()} == set(house.s3.keys(house.bucket)), "no orphan is left"
    seen = house.slack.messages[0].seen
    assert "🚨" in seen and "public.events" in seen and "audit.log" in seen


def test_archived_files_say_where_they_come_from(house: House) -> None:
    house.sql(LOG)
    answer = house.run()

    for one in house.objects():
        metadata = one.file.metadata.metadata
        assert metadata[b"nightshift.table"] == b"public.conversation_log"
        assert metadata[b"nightshift.timestamp"] == b"created_at"
        assert metadata[b"nightshift.timezone"] == b"Asia/Seoul"
        assert metadata[b"nightshift.run_id"].decode() == answer["run_id"]
        assert metadata[b"nightshift.schema_fingerprint"].decode() == one.entry["schema_fingerprint"]
