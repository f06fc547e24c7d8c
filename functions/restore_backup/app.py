"""Lambda's entry to `restore_backup`; see `restore_backup.job` and docs/jobs/restore_backup.md."""

from nightshift.runtime import JobHandler

lambda_handler = JobHandler("restore_backup")
