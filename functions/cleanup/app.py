"""Lambda's entry to `cleanup`; see `cleanup.job` and docs/jobs/cleanup.md."""

from nightshift.runtime import JobHandler

lambda_handler = JobHandler("cleanup")
