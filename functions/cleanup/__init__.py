"""`cleanup`: rows older than their retention leave the database for Parquet on S3, exactly once."""
