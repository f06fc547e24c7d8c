"""Deletion of expired rows with all dependent rows (the job `expire_jobs`).

Modules: `graph` defines the graph of dependent tables; `discovery` reads the graph from the database; `batch` deletes
rows in one transaction; `table` processes one policy; `outbox` and `outbox_worker` delete the files that deleted rows
named.
"""
