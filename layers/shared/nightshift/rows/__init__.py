"""Rows between databases and Parquet, without knowledge of archives, ledgers or policies.

`columns` maps database types to Arrow types and to the SQL that fetches them without loss; `postgres` and `sqlite`
stream rows; `parquet` writes files; `timestamp_column` maps a timestamp column of any type to integers.
"""
