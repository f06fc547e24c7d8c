"""`backup`: the whole database of one moment, and the day's logs, on S3."""
