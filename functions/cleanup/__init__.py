"""`cleanup`: moves rows older than their retention from the database to Parquet on S3, exactly once."""
