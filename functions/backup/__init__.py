"""`backup`: saves the whole database from one snapshot, and the day's logs, to S3."""
