"""Lambda's entry to `feedback`; see `feedback.job` and docs/jobs/feedback.md."""

from nightshift.runtime import JobHandler

lambda_handler = JobHandler("feedback")
