"""Lambda's entry to `rehearse`; see `rehearse.job` and docs/jobs/rehearse.md."""

from nightshift.runtime import JobHandler

lambda_handler = JobHandler("rehearse")
