"""The engine of the job `restore`, which inserts archived rows into a table.

`request` parses the event. `column_fit` maps archived columns to a table's columns, by name. `target` finds the table,
and `destination` creates a missing table. `object_loader` loads one object in one transaction; `restorer` loads all.
"""
