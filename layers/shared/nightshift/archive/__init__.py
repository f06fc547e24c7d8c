"""The archive: rows leave the database for Parquet on S3, exactly once.

`policy` says what is due; `guards` refuse what must not be touched; `chunks` carves a table into pieces that fit
memory and time; `ledger` remembers objects; `archiver` is the protocol; `partitions` drops whole partitions; `plan`
is the dry run.
"""
