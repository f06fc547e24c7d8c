"""The data plane: rows as Arrow batches, never as Python objects.

`columns` maps database types to Arrow types and to the SQL that fetches them without loss; `postgres` and `sqlite`
stream rows out of the two databases; `parquet` turns them into files; `axis` is the timestamp column as a number
line. Nothing here knows of archives, ledgers or policies.
"""
