"""`restore`: archived rows return to a table, exactly once. Invoked by hand; no schedule starts it."""
