"""What pg8000 sends, as `TcpProxy` sees it: for traps that spring at a COMMIT of the control plane."""

from __future__ import annotations

_FLUSH, _SYNC = b"H\0\0\0\4", b"S\0\0\0\4"

COMMIT = b"".join(
    (
        b"commit\0\0\0" + _FLUSH + _SYNC,  # the end of Parse
        b"D\0\0\0\6S\0" + _FLUSH + _SYNC,  # Describe
        b"B\0\0\0\14\0\0\0\0\0\0\0\0" + _FLUSH,  # Bind
        b"E\0\0\0\11\0\0\0\0\0" + _FLUSH + _SYNC,  # Execute: before that nothing is committed
    )
)

BATCH, SETTLED = (
    b"nightshift_keys_0",
    b"nightshift_file_deletion (bucket, object_keys, files, run_id, attempts",
)
"""What tells the connection of a batch, and of a claim with files that S3 refused, from the others."""
