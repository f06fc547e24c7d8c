"""Spec of the job `feedback`."""

from nightshift.job_spec import JobSpec

SPEC = JobSpec(
    name="feedback",
    work="feedback.job:feedback",
    message="nightshift.slack.feedback:render_feedback",
    layers=("shared", "charts"),
    sample="local.samples:votes",
)
