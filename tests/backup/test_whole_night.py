"""What a night comes to beside the rows: logs, retention, Object Lock, and what Slack is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nightshift.errors import InvalidSettings
from tests.support.backups import NAME, NEXT, NEXT_NAME, BackupHouse


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
    with pytest.raises(InvalidSettings):
        backups.run()
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
    assert len(keys) > 4 and f"backup/{NAME}/manifest.json" in keys
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
