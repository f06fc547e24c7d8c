"""`restore_backup`: restores a backup, or one of its tables, into a database. An operator invokes the job."""
