"""Rows that have expired leave with everything that hangs on them: `graph` what that is, `discovery` how the database
says so, `batch` one transaction of it, `table` one policy's turn, `outbox` and `drain` the files that they named."""
