"""Spec of the job `reembed`."""

from nightshift.job_spec import JobSpec

SPEC = JobSpec(
    name="reembed",
    work="reembed.job:reembed",
    request="nightshift.embedding.request:ReembedRequest",
    message="nightshift.slack.reembed:render_reembed",
    layers=("shared",),
    sample="local.samples:documents",
)
