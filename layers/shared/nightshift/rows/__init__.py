"""Transfer of rows between databases and Parquet files, independent of archives, ledgers and policies.

Modules: `columns` maps database types to Arrow types and to the SQL that fetches values without loss; `postgres` and
`sqlite` read and write rows; `parquet` writes files; `timestamp_column` maps timestamps of any type to integers.
"""
