"""Expired rows are deleted with all rows that depend on them.

`graph` is the graph of dependent tables; `discovery` reads it from the database; `batch` is one transaction; `table`
processes one policy; `outbox` and `outbox_worker` delete the files that the rows named.
"""
