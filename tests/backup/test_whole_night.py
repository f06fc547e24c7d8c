"""What a night comes to beside the rows: logs, retention, Object Lock, and what Slack is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightshift.errors import ArchiveMismatch, InvalidEvent, InvalidSettings
from nightshift.metrics import emit_metrics
from nightshift.results.backup import BackupResult
from tests.support.backups import NAME, NEXT, NEXT_NAME, BackupHouse
from tests.support.handler import run_job
from tests.support.logs_server import LogsServer, Trouble


def test_logs_are_part_of_it(backups: BackupHouse) -> None:
    backups.fill(1)
    logs = backups.directory / "logs"
    logs.mkdir()
    (logs / "app.log").write_text("one\ntwo\n셋\n")
    backups.env["BACKUP_LOG_DIRECTORY"] = str(logs)
    answer = backups.run()
    manifest = backups.manifest()
    assert answer["log_events"] == sum(part.rows for part in manifest.logs) == 3
    assert all(part.key.startswith(f"{manifest.run_id}/logs/") for part in manifest.logs)
    backups.assert_tidy()


def test_a_retention_that_cloudwatch_does_not_know(backups: BackupHouse) -> None:
    backups.env["BACKUP_LOG_RETENTION_DAYS"] = "2"
    with pytest.raises(InvalidSettings, match="should be one of 1, 3, 5") as raised:
        backups.run()
    assert "CloudWatch Logs takes no other" in str(raised.value.hint)
    assert backups.s3.keys(backups.bucket) == []


def test_old_backups_go(backups: BackupHouse) -> None:
    backups.env |= {"BACKUP_KEEP_DAILY": "2", "BACKUP_KEEP_WEEKLY": "0", "BACKUP_KEEP_MONTHLY": "0"}
    backups.fill(1, 10)
    days = [datetime(2025, 10, day, tzinfo=UTC) for day in range(6, 10)]
    pruned = [backups.run(scheduled_time=day.isoformat())["pruned"] for day in days]
    assert pruned == [[], [], ["backup_2025_10_06_0900"], ["backup_2025_10_07_0900"]]
    would = backups.run(scheduled_time=(days[-1] + timedelta(days=1)).isoformat(), dry_run=True)
    assert would["pruned"] == []
    assert [one.name for one in backups.backups()] == ["backup_2025_10_09_0900", "backup_2025_10_08_0900"]
    backups.assert_tidy()


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_time_long_before_the_newest_backup_is_refused(backups: BackupHouse, dry_run: bool) -> None:
    """It would hold today's rows under the name of a day long ago, and retention would delete it in the same run."""
    backups.fill(1, 10)
    backups.run()
    with pytest.raises(InvalidEvent, match="before a backup that there is already") as raised:
        backups.run(scheduled_time="2015-10-15T00:00:00Z", dry_run=dry_run)
    assert "a backup holds the database as it is now; leave scheduled_time out" in str(raised.value.hint)
    late = backups.run(scheduled_time="2025-10-14T12:00:00Z")
    assert (late["status"], late["already"]) == ("ok", False)
    assert [one.name for one in backups.backups()] == [NAME, "backup_2025_10_14_2100"]


def test_a_late_run_does_not_prune_what_it_made(backups: BackupHouse) -> None:
    """Its day has a newer backup, and no other rule keeps it; the next night may take it."""
    backups.env |= {"BACKUP_KEEP_DAILY": "1", "BACKUP_KEEP_WEEKLY": "0", "BACKUP_KEEP_MONTHLY": "0"}
    backups.fill(1, 10)
    backups.run()
    late = backups.run(scheduled_time="2025-10-14T23:00:00Z")
    assert (late["status"], late["pruned"], late["name"]) == ("ok", [], "backup_2025_10_15_0800")
    assert backups.manifest("backup_2025_10_15_0800").name == late["name"]
    assert set(backups.run(scheduled_time=NEXT)["pruned"]) == {NAME, "backup_2025_10_15_0800"}


def test_two_backups_of_one_afternoon(backups: BackupHouse) -> None:
    backups.env |= {"BACKUP_KEEP_DAILY": "1", "BACKUP_KEEP_WEEKLY": "0", "BACKUP_KEEP_MONTHLY": "0"}
    backups.fill(1, 10)
    now = datetime.now(UTC)
    for minutes in (60, 30, 0):
        answer = backups.run(scheduled_time=(now - timedelta(minutes=minutes)).isoformat())
        assert (answer["status"], answer["pruned"]) == ("ok", [])
    assert len(backups.backups()) == 3


def test_another_databases_backups_neither_count_nor_go(backups: BackupHouse) -> None:
    """Of a run that is in no history of ours, whatever its prefix says."""
    backups.env |= {"BACKUP_KEEP_DAILY": "1", "BACKUP_KEEP_WEEKLY": "0", "BACKUP_KEEP_MONTHLY": "0"}
    backups.fill(1, 10)
    days = [datetime(2025, 10, day, tzinfo=UTC) for day in range(6, 10)]
    backups.run(scheduled_time=days[0].isoformat())
    backups.sql("DELETE FROM nightshift_run")
    pruned = [backups.run(scheduled_time=day.isoformat())["pruned"] for day in days[1:]]
    assert pruned == [[], ["backup_2025_10_07_0900"], ["backup_2025_10_08_0900"]]
    assert [one.name for one in backups.backups()] == ["backup_2025_10_09_0900", "backup_2025_10_06_0900"]


def test_object_lock(backups: BackupHouse) -> None:
    """Every object of a finished backup is locked, the manifest too; leftovers never are."""
    client = backups.s3.client()
    bucket = f"{backups.bucket}-locked"
    client.create_bucket(
        Bucket=bucket,
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"},
    )
    backups.env |= {"BACKUP_BUCKET": bucket, "BACKUP_OBJECT_LOCK_DAYS": "30"}
    backups.fill(2, 10)
    assert "warnings" not in backups.run()
    keys = backups.s3.keys(bucket)
    assert len(keys) == 4 and f"backup/{NAME}/manifest.json" in keys
    for key in keys:
        lock = client.head_object(Bucket=bucket, Key=key)
        assert lock["ObjectLockMode"] == "GOVERNANCE"
        assert lock["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=29)


def test_slack_is_told(backups: BackupHouse) -> None:
    backups.fill(2)
    backups.run()
    (message,) = backups.slack.messages
    assert f"🗄️ 백업 완료: {NAME}" in message.text
    backups.sql("DROP TABLE t0, t1")
    backups.fill(2, 1)
    answer = backups.run(scheduled_time=NEXT)
    assert (answer["name"], answer["shrunk"]) == (NEXT_NAME, 2 * answer["bytes"] < answer["previous_bytes"])


def test_a_backup_that_was_whole_once(backups: BackupHouse) -> None:
    """Whoever relies on it is told, every night, until it is moved away."""
    backups.fill(1, 10)
    backups.run()
    (part,) = [part for entry in backups.manifest().tables if entry.name == "t0" for part in entry.parts]
    backups.s3.client().delete_object(Bucket=backups.bucket, Key=f"backup/{NAME}/{part.key}")
    answer = backups.run(scheduled_time=NEXT)
    said = f"{NAME} is damaged, and cannot be relied on: missing: {part.key}"
    assert (answer["status"], answer["warnings"]) == ("ok", [said])
    assert part.key in backups.slack.messages[-1].seen


def test_a_name_that_stands_for_another_time(backups: BackupHouse) -> None:
    """No second delivery, but a night whose backup would be called like one that there is: it is not "done already"."""
    backups.fill(1, 10)
    backups.run()
    backups.env["TIMEZONE"] = "UTC"
    with pytest.raises(ArchiveMismatch, match="of another time") as raised:
        backups.run(scheduled_time="2025-10-15T09:00:00Z")
    assert "TIMEZONE was changed" in str(raised.value.hint) and "begin at another minute" in str(raised.value.hint)
    backups.env["TIMEZONE"] = "Asia/Seoul"
    assert backups.run(scheduled_time="2025-10-15T00:00:30Z")["already"]
    backups.assert_tidy()


@pytest.mark.slow
def test_for_how_long_nothing_was_proven(backups: BackupHouse) -> None:
    """Since the oldest backup, where none ever was: else nobody would be alarmed."""
    backups.fill(1, 10)
    assert backups.run()["unproven_since"] is None, "nobody could have proven it yet"
    assert backups.run(scheduled_time=NEXT)["unproven_since"] == "2025-10-15T00:00:00+00:00"
    run_job("rehearse", backups.env, {})
    assert backups.run(scheduled_time="2025-10-17T00:00:00Z")["unproven_since"] is None


def test_logs_that_were_not_to_be_had(backups: BackupHouse) -> None:
    """They keep no night's backup from being made, and are in the next one's."""
    backups.fill(1, 10)
    with LogsServer() as logs:
        backups.env |= {**logs.env, "BACKUP_LOG_GROUPS": "/app"} | backups.s3.env
        yesterday, today = (
            logs.add("/app", int(datetime(2025, 10, day, tzinfo=UTC).timestamp() * 1000), str(day)) for day in (14, 15)
        )
        logs.fail_next(Trouble.DENIED)
        first = backups.run()
        second = backups.run(scheduled_time=NEXT)
    assert logs.suffered == [Trouble.DENIED]
    assert (first["status"], first["log_events"]) == ("ok", 0)
    (missing,) = first["missing"]
    assert missing.startswith("log group /app is not saved: CloudWatch Logs: AccessDeniedException: ")
    assert "the role needs logs:FilterLogEvents on the group" in missing
    assert (second["status"], second["log_events"], "missing" in second) == ("ok", 2, False)
    (part,) = backups.manifest(NEXT_NAME).logs
    saved = pq.read_table(pa.BufferReader(backups.store.get_object(f"backup/{NEXT_NAME}/{part.key}")))
    assert saved.column("event_id").to_pylist() == [yesterday["eventId"], today["eventId"]]


def test_late_events_are_in_the_next_backup_once(backups: BackupHouse) -> None:
    """The first night reads while events of its day still arrive: the next one saves those that came behind it."""
    backups.fill(1, 10)
    yesterday = int(datetime(2025, 10, 14, tzinfo=UTC).timestamp() * 1000)

    def ingested_now(logs: LogsServer, message: str) -> str:
        delay = int(datetime.now(UTC).timestamp() * 1000) - yesterday
        return str(logs.add("/app", yesterday, message, delay=delay)["eventId"])

    with LogsServer() as logs:
        backups.env |= {**logs.env, "BACKUP_LOG_GROUPS": "/app"} | backups.s3.env
        seen = [ingested_now(logs, str(number)) for number in range(3)]
        first = backups.run()
        late = [ingested_now(logs, "late") for _ in range(2)]
        second = backups.run(scheduled_time=NEXT)

    saved: list[list[str]] = []
    for name in (NAME, NEXT_NAME):
        parts = backups.manifest(name).logs
        bodies = [backups.store.get_object(f"backup/{name}/{part.key}") for part in parts]
        saved.append([i for b in bodies for i in pq.read_table(pa.BufferReader(b)).column("event_id").to_pylist()])
    assert saved == [seen, late]
    assert (first["log_events"], second["log_events"], "missing" in second) == (3, 2, False)
    backups.assert_tidy()


def test_the_alarm_hears_that_nothing_was_ever_proven(capsys: pytest.CaptureFixture[str]) -> None:
    as_of = datetime(2025, 10, 20, tzinfo=UTC)
    result = BackupResult(name=NAME, unproven_since=as_of - timedelta(days=20))
    emit_metrics({"AWS_LAMBDA_FUNCTION_NAME": "backup"}, "backup", as_of=as_of, result=result, error=None)
    assert json.loads(capsys.readouterr().out)["ProvenAgeSeconds"] == [20 * 86_400]
