"""Lambda's entry to `backup`; see `backup.job` and docs/jobs/backup.md."""

from nightshift.runtime import JobHandler

lambda_handler = JobHandler("backup")
