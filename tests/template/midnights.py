"""What a deployment asks of AWS where backups are taken, rehearsed and restored."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from datetime import datetime, timedelta

from local.loopback import REGION
from local.s3 import EmbeddedS3
from nightshift.progress_events import ProgressStep
from tests.support import s3_faults as faults
from tests.support.backups import NAME
from tests.support.house import AS_OF
from tests.support.logs_server import LogsServer
from tests.template.deployed import Deployed

DAYS = 30
"""That log groups keep their events, where that is set."""


def make_bucket(s3: EmbeddedS3, name: str, parameters: Mapping[str, str]) -> None:
    """What stands for BackupBucket."""
    s3.client().create_bucket(
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": REGION},
        ObjectLockEnabledForBucket="BackupObjectLockDays" in parameters,
    )
    s3.client().put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def log(logs: LogsServer, parameters: Mapping[str, str]) -> None:
    """An event of the day before in each group that is saved."""
    yesterday = datetime.fromisoformat(AS_OF) - timedelta(hours=12)
    for group in filter(None, parameters.get("BackupLogGroups", "").split(",")):
        logs.add(group, int(yesterday.timestamp() * 1000), f"of {group}")


def midnights(deployed: Deployed) -> None:
    """backup: killed over an orphan; looked at; swept and taken, with an answer lost on the way; taken already."""
    log(deployed.logs, deployed.parameters)
    groups = len(deployed.logs.groups)
    deployed.house.sql("CREATE TABLE precious (id int PRIMARY KEY); INSERT INTO precious VALUES (1), (2)")
    assert deployed.run("backup", kill_at=ProgressStep.UPLOADED).process.exitcode == -signal.SIGKILL
    assert deployed.answer("backup", dry_run=True)["status"] == "dry_run"
    orphans = set(deployed.s3.keys(deployed.backups))
    assert orphans
    lost = deployed.recorder.inject(faults.store_then_disconnect(), method="PUT", target=deployed.backups)
    taken = deployed.answer("backup")
    assert (taken["status"], taken["log_events"], taken.get("missing"), lost.fired) == ("ok", groups, None, 1)
    assert orphans.isdisjoint(deployed.s3.keys(deployed.backups))
    assert deployed.answer("backup")["already"] is True
    if "BackupLogRetentionDays" in deployed.parameters:
        assert {group.retention for group in deployed.logs.groups.values()} == {DAYS}


def sundays(deployed: Deployed) -> None:
    """rehearse: looked at; proven, though an older stamp lies there. restore_backup: looked at; all of it."""
    assert deployed.answer("rehearse", dry_run=True)["status"] == "dry_run"
    assert deployed.answer("rehearse")["proven"] is True
    key = f"{deployed.parameters.get('BackupPrefix', 'backup')}/{NAME}/proven.json"
    deployed.s3.client().put_object(Bucket=deployed.backups, Key=key, Body=b"of another manifest")
    assert deployed.answer("rehearse")["proven"] is True
    assert deployed.answer("restore_backup", backup="newest", dry_run=True)["status"] == "dry_run"
    assert deployed.run("restore_backup", backup="backup_2001_01_01_0000").error is not None
    assert deployed.answer("restore_backup", backup="newest")["differences"] == []
