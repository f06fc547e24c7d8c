"""One run of a job at a time, as a courtesy.

The lock keeps two runs from doing the same work and from sweeping each other's unfinished objects. It is not what
makes the archive exactly-once: that is the transaction (see `archive.archiver`), which holds even if the lock is lost
half-way. It vanishes with its holder, so that no crash can leave it behind: a session-level advisory lock on a
connection that does nothing else (PostgreSQL), or a lock on a file beside the database (SQLite).
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightshift.database.connect import Database, require_file


@contextmanager
def run_lock(database: Database, job: str) -> Iterator[bool]:
    """Hold the lock of `job`; yields False where somebody else has it."""
    if not database.is_postgresql:
        require_file(database.target.path)
        with _file_lock(Path(f"{database.target.path}.nightshift-{job}.lock")) as held:
            yield held
        return
    key = int.from_bytes(hashlib.sha256(f"nightshift:{job}".encode()).digest()[:8], "big", signed=True)
    with database.connect(autocommit=True) as connection:
        connection.detach()  # from the pool: the lock must go with its connection
        held = bool(connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar())
        try:
            yield held
        finally:
            # It goes with the connection, but the server takes its time to notice that: the next run may come at once.
            with suppress(DBAPIError):
                connection.execute(text("SELECT pg_advisory_unlock_all()"))


@contextmanager
def _file_lock(path: Path) -> Iterator[bool]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
