"""The engine of `restore`: archived rows return into a table.

`request` is the event; `column_fit` maps archived columns to the columns of a table, by name; `target` finds or makes
the table; `object_loader` loads one object in one transaction; `restorer` loads all of them.
"""
