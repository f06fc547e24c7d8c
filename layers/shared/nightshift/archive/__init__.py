"""The archive engine of the job `cleanup`.

`guards` refuses tables that must not be changed. `chunk_allocator` divides a table into chunks that fit memory and
time. `chunk_workers` archives and deletes chunks over several connections. `due_rows` drops whole partitions. `ledger`
records objects. `table` processes one policy, also in a dry run.
"""
