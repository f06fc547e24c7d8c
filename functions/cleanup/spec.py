"""Spec of the job `cleanup`."""

from nightshift.job_spec import JobSpec

SPEC = JobSpec(
    name="cleanup",
    work="cleanup.job:cleanup",
    message="nightshift.slack.cleanup:render_cleanup",
    needs_archive=True,
    layers=("shared", "arrow"),
    sample="local.samples:conversations",
)
