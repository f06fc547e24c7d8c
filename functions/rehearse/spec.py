"""Spec of the job `rehearse`."""

from nightshift.job_spec import JobSpec

SPEC = JobSpec(
    name="rehearse",
    work="rehearse.job:rehearse",
    request="nightshift.backup.requests:RehearseRequest",
    message="nightshift.slack.backup:render_restored_backup",
    layers=("shared", "arrow", "pgclient"),
    sample="local.samples:conversations",
    sample_run="backup",
)
