"""Lambda's entry to `expire_jobs`; see `expire_jobs.job` and docs/jobs/expire_jobs.md."""

from nightshift.runtime import JobHandler

lambda_handler = JobHandler("expire_jobs")
