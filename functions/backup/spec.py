"""Spec of the job `backup`."""

from nightshift.job_spec import JobSpec

SPEC = JobSpec(
    name="backup",
    work="backup.job:backup",
    message="nightshift.slack.backup:render_backup",
    layers=("shared", "arrow", "pgclient"),
    sample="local.samples:conversations",
)
