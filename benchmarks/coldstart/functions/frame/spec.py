"""Spec of the job `frame`."""

from nightshift.job_spec import JobSpec

SPEC = JobSpec(name="frame", work="frame.job:look", layers=("shared",))
