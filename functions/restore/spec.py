"""Spec of the job `restore`."""

from nightshift.job_spec import JobSpec

SPEC = JobSpec(
    name="restore",
    work="restore.job:restore",
    request="nightshift.restore.request:RestoreRequest",
    message="nightshift.slack.restore:render_restore",
    needs_archive=True,
    layers=("shared", "arrow"),
    sample="local.samples:conversations",
    sample_run="cleanup",
)
