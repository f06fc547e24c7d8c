"""Names that nightshift adds to Parquet files; a separate module, so that importing the names does not load Arrow."""

from __future__ import annotations

EXACT = "_nightshift_exact"
"""Name of the column that holds the exact text of values which a typed column cannot hold."""

TYPE_KEY = b"nightshift.type"
"""Key in a field's metadata whose value is the column's declared type."""
