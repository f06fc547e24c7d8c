"""The archive engine of `cleanup`.

`guards` refuse tables that must not be touched; `chunk_allocator` divides a table into chunks that fit memory and time;
`chunk_workers` archive and delete chunks on several connections; `due_rows` drops whole partitions; `ledger` records
objects; `table` processes a policy, a dry run too.
"""
