"""The way back: archived rows return to a table, exactly once.

`request` is what the operator asks for; `fit` lays archived columns over a table's columns, by name; `target` finds or
makes the table; `landing` puts one object's rows into it in one transaction; `restorer` works the objects off.
"""
