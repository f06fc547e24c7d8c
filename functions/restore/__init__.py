"""`restore`: inserts archived rows into a table, exactly once. An operator invokes the job; there is no schedule."""
