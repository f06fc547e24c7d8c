"""Lambda's entry to `restore`; see `restore.job` and docs/jobs/restore.md."""

from nightshift.runtime import JobHandler

lambda_handler = JobHandler("restore")
