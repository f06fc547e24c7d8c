"""`expire_jobs`: deletes expired rows with all their dependent rows from the database, and their files from S3."""
