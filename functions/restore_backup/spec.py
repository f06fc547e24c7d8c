"""Spec of the job `restore_backup`."""

from nightshift.job_spec import JobSpec

SPEC = JobSpec(
    name="restore_backup",
    work="restore_backup.job:restore_backup",
    request="nightshift.backup.requests:RestoreBackupRequest",
    message="nightshift.slack.backup:render_restored_backup",
    layers=("shared", "arrow", "pgclient"),
    sample="local.samples:conversations_and_empty_database",
    sample_run="backup",
)
