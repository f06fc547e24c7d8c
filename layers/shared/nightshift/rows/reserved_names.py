"""The names that the format adds to a file, in a module of their own so that their users need not load Arrow."""

from __future__ import annotations

EXACT = "_nightshift_exact"
"""Name of the column with the exact text of values that their typed column cannot hold."""

TYPE_KEY = b"nightshift.type"
"""Key of a field's metadata: the declared type of the column."""
