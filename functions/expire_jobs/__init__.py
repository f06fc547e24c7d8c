"""`expire_jobs`: rows whose time is over leave the database with all that hangs on them, and their files leave S3."""
