"""`restore_backup`: a backup becomes a database again, or one table of it. Invoked by hand; no schedule starts it."""
