"""The frame around every job, and a job that only asks the database how it is: a function without Arrow."""

from nightshift.runtime import JobHandler

lambda_handler = JobHandler("frame")
