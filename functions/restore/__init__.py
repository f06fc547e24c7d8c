"""`restore`: returns archived rows to a table, exactly once. Invoked by hand; no schedule starts it."""
