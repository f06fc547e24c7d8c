"""Lambda's entry to `reembed`; see `reembed.job` and docs/jobs/reembed.md."""

from nightshift.runtime import JobHandler

lambda_handler = JobHandler("reembed")
