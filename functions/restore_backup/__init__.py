"""`restore_backup`: restores a backup, or one table of it, into a database. Invoked by hand; no schedule starts it."""
