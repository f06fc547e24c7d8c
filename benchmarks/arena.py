"""The same starting line for everybody: a fresh copy of the reference table, caches warm, nothing else running."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.reference import DAYS, create_reference_table
from local.chatlog import TABLE
from local.postgres import EmbeddedPostgres
from local.s3 import EmbeddedS3

SERVER_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
"""Sized for the machine, as any operator would; all else is the default, fsync and synchronous_commit included."""

BUCKET = "benchmark"
COPY = "contest"


@dataclass
class Arena:
    """The servers that contestants meet."""

    postgres: EmbeddedPostgres
    s3: EmbeddedS3
    _templates: set[str] = field(default_factory=set)

    def build(self, rows: int, *, indexed: bool = True, days: int = DAYS) -> None:
        """Make the reference table of so many rows over so many days, once."""
        name = _template(rows, indexed)
        if name not in self._templates:
            create_reference_table(self.postgres.create_database(name), rows, indexed=indexed, days=days)
            self._templates.add(name)

    @contextmanager
    def fresh(self, rows: int, *, indexed: bool = True) -> Iterator[str]:
        """A copy of the reference table, an empty bucket, and the database's URL.

        The copy ends with a checkpoint, so that nobody pays for writing it out; reading it once puts everybody's
        table into the operating system's cache.
        """
        url = self.postgres.create_database(COPY, template=_template(rows, indexed), strategy="file_copy")
        self.s3.create_bucket(BUCKET)
        try:
            self.postgres.execute("CHECKPOINT")
            self.postgres.execute(f"SELECT sum(octet_length(content)) FROM {TABLE}", COPY)
            yield url
        finally:
            self.postgres.drop_database(COPY)
            self.s3.reset()

    def rows_left(self) -> int:
        return self._number(f"SELECT count(*) FROM {TABLE}")

    def rows_in_ledger(self) -> int:
        """Rows that the ledger calls archived, each object of it being in the bucket."""
        keys = {str(key) for (key,) in self.postgres.execute(f"SELECT object_key {_ARCHIVED}", COPY)}
        missing = keys - set(self.s3.keys(BUCKET))
        if missing:
            raise AssertionError(f"in the ledger but not in S3: {len(missing)} objects")
        return self._number(f"SELECT coalesce(sum(row_count), 0)::bigint {_ARCHIVED}")

    def _number(self, query: str) -> int:
        [(number,)] = self.postgres.execute(query, COPY)
        assert isinstance(number, int)
        return number


_ARCHIVED = "FROM nightshift_archive_object WHERE state = 'archived'"


@contextmanager
def arena() -> Iterator[Arena]:
    with EmbeddedPostgres(settings=SERVER_SETTINGS) as postgres, EmbeddedS3() as s3:
        yield Arena(postgres, s3)


def machine(arena: Arena) -> dict[str, Any]:
    """What the numbers are measured on; call before the first run, so that the load is other people's."""
    shown = ("server_version", "shared_buffers", "max_wal_size", "fsync", "synchronous_commit", "full_page_writes")
    cpu = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory[0] * 1024 / 1e9, 1) if memory else None,
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "postgres": {name: arena.postgres.execute(f"SHOW {name}")[0][0] for name in shown},
    }


def _template(rows: int, indexed: bool) -> str:
    return f"reference_{rows}_{'indexed' if indexed else 'bare'}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
