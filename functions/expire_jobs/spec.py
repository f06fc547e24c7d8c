"""Spec of the job `expire_jobs`."""

from nightshift.job_spec import JobSpec

SPEC = JobSpec(
    name="expire_jobs",
    work="expire_jobs.job:expire_jobs",
    message="nightshift.slack.expiry:render_expiry",
    quiet_setting="expire_quiet",
    layers=("shared", "arrow"),
    sample="local.samples:expired_jobs",
)
